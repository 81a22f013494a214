"""The one permission predicate, in SQL.

Every question "may this caller have that?" is the same CASE expression over the same
joins: lists filter by it, a link is issued by it, and a link in use is checked by it again.

It has two parts. The *chain* decides whether the caller has a right of any kind to the
object: artifact in release, release of the entitled product, available by now and of an
included quality, entitlement of the caller's organisation with the right to download. A
broken chain yields no row, and no row is NotFound, whatever link is broken. The *rules*
then decide whether a condition fails now; the first that fails is the verdict.

A grouped entitlement has one child for each member of the group. A child is never stored:
its number is computed, entitlement number x 10^9 + product number (docs/decisions/0002).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
)

from entrepot.core.accounts.tables import api_clients, organisations, users
from entrepot.core.catalogue.tables import (
    artifacts,
    blobs,
    licence_revisions,
    licences,
    product_members,
    products,
    releases,
)
from entrepot.core.entitlements.tables import acceptances, client_acceptances, entitlements
from entrepot.db import Prepared
from entrepot.db.schema import Instant, Number, has_code, is_one_of, is_set, no_codes

GRANTED = "granted"
RIGHT_TO_DOWNLOAD = "download"
CHILD_FACTOR = 10**9

Condition: TypeAlias = ColumnElement[bool]


class Rule(NamedTuple):
    """A verdict and the condition under which it is passed."""

    verdict: str
    fails_when: Condition


@dataclass(frozen=True, slots=True)
class Reference:
    """An entitlement number taken apart: the stored entitlement and, for a child, its product."""

    entitlement_id: int
    child_product_id: int | None

    @property
    def number(self) -> int:
        """The public number."""
        if self.child_product_id is None:
            return self.entitlement_id
        return child_number(self.entitlement_id, self.child_product_id)


def take_apart(number: int) -> Reference:
    """The stored entitlement, and the child's product, that a public number means."""
    if number < CHILD_FACTOR:
        return Reference(number, None)
    return Reference(number // CHILD_FACTOR, number % CHILD_FACTOR)


def child_number(entitlement_id: int, product_id: int) -> int:
    """The public number of a group's child."""
    return entitlement_id * CHILD_FACTOR + product_id


def _number(name: str) -> BindParameter[Any]:
    return bindparam(name, type_=Number)


def _text(name: str) -> BindParameter[Any]:
    return bindparam(name, type_=Text())


NOW: BindParameter[Any] = bindparam("now", type_=Instant())
ORGANISATION, USER, CLIENT = (
    _number("organisation_id"),
    _number("user_id"),
    _number("api_client_id"),
)
COUNTRY, DECLARED, EMBARGOED = _text("country"), _text("declared_country"), _text("embargoed")

bought = products.alias("bought")  # the product the entitlement names: a group for children
entitled = products.alias("entitled")  # the product whose releases it gives


def entitlement_source(*, child: bool) -> FromClause:
    """Entitlement, its organisation and the product entitled; for children one row a member."""
    joined = entitlements.join(organisations, organisations.c.id == entitlements.c.organisation_id)
    if not child:
        return joined.join(entitled, entitled.c.id == entitlements.c.product_id)
    return joined.join(
        product_members, product_members.c.group_id == entitlements.c.product_id
    ).join(entitled, entitled.c.id == product_members.c.product_id)


ENTITLEMENT_RULES: tuple[Rule, ...] = (
    Rule("organisation-blocked", is_set(organisations.c.blocked)),
    Rule("entitlement-revoked", entitlements.c.revoked_at.is_not(None)),
    Rule("entitlement-not-started", entitlements.c.valid_from > NOW),
    Rule("entitlement-expired", entitlements.c.valid_to <= NOW),
    Rule("compliance-blocked", entitlements.c.compliance == "blocked"),
    Rule(
        "compliance-pending",
        and_(entitlements.c.compliance == "pending", is_set(entitled.c.eccn_restricted)),
    ),
)

RELEASE_RULES: tuple[Rule, ...] = (
    Rule("release-withdrawn", releases.c.state == "withdrawn"),
    Rule("before-maintenance", releases.c.available_at < entitlements.c.maintenance_from),
    Rule("maintenance-ended", releases.c.available_at >= entitlements.c.maintenance_to),
)

_principal_enabled = or_(
    exists().where(
        users.c.id == USER,
        users.c.disabled_at.is_(None),
        users.c.organisation_id == organisations.c.id,
    ),
    exists().where(
        api_clients.c.id == CLIENT,
        api_clients.c.disabled_at.is_(None),
        api_clients.c.organisation_id == organisations.c.id,
    ),
)
_restricted = not_(no_codes(entitlements.c.allowed_countries))

# What is taken by the entitlement is reserved of its quota (delivery, when bytes go out).
has_quota = or_(
    entitlements.c.downloads_max.is_not(None),
    entitlements.c.bytes_max.is_not(None),
    entitlements.c.addresses_max.is_not(None),
)

# The entitled product's licence, else that of the group it was bought in.
_licence_id = func.coalesce(
    entitled.c.licence_id,
    select(bought.c.licence_id)
    .where(bought.c.id == entitlements.c.product_id)
    .correlate(entitlements)
    .scalar_subquery(),
)

# The licence of `required_revision`.
licence_code = (
    select(licences.c.code)
    .where(
        licences.c.id
        == func.coalesce(
            select(licence_revisions.c.licence_id)
            .where(licence_revisions.c.id == entitlements.c.licence_revision_id)
            .correlate(entitlements)
            .scalar_subquery(),
            _licence_id,
        )
    )
    .correlate(entitled, entitlements)
    .scalar_subquery()
)

# The revision that must have been accepted: the pinned one, else the licence's newest.
required_revision = func.coalesce(
    entitlements.c.licence_revision_id,
    select(licence_revisions.c.id)
    .where(licence_revisions.c.licence_id == _licence_id)
    .order_by(licence_revisions.c.revision.desc())
    .limit(1)
    .correlate(entitled, entitlements)
    .scalar_subquery(),
)

# An acceptance counts in the organisation that it was given in: who moves reads anew.
_accepted = or_(
    exists().where(
        acceptances.c.revision_id == required_revision,
        acceptances.c.organisation_id == entitlements.c.organisation_id,
        or_(acceptances.c.user_id == USER, is_set(acceptances.c.for_organisation)),
    ),
    exists().where(
        client_acceptances.c.revision_id == required_revision,
        client_acceptances.c.organisation_id == entitlements.c.organisation_id,
        client_acceptances.c.api_client_id == CLIENT,
    ),
)

_ACCOUNT_DISABLED = Rule("account-disabled", not_(_principal_enabled))
_COUNTRY_NOT_ALLOWED = Rule(
    "country-not-allowed",
    and_(_restricted, not_(has_code(entitlements.c.allowed_countries, COUNTRY))),
)
_COUNTRY_EMBARGOED = Rule("country-embargoed", has_code(EMBARGOED, COUNTRY))
_LICENCE_REQUIRED = Rule("licence-required", and_(required_revision.is_not(None), not_(_accepted)))

ARTIFACT_RULES: tuple[Rule, ...] = (
    _ACCOUNT_DISABLED,
    _COUNTRY_NOT_ALLOWED,
    _COUNTRY_EMBARGOED,
    Rule(
        "declared-country-required",
        and_(is_set(artifacts.c.controlled), DECLARED.is_(None)),
    ),
    Rule(
        "declared-country-not-allowed",
        and_(
            is_set(artifacts.c.controlled),
            or_(
                and_(_restricted, not_(has_code(entitlements.c.allowed_countries, DECLARED))),
                has_code(EMBARGOED, DECLARED),
            ),
        ),
    ),
    _LICENCE_REQUIRED,
)

# All that is asked of an artifact whose chain is whole, in the order in which it is asked.
WHOLE_ARTIFACT_RULES: tuple[Rule, ...] = (
    ARTIFACT_RULES[0],
    *ENTITLEMENT_RULES,
    *RELEASE_RULES,
    *ARTIFACT_RULES[1:],
)

# For assets: as for an artifact, but no release stands between the file and its product.
ASSET_RULES: tuple[Rule, ...] = (
    _ACCOUNT_DISABLED,
    *ENTITLEMENT_RULES,
    _COUNTRY_NOT_ALLOWED,
    _COUNTRY_EMBARGOED,
    _LICENCE_REQUIRED,
)
# What keeps a caller from every download, public assets included; needs no entitlement.
CALLER_RULES: tuple[Rule, ...] = (_ACCOUNT_DISABLED, ENTITLEMENT_RULES[0], _COUNTRY_EMBARGOED)


def _constant(verdict: str) -> ColumnElement[str]:
    """A verdict spelled into the statement: it is ours, and binding it would cost each time."""
    return literal_column(f"'{verdict}'", Text())


def verdict_of(*rules: Rule) -> ColumnElement[str]:
    """The verdict of the first rule that fails, else GRANTED."""
    return case(
        *((rule.fails_when, _constant(rule.verdict)) for rule in rules),
        else_=_constant(GRANTED),
    )


def failures_of(*rules: Rule) -> list[ColumnElement[int]]:
    """A column for each rule, see `failure_column`: 1 where the rule fails, else 0."""
    no, yes = literal_column("0", Integer()), literal_column("1", Integer())
    return [
        case((rule.fails_when, yes), else_=no).label(failure_column(rule.verdict)) for rule in rules
    ]


def failure_column(verdict: str) -> str:
    """The name of the column that says whether the rule with this verdict fails."""
    return "fails_" + verdict.replace("-", "_")


def holds(*rules: Rule) -> Condition:
    """Whether no rule fails. A comparison with NULL is no failure, as in `verdict_of`.

    Numbers, not verdicts: ranking asks it of every entitlement an organisation has.
    """
    no, yes = literal_column("0", Integer()), literal_column("1", Integer())
    return case(*((rule.fails_when, no) for rule in rules), else_=yes) == yes


release_in_chain: Condition = and_(
    releases.c.product_id == entitled.c.id,
    releases.c.state != "draft",
    releases.c.available_at <= NOW,
    or_(no_codes(entitlements.c.qualities), has_code(entitlements.c.qualities, releases.c.quality)),
    entitlements.c.right_to == RIGHT_TO_DOWNLOAD,
)


def of_reference(*, child: bool) -> Condition:
    """The entitlement with the bound number, of the bound organisation."""
    conditions = [
        entitlements.c.id == _number("entitlement_id"),
        entitlements.c.organisation_id == ORGANISATION,
    ]
    if child:
        conditions += [
            entitled.c.id == _number("child_product_id"),
            # Children are only inherited with the right to download (contract, section 2).
            entitlements.c.right_to == RIGHT_TO_DOWNLOAD,
        ]
    return and_(*conditions)


Level: TypeAlias = Literal["release", "artifact", "artifacts", "chosen", "explained"]


@cache
def permission(level: Level, *, child: bool) -> Prepared:
    """One row with the verdict on one release or artifact; no row where the chain is broken.

    The level `artifacts` gives a row for every one of the release, in the publisher's order, and
    `chosen` for those of them that are named;
    `explained` is `artifact` with a column for each rule and what is told of them.

    Bind: now, organisation_id, entitlement_id, release_id; child_product_id for children;
    for artifacts also user_id, api_client_id, country, declared_country and embargoed
    (codes as `,AA,BB,`); for one of them artifact_id, for those chosen artifact_ids (by
    `listed_texts`).
    """
    source = entitlement_source(child=child).join(releases, release_in_chain)
    columns: list[Any] = [
        entitlements.c.id.label("entitlement_id"),
        entitlements.c.maintenance_from,
        entitlements.c.maintenance_to,
        entitlements.c.valid_from,
        entitlements.c.valid_to,
        entitled.c.id.label("product_id"),
        entitled.c.code.label("product_code"),
        releases.c.id.label("release_id"),
        releases.c.available_at,
    ]
    rules: tuple[Rule, ...] = (*ENTITLEMENT_RULES, *RELEASE_RULES)
    if level != "release":
        source = source.join(artifacts, artifacts.c.release_id == releases.c.id).join(
            blobs, blobs.c.sha256 == artifacts.c.sha256
        )
        columns += [
            artifacts.c.id.label("artifact_id"),
            artifacts.c.file_name,
            artifacts.c.content_type,
            artifacts.c.controlled,
            blobs.c.sha256,
            blobs.c.size,
            required_revision.label("licence_revision_id"),
            has_quota.label("limited"),
        ]
        if level in ("artifacts", "chosen"):
            columns += [blobs.c.crc32, blobs.c.md5, releases.c.name.label("release_name")]
        if level == "explained":
            columns += [
                releases.c.name.label("release_name"),
                releases.c.quality,
                entitlements.c.compliance,
                entitled.c.us_eccn,
                entitled.c.eccn_restricted,
                *failures_of(*WHOLE_ARTIFACT_RULES),
            ]
        rules = WHOLE_ARTIFACT_RULES
    query = (
        select(*columns, verdict_of(*rules).label("verdict"))
        .select_from(source)
        .where(of_reference(child=child), releases.c.id == _text("release_id"))
    )
    if level in ("artifact", "explained"):
        query = query.where(artifacts.c.id == _text("artifact_id"))
    if level == "chosen":
        query = query.where(is_one_of(artifacts.c.id, _text("artifact_ids")))
    if level in ("artifacts", "chosen"):
        query = query.order_by(artifacts.c.position)
    return Prepared(query)
