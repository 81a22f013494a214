"""Who may have what: granting, changing and revoking entitlements."""

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from entrepot.core.catalogue import find_product, find_revision
from entrepot.core.delivery import find_quota
from entrepot.core.entitlements import (
    Grant,
    change_entitlement,
    find_entitlement,
    grant,
    list_all_entitlements,
    revoke,
)
from entrepot.db import Tx
from entrepot.errors import Invalid, NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.admin_api._actions import (
    OF_ORGANISATION,
    PUBLISHING,
    Action,
    AnyAction,
    Call,
    Outcome,
)
from entrepot.web.admin_api._bodies import field_named, instant
from entrepot.web.admin_api._owners import owner_named, owner_wanted
from entrepot.web.admin_api._wire import fill, moment
from entrepot.web.admin_api._wire_entitlements import (
    EntitlementChange,
    NewEntitlement,
    QuotaItem,
    StoredEntitlement,
    StoredEntitlementPage,
)

_INSTANTS = ("valid_from", "valid_to", "maintenance_from", "maintenance_to")
# What a grant says, beside its product; the columns of an entitlement are called the same.
_GRANTED = (
    "right_to",
    "free",
    "qualities",
    *_INSTANTS,
    "design_start",
    "allowed_countries",
    "compliance",
    "compliance_reason",
    "pinned_licence",
    "pinned_revision",
    "sales_order_item",
    "downloads_max",
    "bytes_max",
    "addresses_max",
)


def _list(tx: Tx, call: Call[None]) -> Outcome:
    number = owner_wanted(tx, call)
    found, total = list_all_entitlements(
        tx, organisation_id=number, skip=call.rows.skip, take=call.rows.take
    )
    return Outcome(StoredEntitlementPage(total, [fill(StoredEntitlement, row) for row in found]))


def _find(tx: Tx, call: Call[Any]) -> Row[Any]:
    said = call.ids["entitlement_id"]
    number = parse_number(said)
    if number is None:
        raise NotFound(f"There is no entitlement {said[:40]!r}.")
    return find_entitlement(tx, number)


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(fill(StoredEntitlement, _find(tx, call)))


def _grant(tx: Tx, call: Call[NewEntitlement]) -> Outcome:
    told = msgspec.structs.asdict(call.body)
    owner = owner_named(tx, told.pop("organisation"))
    with field_named("product"):
        product = find_product(tx, told.pop("product"))
    again = told.pop("again")
    given = Grant(product.code, **_with_instants(told))
    _check_pinned(tx, given)
    number = grant(tx, owner.id, given, again=again, actor=call.actor, now=call.now)
    item = fill(StoredEntitlement, find_entitlement(tx, number))
    return Outcome(item, f"/entitlements/{number}")


def _change(tx: Tx, call: Call[EntitlementChange]) -> Outcome:
    row = _find(tx, call)
    told = {
        name: value
        for name, value in msgspec.structs.asdict(call.body).items()
        if value is not UNSET
    }
    if told.get("pinned_licence", UNSET) is None:
        told.setdefault("pinned_revision", None)
    stored = Grant(row.product_code, **{name: row._mapping[name] for name in _GRANTED})
    given = replace(stored, **_with_instants(told))
    _check_pinned(tx, given)
    change_entitlement(tx, row.id, given, actor=call.actor, now=call.now)
    return Outcome(fill(StoredEntitlement, find_entitlement(tx, row.id)))


def _with_instants(told: dict[str, Any]) -> dict[str, Any]:
    return told | {name: instant(told[name], name) for name in _INSTANTS if name in told}


def _check_pinned(tx: Tx, given: Grant) -> None:
    if given.pinned_licence is not None:
        with field_named("pinned_licence"):
            find_revision(tx, given.pinned_licence)
        with field_named("pinned_revision"):
            find_revision(tx, given.pinned_licence, given.pinned_revision)
    elif given.pinned_revision is not None:
        raise Invalid(
            "A revision is pinned without its licence.",
            field="pinned_licence",
            remedy="Send the licence's code as pinned_licence.",
        )


def _revoke(tx: Tx, call: Call[None]) -> Outcome:
    revoke(tx, _find(tx, call).id, actor=call.actor, now=call.now)
    return Outcome()


def _show_quota(tx: Tx, call: Call[None]) -> Outcome:
    quota = find_quota(tx, _find(tx, call).id, now=call.now)
    return Outcome(
        QuotaItem(
            quota.entitlement_id,
            quota.downloads_max,
            quota.downloads_used,
            quota.bytes_max,
            quota.bytes_used,
            quota.addresses_max,
            quota.addresses_used,
            None if quota.returns_at is None else moment(quota.returns_at),
        )
    )


_TAG = "grants"
_ONE = "/entitlements/{entitlement_id:str}"
ENTITLEMENT_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        "/entitlements",
        "listAllEntitlements",
        "List the entitlements of all organisations, or of one",
        PUBLISHING,
        _list,
        answer=StoredEntitlementPage,
        filters=(OF_ORGANISATION,),
        paged=True,
    ),
    Action(
        _TAG,
        "POST",
        "/entitlements",
        "grantEntitlement",
        "Give an organisation an entitlement",
        PUBLISHING,
        _grant,
        status=201,
        answer=StoredEntitlement,
        body=NewEntitlement,
        conflicts=True,
        description="What a live entitlement gives already is given twice only with `again`.",
    ),
    Action(
        _TAG,
        "GET",
        _ONE,
        "showStoredEntitlement",
        "Show an entitlement of any organisation",
        PUBLISHING,
        _show,
        answer=StoredEntitlement,
    ),
    Action(
        _TAG,
        "GET",
        f"{_ONE}/quota",
        "showQuota",
        "Show how much of an entitlement's quota is used",
        PUBLISHING,
        _show_quota,
        answer=QuotaItem,
    ),
    Action(
        _TAG,
        "PATCH",
        _ONE,
        "changeEntitlement",
        "Change what an entitlement gives",
        PUBLISHING,
        _change,
        answer=StoredEntitlement,
        body=EntitlementChange,
        conflicts=True,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/revoke",
        "revokeEntitlement",
        "End an entitlement at once; its links die within seconds",
        PUBLISHING,
        _revoke,
        status=204,
        conflicts=True,
    ),
)
