"""A second opinion on who may have what: the rules in plain Python, over worlds drawn at random.

Written from docs/decisions/0004 and the contract, not from the SQL. A world is small, and its
moments lie on or next to the present one, so that rules meet and windows end exactly now.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st

from tests.factories import NOW

T = TypeVar("T")
HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)
GRANTED, MISSING = "granted", "missing"
COUNTRIES = ("DE", "FR", "KP")


@dataclass
class Product:
    """A product; `members` (indexes of products) makes it a group."""

    licence: int | None
    restricted: bool
    members: tuple[int, ...] | None = None


@dataclass
class Release:
    """A release with one artifact."""

    product: int
    state: str
    available_at: datetime
    quality: str
    controlled: bool


@dataclass
class Entitlement:
    """What an organisation was given; None: open, empty: all."""

    organisation: int
    product: int
    right_to: str
    qualities: tuple[str, ...]
    valid: tuple[datetime, datetime | None]
    maintenance: tuple[datetime | None, datetime | None]
    activated_at: datetime
    revoked: bool
    compliance: str
    countries: tuple[str, ...]
    pinned: tuple[int, int] | None  # licence, revision


@dataclass
class Person:
    """Someone who asks. `left_for`: moved there after the token was made."""

    organisation: int
    machine: bool
    disabled: bool
    left_for: int | None


@dataclass
class Acceptance:
    """Person `person` accepted for the organisation it was in."""

    licence: int
    revision: int
    person: int
    organisation: int
    for_organisation: bool


@dataclass
class World:
    """Everything; licences are numbers of revisions, organisations are flags (blocked)."""

    blocked: tuple[bool, ...]
    licences: tuple[int, ...]
    products: list[Product]
    releases: list[Release]
    entitlements: list[Entitlement]
    people: list[Person]
    acceptances: list[Acceptance]
    country: str
    declared: str | None
    embargoed: tuple[str, ...]


@dataclass(frozen=True)
class Right:
    """An entitlement as someone refers to it: directly, or as a group's child."""

    entitlement: int
    child: int | None = None
    made_up: bool = field(default=False)


def rights(world: World) -> list[Right]:
    """Every reference worth asking for, those to children that are none included."""
    found = []
    for index in range(len(world.entitlements)):
        found.append(Right(index))
        found += [Right(index, child) for child in range(len(world.products))]
    return found


def entitled_product(world: World, right: Right) -> int | None:
    """The product whose releases a reference gives; None where it refers to nothing."""
    entitlement = world.entitlements[right.entitlement]
    if right.child is None:
        return entitlement.product
    members = world.products[entitlement.product].members or ()
    inherits = right.child in members and entitlement.right_to == "download"
    return right.child if inherits else None


def standing(world: World, right: Right) -> str:
    """The verdict on the entitlement alone."""
    entitlement = world.entitlements[right.entitlement]
    product = entitled_product(world, right)
    assert product is not None
    start, end = entitlement.valid
    if world.blocked[entitlement.organisation]:
        return "organisation-blocked"
    if entitlement.revoked:
        return "entitlement-revoked"
    if start > NOW:
        return "entitlement-not-started"
    if end is not None and end <= NOW:
        return "entitlement-expired"
    if entitlement.compliance == "blocked":
        return "compliance-blocked"
    if entitlement.compliance == "pending" and world.products[product].restricted:
        return "compliance-pending"
    return GRANTED


def status(world: World, right: Right) -> str:
    """What a list shows for the entitlement."""
    shown = {
        "organisation-blocked": "Blocked",
        "entitlement-revoked": "Revoked",
        "entitlement-not-started": "Pending",
        "entitlement-expired": "Expired",
        "compliance-blocked": "Suspended",
        "compliance-pending": "Suspended",
    }
    verdict = standing(world, right)
    end = world.entitlements[right.entitlement].maintenance[1]
    lapsed = end is not None and end <= NOW
    return shown.get(verdict) or ("Lapsed" if lapsed else "Active")


