"""What there is to ask for: media groups, renditions, presets, name resolvers, and /api itself."""

from collections.abc import Mapping
from typing import Any

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from entrepot import __version__
from entrepot.core.catalogue import MEDIA_GROUPS
from entrepot.core.catalogue.media_types import GROUP_PREFIX
from entrepot.core.conversions.rules import MediaRules, Preset
from entrepot.errors import Invalid
from entrepot.web.orders_api._door import AnyRequest, Door, answer, encode
from entrepot.web.orders_api._hrefs import ROOT, ROUTES, Hrefs
from entrepot.web.orders_api._operations import answers
from entrepot.web.orders_api._wire import (
    ApiRoot,
    MediaGroup,
    MediaGroupList,
    NamedRecipe,
    NamedRecipeList,
    Resolver,
    ResolverList,
)

# What the vendor's SDK compares its own version with before it goes on.
MINIMUM_SDK_VERSION = "1.0.0"
_USUAL = {
    "Images": "image/jpeg",
    "Vectors": "image/svg+xml",
    "Videos": "video/mp4",
    "Audio": "audio/mpeg",
    "Documents": "application/pdf",
}


def _root(door: Door) -> HTTPRouteHandler:
    shown = encode(
        ApiRoot(
            file_version=__version__,
            product_version=__version__,
            minimum_sdk_version=MINIMUM_SDK_VERSION,
            routes={name: door.hrefs.template(path) for name, path in ROUTES.items()},
        )
    )

    @get(
        ROOT,
        operation_id="showApi",
        summary="Where the resources of this API are",
        responses=answers(ApiRoot, "The routes, as URI templates."),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        await door.enter(request)
        return answer(shown)

    return handler


def _groups(rules: MediaRules, hrefs: Hrefs) -> MediaGroupList:
    items = [
        MediaGroup(
            group.number,
            group.identifier,
            list(rules.defaults(group.name)),
            list(rules.renditions_of(group.name)),
        )
        for group in MEDIA_GROUPS
    ]
    return MediaGroupList(items, len(items), hrefs.link("/api/mediagroups"))


def _made(by_group: Mapping[str, Any]) -> dict[str, Any]:
    return {GROUP_PREFIX + group: making for group, making in by_group.items()}


def _renditions(rules: MediaRules, hrefs: Hrefs) -> NamedRecipeList:
    items = [
        NamedRecipe(each.name, each.title, list(each.aliases), _made(each.by_group))
        for each in rules.renditions.values()
    ]
    return NamedRecipeList(items, len(items), hrefs.link("/api/renditions"))


def _presets(rules: MediaRules, hrefs: Hrefs) -> NamedRecipeList:
    items = [
        NamedRecipe(each.name, each.title, [], _made(_preset(rules, each)))
        for each in rules.presets.values()
    ]
    return NamedRecipeList(items, len(items), hrefs.link("/api/presets"))


def _preset(rules: MediaRules, preset: Preset) -> dict[str, Any]:
    """Of the groups whose usual files it can be made of: a preset without groups tells none."""
    found: dict[str, Any] = {}
    for group, content_type in _USUAL.items():
        try:
            rules.preset(preset.name, group, content_type)
        except Invalid:
            continue
        found[group] = preset.by_group.get(group, preset.steps)
    return found


def _resolvers(rules: MediaRules, hrefs: Hrefs) -> ResolverList:
    items = [
        Resolver(
            each.id,
            each.title,
            each.template,
            default=each.id == rules.default_resolver,
        )
        for each in rules.resolvers.values()
    ]
    return ResolverList(items, len(items), hrefs.link("/api/itemnameresolvers"))


def _fixed(
    door: Door,
    path: str,
    operation_id: str,
    summary: str,
    shown: MediaGroupList | NamedRecipeList | ResolverList,
) -> HTTPRouteHandler:
    """A list that stays the same while the hub runs."""
    body = encode(shown)

    @get(path, operation_id=operation_id, summary=summary, responses=answers(type(shown), summary))
    async def handler(request: AnyRequest) -> ASGIResponse:
        await door.enter(request)
        return answer(body)

    return handler


def _media_groups(door: Door) -> HTTPRouteHandler:
    shown = _groups(door.hub.media, door.hrefs)
    return _fixed(door, "/api/mediagroups", "listMediaGroups", "List the media groups", shown)


def _standard_renditions(door: Door) -> HTTPRouteHandler:
    shown = _renditions(door.hub.media, door.hrefs)
    summary = "List the standard renditions and how they are made"
    return _fixed(door, "/api/renditions", "listRenditions", summary, shown)


def _named_pipelines(door: Door) -> HTTPRouteHandler:
    shown = _presets(door.hub.media, door.hrefs)
    return _fixed(
        door, "/api/presets", "listPresets", "List the presets: pipelines with a name", shown
    )


def _item_name_resolvers(door: Door) -> HTTPRouteHandler:
    shown = _resolvers(door.hub.media, door.hrefs)
    summary = "List the ways to name files"
    return _fixed(door, "/api/itemnameresolvers", "listItemNameResolvers", summary, shown)


OPERATIONS = (_root, _media_groups, _standard_renditions, _named_pipelines, _item_name_resolvers)
