"""User renditions: results that a customer keeps with an asset, under a label of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from entrepot.core.accounts import Principal
from entrepot.core.catalogue.tables import assets, blobs, user_renditions
from entrepot.core.conversions.results import Result
from entrepot.core.entitlements import granted_to
from entrepot.core.events import Event, record
from entrepot.db import Tx
from entrepot.errors import Conflict
from entrepot.kit.text import LINE_LENGTH_MAX, check_line

KEPT_MAX = 1_000  # user renditions of one asset for one organisation
DESCRIPTION_LENGTH_MAX = 1_000
_KEY = ("asset_id", "organisation_id", "label", "recipe_key")


@dataclass(frozen=True, slots=True)
class UserRendition:
    """A kept result. `created_by` is a principal: user:<number> or client:<client id>."""

    id: int
    asset_id: int
    label: str
    culture: str | None
    description: str | None
    sha256: str
    size: int
    extension: str
    content_type: str
    created_by: str
    created_at: datetime
    product_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a customer says of a rendition to keep."""

    label: str
    culture: str | None = None
    description: str | None = None


def keep_rendition(
    tx: Tx,
    keeping: Keeping,
    result: Result,
    *,
    asset_id: int,
    organisation_id: int,
    recipe_key: str,
    source_sha256: str,
    product_ids: Sequence[int] = (),
    created_by: str,
    now: datetime,
) -> int | None:
    """Keep a result as a rendition of the asset for the whole organisation; gives its id.

    `product_ids`: those whose entitlements lent the watermarks in it; who has them no more does
    not have the rendition either. `source_sha256`: the file that it was made from. What is kept
    under this label by this recipe is replaced where this one is of the file that the asset has
    now: an order that was placed before the file was replaced may end after one placed since.
    None: the organisation has it already (a job may come twice), or one of a newer file.
    Conflict (renditions-full) beyond 1,000 of one asset.
    """
    values = {
        "asset_id": asset_id,
        "organisation_id": organisation_id,
        "label": check_line(keeping.label, field="label", length_max=LINE_LENGTH_MAX),
        "culture": keeping.culture,
        "description": None
        if keeping.description is None
        else check_line(
            keeping.description, field="description", empty=True, length_max=DESCRIPTION_LENGTH_MAX
        ),
        "recipe_key": recipe_key,
        "product_ids": list(product_ids),
        "sha256": result.result_sha256,
        "extension": result.extension,
        "content_type": result.content_type,
        "created_by": created_by,
        "created_at": now,
    }
    _require_room(tx, values)
    make = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = make(user_renditions)
    anew = statement.excluded
    of_present_file = exists().where(
        assets.c.id == user_renditions.c.asset_id, assets.c.sha256 == source_sha256
    )
    statement = statement.on_conflict_do_update(
        index_elements=_KEY,
        set_={name: anew[name] for name in values if name not in _KEY},
        where=(user_renditions.c.sha256 != anew.sha256) & of_present_file,
    )
    kept = tx.execute(statement.returning(user_renditions.c.id), values)
    rendition_id: int | None = kept.scalar_one_or_none()
    if rendition_id is not None:
        event = Event(
            "rendition.kept",
            created_by,
            f"asset:{asset_id}",
            organisation_id,
            {"rendition": rendition_id, "label": values["label"]},
        )
        record(tx, event, now=now)
    return rendition_id


def _require_room(tx: Tx, values: Mapping[str, Any]) -> None:
    others = [
        user_renditions.c[name] != values[name]
        for name in ("label", "recipe_key")  # the one that is there already may come again
    ]
    count = tx.execute(
        select(func.count()).where(
            user_renditions.c.asset_id == values["asset_id"],
            user_renditions.c.organisation_id == values["organisation_id"],
            or_(*others),
        )
    ).scalar_one()
    if count >= KEPT_MAX:
        raise Conflict(
            f"The asset has {KEPT_MAX} renditions of your organisation already.",
            code="renditions-full",
            remedy="Order without user_rendition_configuration.",
        )


def list_permitted_renditions(
    tx: Tx, who: Principal, asset_id: int, *, embargoed: Sequence[str] = (), now: datetime
) -> list[UserRendition]:
    """What `list_renditions` gives the caller's organisation, as far as the caller may have it.

    A watermark that an entitlement lent is a part of the picture: without the right to the one
    there is none to the other.
    """
    found = list_renditions(tx, asset_id, organisation_id=who.organisation_id)
    if not any(each.product_ids for each in found):
        return found
    granted = granted_to(tx, who, embargoed=embargoed, now=now)
    return [each for each in found if granted.issuperset(each.product_ids)]


def list_renditions(tx: Tx, asset_id: int, *, organisation_id: int) -> list[UserRendition]:
    """The renditions that the organisation keeps of an asset, oldest first; at most 1,000.

    Whether the caller may have the asset is asked before (`permitted_asset`).
    """
    rows = tx.execute(
        select(
            user_renditions.c.id,
            user_renditions.c.asset_id,
            user_renditions.c.label,
            user_renditions.c.culture,
            user_renditions.c.description,
            user_renditions.c.sha256,
            blobs.c.size,
            user_renditions.c.extension,
            user_renditions.c.content_type,
            user_renditions.c.created_by,
            user_renditions.c.created_at,
            user_renditions.c.product_ids,
        )
        .join_from(user_renditions, blobs, blobs.c.sha256 == user_renditions.c.sha256)
        .where(
            user_renditions.c.asset_id == asset_id,
            user_renditions.c.organisation_id == organisation_id,
        )
        .order_by(user_renditions.c.id)
        .limit(KEPT_MAX)
    )
    return [UserRendition(**row._mapping) for row in rows]
