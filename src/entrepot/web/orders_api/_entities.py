"""The assets that an order can be made of, and the renditions in which each can be had."""

from collections.abc import Iterator
from typing import Annotated, TypeAlias

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.core.accounts import Principal
from entrepot.core.catalogue import MEDIA_GROUPS, title_in
from entrepot.core.catalogue.media_types import GROUP_PREFIX
from entrepot.core.conversions.kept import UserRendition, list_permitted_renditions
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.results import Result, find_results
from entrepot.core.conversions.rules import MediaRules
from entrepot.core.delivery import KEPT, issue_asset_link, rendition_file_name
from entrepot.core.entitlements import PermittedAsset, list_permitted_assets, permitted_asset
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.web.orders_api._door import AnyRequest, Door, answer, skip_and_take
from entrepot.web.orders_api._hrefs import Hrefs
from entrepot.web.orders_api._operations import MEDIA_GROUP, SKIP, TAKE, answers, described
from entrepot.web.orders_api._wire import Entity, EntityList, Rendition, RenditionList

OfEntity: TypeAlias = Annotated[
    str, PathParameter(description="An asset: its number or identifier.")
]
OfRendition: TypeAlias = Annotated[
    str,
    PathParameter(
        description="A standard rendition, `kept:<number>`, or the label of one that was kept."
    ),
]
_GROUP_OF = {
    key.lower(): group
    for group in MEDIA_GROUPS
    for key in (str(group.number), group.name, group.identifier)
}


def _entity(hrefs: Hrefs, asset: PermittedAsset) -> Entity:
    group = _GROUP_OF[asset.media_group.lower()]
    return Entity(
        id=asset.asset_id,
        identifier=asset.identifier,
        title=dict(asset.title),
        media_group=hrefs.link("/api/mediagroups", group.identifier),
        file_name=asset.file_name,
        content_type=asset.content_type,
        size=asset.size,
        sha256=asset.sha256,
        facts=dict(asset.facts),
        renditions=hrefs.renditions(asset.asset_id),
        self=hrefs.entity(asset.asset_id, title_in(asset.title, None)),
    )


def _renditions(tx: Tx, door: Door, asset: PermittedAsset, who: Principal) -> RenditionList:
    standard = dict(_standard(door.hub.media, asset))
    keys = {recipe.key for recipe in standard.values() if recipe is not None}
    made = find_results(tx, asset.sha256, keys)
    kept = list_permitted_renditions(
        tx, who, asset.asset_id, embargoed=door.policy.embargoed, now=door.hub.now()
    )
    items = [
        *(
            _stored(door, asset, name)
            if recipe is None
            else _converted(door, asset, name, recipe, made.get(recipe.key))
            for name, recipe in standard.items()
        ),
        *(_kept(door, asset, each) for each in kept),
    ]
    return RenditionList(items, len(items), door.hrefs.renditions(asset.asset_id))


def _standard(rules: MediaRules, asset: PermittedAsset) -> Iterator[tuple[str, Recipe | None]]:
    """The renditions that the asset can have, and how each is made; None: it is the stored file."""
    for name in rules.renditions_of(asset.media_group):
        try:
            yield name, rules.rendition(name, asset.media_group, asset.content_type)
        except Invalid:
            continue  # the group has it, this type of file cannot


def _stored(door: Door, asset: PermittedAsset, name: str) -> Rendition:
    return Rendition(
        name=name,
        kind="standard",
        extension=None,
        content_type=asset.content_type,
        converted=False,
        description=door.hub.media.find_rendition(name).title,
        culture=None,
        size=asset.size,
        download_location=door.hrefs.rendition(asset.asset_id, name, asset.file_name),
    )


def _converted(
    door: Door, asset: PermittedAsset, name: str, recipe: Recipe, made: Result | None
) -> Rendition:
    file_name = rendition_file_name(asset.file_name, name, recipe.extension)
    return Rendition(
        name=name,
        kind="standard",
        extension=recipe.extension,
        content_type=recipe.content_type,
        converted=True,
        description=door.hub.media.find_rendition(name).title,
        culture=None,
        size=None if made is None else made.size,
        download_location=None
        if made is None
        else door.hrefs.rendition(asset.asset_id, name, file_name),
    )


