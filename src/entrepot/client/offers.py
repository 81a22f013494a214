"""What a hub offers now: every release that the caller's entitlements give, with its files.

One request lists the entitlements, and one for each of them the releases; where the hub gives an
ETag, an answer that was kept is asked for conditionally and comes back as 304 without a body.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from entrepot.client.answers import JsonObject, parse_object
from entrepot.client.client import Client
from entrepot.client.errors import BadAnswer, ClientError, Denied, NotSignedIn
from entrepot.client.kept_answers import Answers
from entrepot.client.verification import Expected, expected_of

ROOT = ("e-product-entitlement-customer", "v1", "entitlements")
# Of the others the hub gives no list, and says so in the entitlement.
_GIVING = frozenset({"active", "lapsed"})
NOT_STARTED = "entitlement-pending"
# The hub's words for a right that has come to its end.
ENDINGS = frozenset(
    {"entitlement-expired", "entitlement-revoked", "maintenance-ended", "before-maintenance"}
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """A file of a release: `size` in bytes, `sha256` in lower-case hex, the hub's object."""

    artifact_id: str
    name: str
    size: int
    sha256: str
    artifact: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfferedRelease:
    """A release, and the entitlements that give it, the best first."""

    product: str
    id: str
    name: str
    available_at: str
    entitlements: tuple[str, ...]
    files: tuple[OfferedFile, ...]


@dataclass(frozen=True, slots=True)
class Withheld:
    """An entitlement whose releases could not be listed, and why."""

    entitlement: str
    product: str
    error: ClientError

    @property
    def ended(self) -> bool:
        """Whether the hub itself, and nobody on the way, said that it gives nothing now."""
        return isinstance(self.error, Denied) and bool(self.error.reason)

    @property
    def for_good(self) -> bool:
        """Whether what it gave is given no more; what is blocked or suspended may come back."""
        return isinstance(self.error, Denied) and self.error.reason in ENDINGS


@dataclass(frozen=True, slots=True)
class Offers:
    """What there is, what is withheld, and the answers to keep for the next time."""

    releases: tuple[OfferedRelease, ...]
    withheld: tuple[Withheld, ...]
    answers: Answers
    unchanged: int = 0  # lists that the hub did not have to send again
    products: frozenset[str] = frozenset()  # that there are entitlements to, of those taken
    held: frozenset[str] = frozenset()  # the numbers of all entitlements of the caller's


@dataclass(frozen=True, slots=True)
class _Source:
    entitlement: str
    product: str
    status: str


def ask_for_offers(
    client: Client,
    takes_product: Callable[[str], bool],
    *,
    jobs: int = 3,
    answers: Answers | None = None,
) -> Offers:
    """Everything of the products that are taken. One list that fails does not stop the others.

    Raises a ClientError where the entitlements themselves cannot be listed, and NotSignedIn.
    """
    every = _sources(client.entitlements())
    sources = [one for one in every if takes_product(one.product)]
    giving = [one for one in sources if one.status.lower() in _GIVING]
    withheld = [
        Withheld(
            one.entitlement,
            one.product,
            Denied(
                f"The entitlement {one.entitlement} to {one.product} is {one.status}.",
                remedy=f"See: entrepot why {one.product}",
                reason="entitlement-" + one.status.lower(),
            ),
        )
        for one in sources
        if one not in giving
    ]
    known = answers or Answers()

    def ask(one: _Source) -> "tuple[_Source, _List | ClientError]":
        try:
            return one, _ask(client, one, known)
        except NotSignedIn:
            raise
        except ClientError as error:
            _log.debug("releases of %s", one.entitlement, exc_info=True)
            return one, error

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        try:
            told = list(pool.map(ask, giving))
        except BaseException:
            client.stop.set()
            raise
    fresh, unchanged = Answers(known.owner), 0
    releases: list[OfferedRelease] = []
    for one, found in told:
        if isinstance(found, ClientError):
            withheld.append(Withheld(one.entitlement, one.product, found))
            continue
        fresh.keep(one.entitlement, found.etag, found.items)
        unchanged += found.unchanged
        releases += found.releases
    products = frozenset(one.product for one in sources)
    held = frozenset(one.entitlement for one in every)
    return Offers(_merged(releases), tuple(withheld), fresh, unchanged, products, held)