def owns(world: World, who: Person, right: Right) -> bool:
    """Whether the reference leads to something of the caller's organisation."""
    mine = world.entitlements[right.entitlement].organisation == who.organisation
    return mine and entitled_product(world, right) is not None


def reaches(world: World, who: Person, right: Right, release: Release) -> bool:
    """Whether the chain from the caller to the release is whole."""
    entitlement = world.entitlements[right.entitlement]
    return (
        owns(world, who, right)
        and entitlement.right_to == "download"
        and entitled_product(world, right) == release.product
        and release.state != "draft"
        and release.available_at <= NOW
        and (not entitlement.qualities or release.quality in entitlement.qualities)
    )


def covered(world: World, right: Right, release: Release) -> str:
    """The verdict on the release alone."""
    start, end = world.entitlements[right.entitlement].maintenance
    if release.state == "withdrawn":
        return "release-withdrawn"
    if start is not None and release.available_at < start:
        return "before-maintenance"
    if end is not None and release.available_at >= end:
        return "maintenance-ended"
    return GRANTED


def release_verdict(world: World, who: Person, right: Right, release: Release) -> str:
    """The verdict on looking at a release."""
    if not reaches(world, who, right, release):
        return MISSING
    verdict = standing(world, right)
    return verdict if verdict != GRANTED else covered(world, right, release)


def artifact_verdict(world: World, who: Person, right: Right, release: Release) -> str:
    """The verdict on downloading the artifact of a release."""
    if not reaches(world, who, right, release):
        return MISSING
    if who.disabled or who.left_for is not None:
        return "account-disabled"
    verdict = release_verdict(world, who, right, release)
    if verdict != GRANTED:
        return verdict
    return _export_verdict(world, right, release) or _licence_verdict(world, who, right)


def caller_verdict(world: World, who: Person) -> str:
    """The verdict on downloading anything at all, public assets included."""
    if who.disabled or who.left_for is not None:
        return "account-disabled"
    if world.blocked[who.organisation]:
        return "organisation-blocked"
    return "country-embargoed" if world.country in world.embargoed else GRANTED


def asset_verdicts(world: World, who: Person, product: int) -> set[str]:
    """The verdict on an asset of a product by each right of the caller's organisation to it."""
    return {
        _asset_verdict(world, who, right)
        for right in rights(world)
        if owns(world, who, right)
        and entitled_product(world, right) == product
        and world.entitlements[right.entitlement].right_to == "download"
    }


def _asset_verdict(world: World, who: Person, right: Right) -> str:
    if who.disabled or who.left_for is not None:
        return "account-disabled"
    verdict = standing(world, right)
    if verdict != GRANTED:
        return verdict
    allowed = world.entitlements[right.entitlement].countries or COUNTRIES
    if world.country not in allowed:
        return "country-not-allowed"
    if world.country in world.embargoed:
        return "country-embargoed"
    return _licence_verdict(world, who, right)


def _export_verdict(world: World, right: Right, release: Release) -> str | None:
    allowed = world.entitlements[right.entitlement].countries or COUNTRIES
    if world.country not in allowed:
        return "country-not-allowed"
    if world.country in world.embargoed:
        return "country-embargoed"
    if not release.controlled:
        return None
    if world.declared is None:
        return "declared-country-required"
    if world.declared not in allowed or world.declared in world.embargoed:
        return "declared-country-not-allowed"
    return None


def _licence_verdict(world: World, who: Person, right: Right) -> str:
    required = required_revision(world, right)
    if required is None:
        return GRANTED
    organisation = world.entitlements[right.entitlement].organisation
    for given in world.acceptances:
        same = (given.licence, given.revision) == required
        if same and given.organisation == organisation:
            if given.for_organisation:
                return GRANTED
            if not who.machine and world.people[given.person] is who:
                return GRANTED
    return "licence-required"


def required_revision(world: World, right: Right) -> tuple[int, int] | None:
    """The licence and revision that must have been accepted."""
    entitlement = world.entitlements[right.entitlement]
    if entitlement.pinned is not None:
        return entitlement.pinned
    product = entitled_product(world, right)
    assert product is not None
    licence = world.products[product].licence
    if licence is None:
        licence = world.products[entitlement.product].licence
    return None if licence is None else (licence, world.licences[licence])


