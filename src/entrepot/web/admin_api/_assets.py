"""Media assets: who may have them, what they are called, where they lie. Files come in by
`_asset_uploads`."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import UNSET
from sqlalchemy import Row

from entrepot.core.catalogue import (
    ENTITLED,
    MEDIA_GROUPS,
    PUBLIC,
    AssetFilter,
    change_asset,
    count_assets,
    delete_asset,
    describe_asset,
    find_asset,
    find_product,
    list_assets,
)
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.web.admin_api._actions import (
    ANY_TEXT,
    PUBLISHING,
    Action,
    AnyAction,
    Call,
    Outcome,
    query_parameter,
)
from entrepot.web.admin_api._bodies import field_named
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_assets import AssetChange, StoredAsset, StoredAssetPage

TAG = "assets"
ONE = "/assets/{asset:str}"
_RENAMED = {"title": "titles"}


def asset_item(row: Row[Any]) -> StoredAsset:
    """An asset as it goes out."""
    return fill(StoredAsset, row)


def _list(tx: Tx, call: Call[None]) -> Outcome:
    visibility = call.query.get("visibility")
    if visibility not in (None, PUBLIC, ENTITLED):
        raise Invalid(
            f"There is no visibility {visibility!r}.",
            field="visibility",
            remedy=f"Visibilities: {PUBLIC}, {ENTITLED}.",
        )
    wanted = AssetFilter(
        product=call.query.get("product"),
        media_group=call.query.get("group"),
        visibility=visibility,
        folder=call.query.get("folder"),
    )
    with field_named("product"):
        if wanted.product is not None:
            find_product(tx, wanted.product)
    found = list_assets(tx, wanted, skip=call.rows.skip, take=call.rows.take)
    items = [asset_item(row) for row in found]
    return Outcome(StoredAssetPage(count_assets(tx, wanted), items))


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(asset_item(find_asset(tx, call.ids["asset"])))


def _change(tx: Tx, call: Call[AssetChange]) -> Outcome:
    told = {
        _RENAMED.get(name, name): value
        for name, value in msgspec.structs.asdict(call.body).items()
        if value is not UNSET
    }
    spec = replace(describe_asset(tx, call.ids["asset"]), **told)
    number = change_asset(tx, call.ids["asset"], spec, actor=call.actor, now=call.now)
    return Outcome(asset_item(find_asset(tx, number)))


def _delete(tx: Tx, call: Call[None]) -> Outcome:
    delete_asset(tx, call.ids["asset"], actor=call.actor, now=call.now)
    return Outcome()


def _one_of(*values: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, enum=list(values))


ASSET_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        TAG,
        "GET",
        "/assets",
        "listAssets",
        "List media assets by number",
        PUBLISHING,
        _list,
        answer=StoredAssetPage,
        filters=(
            query_parameter("product", "Only of this one: number or code."),
            query_parameter(
                "group",
                "Only of this media group.",
                schema=_one_of(*(group.name for group in MEDIA_GROUPS)),
            ),
            query_parameter(
                "visibility",
                "Only those for everyone, or those that a product gives.",
                schema=_one_of(PUBLIC, ENTITLED),
            ),
            query_parameter("folder", "Only in this folder, and below it.", schema=ANY_TEXT),
        ),
        paged=True,
    ),
    Action(TAG, "GET", ONE, "showAsset", "Show an asset", PUBLISHING, _show, answer=StoredAsset),
    Action(
        TAG,
        "PATCH",
        ONE,
        "changeAsset",
        "Change what is said of an asset, and who may have it",
        PUBLISHING,
        _change,
        answer=StoredAsset,
        body=AssetChange,
    ),
    Action(
        TAG,
        "DELETE",
        ONE,
        "deleteAsset",
        "Take an asset away from everyone; orders placed before still deliver it",
        PUBLISHING,
        _delete,
        status=204,
    ),
)