@dataclass(frozen=True, slots=True)
class _List:
    releases: list[OfferedRelease]
    items: list[JsonObject]
    etag: str | None
    unchanged: bool


def _ask(client: Client, one: _Source, known: Answers) -> _List:
    kept = _kept(one, known)
    headers = {"If-None-Match": kept.etag} if kept is not None and kept.etag else {}
    path = (*ROOT, one.entitlement, "rights", "download", "releases")
    reply = client.api.call("GET", path, headers=headers)
    if reply.status == 304 and kept is not None:
        return kept
    items = parse_object(reply.body).get("items", [])
    return _List(_releases(items, one), items, reply.headers.get("ETag"), unchanged=False)


def _kept(one: _Source, known: Answers) -> _List | None:
    """What was kept of the list; it has to be as good as one that comes now."""
    kept = known.find(one.entitlement)
    if kept is None:
        return None
    etag, items = kept
    try:
        return _List(_releases(items, one), items, etag, unchanged=True)
    except BadAnswer:
        return None


def _releases(items: Any, one: _Source) -> list[OfferedRelease]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadAnswer("The hub's answer is not a list of objects.")
    return [release_of(item, one.product, (one.entitlement,)) for item in items]


def _sources(entitlements: Iterable[JsonObject]) -> list[_Source]:
    """What can be asked for releases: entitlements to download, and the children of groups."""
    found: list[_Source] = []
    for one in entitlements:
        if one.get("rightTo", "download") != "download":
            continue
        status = str(one.get("status", "Active"))
        children = one.get("virtualEntitlements")
        holders = [one, *(children if isinstance(children, list) else ())]
        for holder in holders:
            product = holder.get("product") if isinstance(holder, dict) else None
            code = product.get("id") if isinstance(product, dict) else None
            if isinstance(code, str) and code and holder.get("id"):
                found.append(_Source(str(holder["id"]), code, status))
    return found


def _merged(releases: Iterable[OfferedRelease]) -> tuple[OfferedRelease, ...]:
    """Each release once, with every entitlement that gives it, in the order of the lists."""
    found: dict[tuple[str, str], OfferedRelease] = {}
    for release in releases:
        key = (release.product, release.id)
        there = found.get(key, release)
        entitlements = dict.fromkeys((*there.entitlements, *release.entitlements))
        found[key] = replace(there, entitlements=tuple(entitlements))
    return tuple(found.values())


def release_of(item: JsonObject, product: str, entitlements: tuple[str, ...]) -> OfferedRelease:
    """A release as the hub describes it. Raises BadAnswer."""
    release_id, artifacts = item.get("id"), item.get("artifacts", [])
    if not isinstance(release_id, str) or not release_id or not isinstance(artifacts, list):
        raise BadAnswer("The hub's answer holds a release without an id or files.")
    return OfferedRelease(
        product,
        release_id,
        str(item.get("name") or release_id),
        str(item.get("availableAt") or ""),
        entitlements,
        tuple(_file(artifact) for artifact in artifacts if isinstance(artifact, dict)),
    )


def _file(artifact: Mapping[str, Any]) -> OfferedFile:
    expected: Expected = expected_of(artifact)
    name = artifact.get("fileName")
    if expected.algorithm != "sha256" or expected.size is None:
        raise BadAnswer(
            f"The hub gives no size or SHA-256 of {str(name)[:80]!r}.",
            remedy="Files without a digest can be fetched by `entrepot download` only.",
        )
    return OfferedFile(
        str(artifact.get("id", "")),
        name if isinstance(name, str) else "",
        expected.size,
        expected.digest,
        artifact,
    )