# --- Drawing worlds


def _moments() -> st.SearchStrategy[datetime]:
    steps = [-2 * HOUR, -HOUR, -MOMENT, timedelta(0), MOMENT, HOUR, 2 * HOUR]
    return st.sampled_from([NOW + step for step in steps])


def _mostly(usual: T, *others: T) -> st.SearchStrategy[T]:
    """Mostly the value that lets things through, or nothing would ever get to the last rules."""
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), st.sampled_from(others))


@st.composite
def windows(
    draw: Callable[[st.SearchStrategy[T]], T], *, open_start: bool
) -> tuple[datetime | None, datetime | None]:
    """A period that does not end before it starts."""
    if open_start and draw(st.booleans()):  # type: ignore[arg-type]
        return None, None
    start, end = sorted([draw(_moments()), draw(_moments())])  # type: ignore[arg-type, type-var]
    return start, (None if start == end or draw(st.booleans()) else end)  # type: ignore[return-value, arg-type]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A world of two organisations, two products and a group of them."""
    licences = tuple(draw(st.lists(st.integers(1, 2), min_size=2, max_size=2)))
    licence = st.sampled_from([None, 0, 1])
    products = [Product(draw(licence), draw(st.booleans())) for _ in range(2)]
    members = draw(st.sampled_from([(0,), (0, 1), (1, 0)]))
    products.append(Product(draw(licence), restricted=False, members=members))
    people = [
        Person(0, machine, draw(_mostly(False, True)), draw(_mostly(None, 1)))
        for machine in (False, False, True)
    ]
    people.append(Person(1, machine=False, disabled=False, left_for=None))
    return World(
        blocked=(draw(_mostly(False, True)), False),
        licences=licences,
        products=products,
        releases=draw(st.lists(_releases(), min_size=1, max_size=3)),
        entitlements=draw(st.lists(_entitlements(licences), min_size=1, max_size=3)),
        people=people,
        acceptances=draw(st.lists(_acceptances(licences), max_size=5)),
        country=draw(_mostly("DE", "FR", "KP")),
        declared=draw(st.sampled_from([None, *COUNTRIES])),
        embargoed=draw(_mostly((), ("KP",), ("DE", "KP"))),
    )


def _releases() -> st.SearchStrategy[Release]:
    return st.builds(
        Release,
        product=st.integers(0, 1),
        state=_mostly("available", "withdrawn", "draft"),
        available_at=_moments(),
        quality=st.sampled_from(["EAC", "BETA"]),
        controlled=_mostly(False, True),
    )


def _entitlements(licences: tuple[int, ...]) -> st.SearchStrategy[Entitlement]:
    pins = [(licence, 1) for licence in range(len(licences))]
    pins += [(licence, 2) for licence, newest in enumerate(licences) if newest == 2]
    return st.builds(
        Entitlement,
        organisation=_mostly(0, 1),
        product=st.integers(0, 2),
        right_to=_mostly("download", "use"),
        qualities=_mostly((), ("EAC",), ("BETA", "LAC")),
        valid=_mostly((NOW - HOUR, None), (NOW, None)) | windows(open_start=False),
        maintenance=windows(open_start=True),
        activated_at=_moments(),
        revoked=_mostly(False, True),
        compliance=_mostly("approved", "pending", "blocked"),
        countries=_mostly((), ("DE",), ("FR",), ("DE", "FR")),
        pinned=_mostly(None, *pins),
    )


def _acceptances(licences: tuple[int, ...]) -> st.SearchStrategy[Acceptance]:
    return st.integers(0, len(licences) - 1).flatmap(
        lambda licence: st.builds(
            Acceptance,
            licence=st.just(licence),
            revision=_mostly(licences[licence], 1),
            person=st.integers(0, 1),
            organisation=st.integers(0, 1),
            for_organisation=_mostly(False, True),
        )
    )
