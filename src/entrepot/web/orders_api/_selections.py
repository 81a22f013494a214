"""Selections: what a caller has picked for an order."""

from typing import Annotated, TypeAlias

from litestar import Response, delete, get, patch
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.core.orders import (
    SELECTION_IDS_MAX,
    SelectionKey,
    change_selection,
    clear_selection,
    list_selections,
    parse_changes,
    parse_key,
    read_selection,
)
from entrepot.core.orders import Selection as Picked
from entrepot.kit.ids import INT64_MAX
from entrepot.web.orders_api._bodies import BODY_BYTES_MAX
from entrepot.web.orders_api._door import AnyRequest, Door, answer, encode, whole_number
from entrepot.web.orders_api._operations import (
    CHANGES,
    DEFINITION,
    DEFINITIONS,
    SELECTION_TAKE,
    SKIP,
    SUB_POOL,
    answers,
    described,
)
from entrepot.web.orders_api._wire import Selected, Selection, SelectionList

OfPool: TypeAlias = Annotated[str, PathParameter(description="The pool, any name of yours.")]
OfDefinition: TypeAlias = Annotated[str, PathParameter(description="What the ids name: M.Asset.")]
_POOL = "/api/selection/{pool:str}"
_ONE = _POOL + "/{definition:str}"


def _shown(door: Door, picked: Picked) -> Selection:
    key = picked.key
    return Selection(
        selection_pool=key.pool,
        definition_name=key.definition_name,
        sub_pool_id=key.sub_pool_id or None,
        total_items=picked.total,
        items=list(picked.ids),
        self=door.hrefs.selection(key.pool, key.definition_name, key.sub_pool_id),
    )


def _show(door: Door) -> HTTPRouteHandler:
    @get(
        _ONE,
        operation_id="showSelection",
        summary="Show what you have selected",
        operation_class=described(SUB_POOL, SKIP, SELECTION_TAKE),
        responses=answers(Selection, "The ids, ascending; none where nothing is selected."),
    )
    async def handler(request: AnyRequest, pool: OfPool, definition: OfDefinition) -> ASGIResponse:
        who, parameters = await door.enter(request)
        key = parse_key(pool, definition, parameters.get("subpoolid"))
        skip = whole_number(parameters, "skip", 0, INT64_MAX, otherwise=0)
        most = SELECTION_IDS_MAX
        take = whole_number(parameters, "take", 1, most, otherwise=most)
        return await door.show(
            lambda tx: _shown(door, read_selection(tx, who, key, skip=skip, take=take))
        )

    return handler


def _list(door: Door) -> HTTPRouteHandler:
    @get(
        _POOL,
        operation_id="listSelections",
        summary="List your selections in a pool, without their ids",
        operation_class=described(DEFINITIONS, SUB_POOL),
        responses=answers(SelectionList, "The selections, by definition name and sub-pool."),
    )
    async def handler(request: AnyRequest, pool: OfPool) -> ASGIResponse:
        who, parameters = await door.enter(request)
        names = [each for each in parameters.get("definitionnames", "").split(",") if each]
        told = parameters.get("subpoolid") or None
        key = parse_key(pool, None, told)
        return await door.show(
            lambda tx: SelectionList(
                [
                    _shown(door, each)
                    for each in list_selections(
                        tx,
                        who,
                        key.pool,
                        definition_names=names,
                        sub_pool_id=None if told is None else key.sub_pool_id,
                    )
                ]
            )
        )

    return handler


async def _change(door: Door, request: AnyRequest, pool: str, definition: str | None) -> Selected:
    who, parameters = await door.enter(request)
    named = definition or parameters.get("definitionname") or parameters.get("definitionnames")
    key = parse_key(pool, named or None, parameters.get("subpoolid"))
    changes = await door.body(request, parse_changes)
    hub = door.hub
    total = await door.edge.run(
        lambda: change_selection(
            hub.database, who, key, changes, embargoed=door.policy.embargoed, now=hub.now
        )
    )
    return Selected(key.pool, key.definition_name, key.sub_pool_id or None, total)


def _change_one(door: Door) -> HTTPRouteHandler:
    @patch(
        _ONE,
        operation_id="changeSelection",
        summary="Add assets to a selection, or remove them",
        operation_class=described(SUB_POOL, body=CHANGES),
        request_max_body_size=BODY_BYTES_MAX,
        responses=answers(Selected, "How many are selected now.", 408, 413),
    )
    async def handler(request: AnyRequest, pool: OfPool, definition: OfDefinition) -> ASGIResponse:
        return answer(encode(await _change(door, request, pool, definition)))

    return handler


def _change_pool(door: Door) -> HTTPRouteHandler:
    @patch(
        _POOL,
        operation_id="changePool",
        summary="Add assets to a pool's selection, or remove them",
        operation_class=described(DEFINITION, SUB_POOL, body=CHANGES),
        request_max_body_size=BODY_BYTES_MAX,
        responses=answers(Selected, "How many are selected now.", 408, 413),
    )
    async def handler(request: AnyRequest, pool: OfPool) -> ASGIResponse:
        return answer(encode(await _change(door, request, pool, None)))

    return handler


async def _clear(door: Door, request: AnyRequest, pool: str, definition: str | None) -> None:
    who, parameters = await door.enter(request)
    named = definition or parameters.get("definitionname") or parameters.get("definitionnames")
    key: SelectionKey = parse_key(pool, named or None, parameters.get("subpoolid"))
    await door.edge.run(lambda: clear_selection(door.hub.database, who, key, now=door.hub.now))


def _clear_one(door: Door) -> HTTPRouteHandler:
    @delete(
        _ONE,
        operation_id="clearSelection",
        summary="Clear a selection",
        operation_class=described(SUB_POOL),
        responses=answers(None, "It is empty now, whether anything was in it or not.", status=204),
    )
    async def handler(
        request: AnyRequest, pool: OfPool, definition: OfDefinition
    ) -> Response[None]:
        await _clear(door, request, pool, definition)
        return Response(None, status_code=204)

    return handler


def _clear_pool(door: Door) -> HTTPRouteHandler:
    @delete(
        _POOL,
        operation_id="clearPool",
        summary="Clear a pool's selection",
        operation_class=described(DEFINITION, SUB_POOL),
        responses=answers(None, "It is empty now, whether anything was in it or not.", status=204),
    )
    async def handler(request: AnyRequest, pool: OfPool) -> Response[None]:
        await _clear(door, request, pool, None)
        return Response(None, status_code=204)

    return handler


OPERATIONS = (_show, _list, _change_one, _change_pool, _clear_one, _clear_pool)
