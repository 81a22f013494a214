"""Links to one file of an asset: the stored one, or a rendition that was made before.

A rendition is named as the operator's rules name it, by the label that a customer kept it
under (the latest of that label), or exactly, as `kept:<number>`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from entrepot.core.accounts import Keyring, Principal
from entrepot.core.conversions.kept import UserRendition, list_permitted_renditions
from entrepot.core.conversions.results import find_result, note_use
from entrepot.core.conversions.rules import MediaRules
from entrepot.core.delivery.links import (
    LINK_SECONDS_MAX,
    IssuedLink,
    begin_lease,
    sign_lease,
)
from entrepot.core.delivery.tables import leases
from entrepot.core.entitlements import PermittedAsset, permitted_asset
from entrepot.core.events import Event, record
from entrepot.core.orders.naming import mend_name, take_apart
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid, NotFound
from entrepot.kit.context import request_id

KEPT = "kept:"


@dataclass(frozen=True, slots=True)
class AssetFile:
    """Stored bytes, and what they are saved as."""

    sha256: str
    file_name: str
    content_type: str


def issue_asset_link(
    tx: Tx,
    keyring: Keyring,
    who: Principal,
    *,
    reference: str | int,
    rendition: str,
    rules: MediaRules,
    embargoed: Sequence[str] = (),
    seconds: int = LINK_SECONDS_MAX,
    now: datetime,
) -> IssuedLink:
    """Decide, write the lease, sign. NotFound or Denied as `permitted_asset` says.

    NotFound also where such an asset has no rendition of that name. Conflict
    (`rendition-not-made`): nobody has had it made yet.
    """
    asset = permitted_asset(tx, who, reference, embargoed=embargoed, now=now)
    kept = list_permitted_renditions(tx, who, asset.asset_id, embargoed=embargoed, now=now)
    file = _find_file(tx, asset, rendition, kept, rules, now)
    lease_id, expires_at = begin_lease(seconds, now)
    values: Mapping[str, Any] = {
        "id": lease_id,
        "principal": who.label,
        "user_id": who.user_id,
        "api_client_id": who.api_client_id,
        "organisation_id": who.organisation_id,
        "entitlement_id": asset.entitlement_id,
        "asset_id": asset.asset_id,
        "sha256": file.sha256,
        "file_name": file.file_name,
        "content_type": file.content_type,
        "country": who.country,
        "licence_revision_id": asset.licence_revision_id,
        "issued_at": now,
        "expires_at": expires_at,
        "request_id": request_id.get(),
    }
    tx.execute(insert(leases), values)
    event = Event(
        "link.issued",
        who.label,
        f"asset:{asset.asset_id}",
        who.organisation_id,
        {"rendition": rendition, "country": who.country},
    )
    record(tx, event, now=now)
    return sign_lease(keyring, lease_id, expires_at, file.file_name, now=now)


def _find_file(
    tx: Tx,
    asset: PermittedAsset,
    name: str,
    kept: Sequence[UserRendition],
    rules: MediaRules,
    now: datetime,
) -> AssetFile:
    try:
        found = rules.find_rendition(name)
        recipe = rules.rendition(found.name, asset.media_group, asset.content_type)
    except Invalid:
        return _find_kept(asset, name, kept)
    if recipe is None:
        return AssetFile(asset.sha256, asset.file_name, asset.content_type)
    result = find_result(tx, asset.sha256, recipe.key)
    if result is None:
        raise Conflict(
            f"The rendition {found.name} of this asset has not been made yet.",
            code="rendition-not-made",
            remedy="Place an order that asks for it; from then on it can be had here.",
        )
    note_use(tx, asset.sha256, recipe.key, now=now)
    file_name = rendition_file_name(asset.file_name, found.name, result.extension)
    return AssetFile(result.result_sha256, file_name, result.content_type)


def _find_kept(asset: PermittedAsset, name: str, kept: Sequence[UserRendition]) -> AssetFile:
    for each in reversed(kept):
        if name in (f"{KEPT}{each.id}", each.label):
            file_name = rendition_file_name(asset.file_name, each.label, each.extension)
            return AssetFile(each.sha256, file_name, each.content_type)
    raise NotFound


def rendition_file_name(original: str, rendition: str, extension: str) -> str:
    """What a rendition is saved as: safe on every system, and not the original's name."""
    stem = take_apart(original)[0]
    return mend_name(f"{stem}_{rendition.replace('/', '_')}.{extension}", extension)