def _kept(door: Door, asset: PermittedAsset, kept: UserRendition) -> Rendition:
    file_name = rendition_file_name(asset.file_name, kept.label, kept.extension)
    return Rendition(
        name=kept.label,
        kind="user",
        extension=kept.extension,
        content_type=kept.content_type,
        converted=True,
        description=kept.description,
        culture=kept.culture,
        size=kept.size,
        download_location=door.hrefs.rendition(asset.asset_id, f"{KEPT}{kept.id}", file_name),
    )


def _permitted(door: Door, tx: Tx, who: Principal, reference: str) -> PermittedAsset:
    return permitted_asset(tx, who, reference, embargoed=door.policy.embargoed, now=door.hub.now())


def _wanted(group: str | None) -> str | None:
    if not group:
        return None
    found = _GROUP_OF.get(group.lower())
    if found is None:
        raise Invalid(
            f"There is no media group {group[:80]!r}.",
            field="mediaGroup",
            code="media-group-unknown",
            remedy=f"Groups: {', '.join(GROUP_PREFIX + each.name for each in MEDIA_GROUPS)}.",
        )
    return found.name


def _list(door: Door) -> HTTPRouteHandler:
    @get(
        "/api/entities",
        operation_id="listEntities",
        summary="List the assets that you may have",
        operation_class=described(SKIP, TAKE, MEDIA_GROUP),
        responses=answers(EntityList, "By number."),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        who, parameters = await door.enter(request)
        skip, take = skip_and_take(parameters)
        group = parameters.get("mediagroup")
        wanted = _wanted(group)
        embargoed, now = door.policy.embargoed, door.hub.now()

        def page(tx: Tx) -> EntityList:
            found, total = list_permitted_assets(
                tx,
                who,
                media_group=wanted,
                skip=skip,
                take=take,
                embargoed=embargoed,
                now=now,
            )
            around = door.hrefs.around("/api/entities", skip, take, total, mediaGroup=group)
            return EntityList(
                items=[_entity(door.hrefs, each) for each in found],
                total_items=total,
                returned_items=len(found),
                offset=skip,
                next=around.next,
                previous=around.previous,
                identifier="entities",
                self=around.self,
            )

        return await door.show(page)

    return handler


def _show(door: Door) -> HTTPRouteHandler:
    @get(
        "/api/entities/{entity_id:str}",
        operation_id="showEntity",
        summary="Show an asset that you may have",
        responses=answers(Entity, "The asset."),
    )
    async def handler(request: AnyRequest, entity_id: OfEntity) -> ASGIResponse:
        who, _ = await door.enter(request)
        return await door.show(lambda tx: _entity(door.hrefs, _permitted(door, tx, who, entity_id)))

    return handler


def _show_renditions(door: Door) -> HTTPRouteHandler:
    @get(
        "/api/entities/{entity_id:str}/renditions",
        operation_id="listEntityRenditions",
        summary="List the renditions of an asset: standard ones, and those your organisation kept",
        responses=answers(RenditionList, "The operator's, then those kept."),
    )
    async def handler(request: AnyRequest, entity_id: OfEntity) -> ASGIResponse:
        who, _ = await door.enter(request)

        def shown(tx: Tx) -> RenditionList:
            asset = _permitted(door, tx, who, entity_id)
            return _renditions(tx, door, asset, who)

        return await door.show(shown)

    return handler


def _fetch_rendition(door: Door) -> HTTPRouteHandler:
    hub, policy = door.hub, door.policy

    @get(
        "/api/entities/{entity_id:str}/renditions/{name:str}",
        operation_id="fetchRendition",
        status_code=302,
        summary="Go to the file of one rendition, without an order and without a ZIP",
        responses=answers(
            None, "`Location` is a signed link to the file, good for 10 minutes.", 409, status=302
        ),
    )
    async def handler(request: AnyRequest, entity_id: OfEntity, name: OfRendition) -> ASGIResponse:
        who, _ = await door.enter(request)
        link = await door.edge.write(
            lambda tx: issue_asset_link(
                tx,
                hub.keys.current,
                who,
                reference=entity_id,
                rendition=name,
                rules=hub.media,
                embargoed=policy.embargoed,
                seconds=policy.link_seconds,
                now=hub.now(),
            )
        )
        location = door.hrefs.link(f"/dl/{link.path}").href
        headers = {"location": location, "cache-control": "private, no-store"}
        return answer(b"", status=302, headers=headers)

    return handler


OPERATIONS = (_list, _show, _show_renditions, _fetch_rendition)
