"""Webhooks of the caller's organisation, in the words of this dialect.

What a caller may subscribe to is decided by `core.webhooks`: with the scope `products` alone it
is what happens to the catalogue.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from litestar import Response, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example, OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse

from entrepot.core.accounts import (
    OPERATOR,
    ORGANISATION_ADMIN,
    PUBLISHER,
    Principal,
    require_scope,
)
from entrepot.core.webhooks import (
    PATTERNS_MAX,
    WEBHOOKS_MAX,
    WebhookSpec,
    add_webhook,
    change_webhook,
    find_webhook,
    list_webhooks,
    remove_webhook,
    rotate_secret,
    webhook_faults,
)
from entrepot.db import Tx
from entrepot.errors import Denied, Invalid
from entrepot.web.http.callers import caller_of
from entrepot.web.http.edge import Edge
from entrepot.web.http.receiving import receive_body
from entrepot.web.products_api._bodies import decode_object
from entrepot.web.products_api._door import answer, encode, number_of
from entrepot.web.products_api._errors import FAULTS_MAX, AnyRequest, Faults, data_faults
from entrepot.web.products_api._operations import answers, described
from entrepot.web.products_api._wire_webhooks import (
    OneWebhook,
    WebhookItem,
    WebhookList,
    webhook_item,
)

PATH = "/api/v2/webhooks"
_ALL = PATH + ".json"
_ONE = PATH + "/{id_json:str}"
_ROTATION = PATH + "/{webhook:str}/rotation.json"
_TAGS = ["Webhooks"]
_READ_ONLY = {"id", "secret", "createdOn", "modifiedOn", "disabledOn", "disabledWhy"}
OfWebhook: TypeAlias = Annotated[str, PathParameter(description="Number of a webhook.")]

_EXAMPLE = {"events": ["product/*"], "url": "https://shop.example.com/hooks"}
_ITEM = WebhookItem(
    3001,
    _EXAMPLE["url"],  # type: ignore[arg-type]
    _EXAMPLE["events"],
    "",
    None,
    None,
    None,
    "2026-01-31T12:00:00+00:00",
    "2026-01-31T12:00:00+00:00",
)

# Of these at least one: each is what some events are heard by (core.webhooks.hears_everything).
_SCOPES = frozenset({"admin", "entitlements", "orders", "products", "publish"})


def webhook_routes(edge: Edge) -> list[HTTPRouteHandler]:
    """The routes, for the router of this door."""
    return [build(edge) for build in (_list, _add, _show, _change, _remove, _rotate)]


async def _enter(edge: Edge, request: AnyRequest) -> Principal:
    """The caller, who may look after the webhooks of the organisation."""
    who = await edge.authenticate(caller_of(request.scope, edge.hub.policy))
    if who.kind != "client" and not who.roles & {ORGANISATION_ADMIN, PUBLISHER, OPERATOR}:
        raise Denied(
            "Only an administrator or a machine of an organisation has webhooks.",
            code="role-required",
            remedy="Let an administrator of your organisation do it.",
            details={"role": ORGANISATION_ADMIN},
        )
    if not who.scopes & _SCOPES:
        require_scope(who, "products")
    return who


def _body(*required: str) -> RequestBody:
    properties: dict[str, Any] = {
        "url": Schema(type=OpenAPIType.STRING, description="https, at a public address."),
        "events": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.STRING),
            min_items=1,
            max_items=PATTERNS_MAX,
        ),
        "description": Schema(type=OpenAPIType.STRING, max_length=200),
    }
    given = Schema(type=OpenAPIType.OBJECT, required=list(required) or None, properties=properties)
    whole = Schema(type=OpenAPIType.OBJECT, required=["data"], properties={"data": given})
    usual = Example(value={"data": _EXAMPLE})
    return RequestBody(
        required=True,
        content={"application/json": OpenAPIMediaType(schema=whole, examples={"usual": usual})},
    )


def _parse(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Invalid]]:
    """What a request says of a webhook as far as it can be read, and what cannot."""
    faults, said = list[Invalid](), dict[str, Any]()
    for name, value in given.items():
        if len(faults) >= FAULTS_MAX:
            break
        if name in _READ_ONLY:
            continue
        if name in ("url", "description"):
            fits = isinstance(value, str)
        elif name == "events":
            fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
        else:
            faults.append(
                Invalid(
                    f"A webhook has no property {name[:80]!r}.",
                    field=name[:80],
                    code="property-unknown",
                    remedy="Properties: events, url, description.",
                )
            )
            continue
        if not fits:
            kind = "a list of texts" if name == "events" else "a text"
            faults.append(Invalid(f"{name} is {kind}.", field=name))
        else:
            said[name] = value
    return said, faults


async def _read(edge: Edge, request: AnyRequest, *required: str) -> dict[str, Any]:
    """What a request says of a webhook; Faults names everything that is wrong."""
    given = decode_object(await receive_body(request))
    said, faults = _parse(given)
    faults += [Invalid(f"{name} is missing.", field=name) for name in required if name not in given]
    private = edge.hub.policy.outbound_private
    faults += await edge.run(
        lambda: webhook_faults(
            url=said.get("url"),
            patterns=said.get("events"),
            description=said.get("description"),
            private=private,
        )
    )
    if faults:
        raise Faults(faults)
    return said


def _list(edge: Edge) -> HTTPRouteHandler:
    @get(
        _ALL,
        operation_id="listOwnWebhooks",
        summary="List the webhooks of your organisation",
        tags=_TAGS,
        security=[{"bearer": []}],
        responses=answers(
            WebhookList, "All of them.", example=WebhookList(status=200, data=[_ITEM])
        ),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        who = await _enter(edge, request)

        def every(tx: Tx) -> bytes:
            rows, _ = list_webhooks(tx, organisation_id=who.organisation_id, take=WEBHOOKS_MAX)
            return encode(WebhookList(status=200, data=[webhook_item(row) for row in rows]))

        return answer(await edge.glance(every))

    return handler


def _add(edge: Edge) -> HTTPRouteHandler:
    hub = edge.hub

    @post(
        _ALL,
        status_code=201,
        operation_id="addOwnWebhook",
        summary="Have your organisation told of events",
        description="`secret` is shown this once: deliveries are signed with it.",
        tags=_TAGS,
        security=[{"bearer": []}],
        operation_class=described(body=_body("events", "url")),
        responses=answers(
            OneWebhook,
            "The new webhook.",
            408,
            409,
            413,
            422,
            507,
            status=201,
            example=OneWebhook(status=201, data=_ITEM),
        ),
    )
    async def handler(request: AnyRequest) -> ASGIResponse:
        await _enter(edge, request)
        said = await _read(edge, request, "events", "url")
        who = await _enter(edge, request)  # the body may have taken its time

        def add(tx: Tx) -> tuple[int, bytes]:
            spec = WebhookSpec(said["url"], said["events"], said.get("description", ""))
            with data_faults():
                made = add_webhook(tx, hub.keys.box, who, spec, now=hub.now())
            item = webhook_item(find_webhook(tx, made.id), made.secret)
            return made.id, encode(OneWebhook(status=201, data=item))

        number, body = await edge.write(add)
        location = f"{hub.policy.public_url}{PATH}/{number}.json"
        return answer(body, status=201, headers={"location": location})

    return handler


def _shown(tx: Tx, who: Principal, number: int) -> bytes:
    row = find_webhook(tx, number, organisation_id=who.organisation_id)
    return encode(OneWebhook(status=200, data=webhook_item(row)))


def _show(edge: Edge) -> HTTPRouteHandler:
    @get(
        _ONE,
        operation_id="showOwnWebhook",
        summary="Show a webhook of your organisation",
        tags=_TAGS,
        security=[{"bearer": []}],
        responses=answers(OneWebhook, "The webhook.", example=OneWebhook(status=200, data=_ITEM)),
    )
    async def handler(request: AnyRequest, id_json: OfWebhook) -> ASGIResponse:
        who, number = await _enter(edge, request), number_of(id_json)
        return answer(await edge.glance(lambda tx: _shown(tx, who, number)))

    return handler


def _change(edge: Edge) -> HTTPRouteHandler:
    hub = edge.hub

    @put(
        _ONE,
        operation_id="changeOwnWebhook",
        summary="Change what is given of a webhook; the rest stays",
        tags=_TAGS,
        security=[{"bearer": []}],
        operation_class=described(body=_body()),
        responses=answers(
            OneWebhook,
            "The webhook as it is now.",
            408,
            413,
            422,
            507,
            example=OneWebhook(status=200, data=_ITEM),
        ),
    )
    async def handler(request: AnyRequest, id_json: OfWebhook) -> ASGIResponse:
        _, number = await _enter(edge, request), number_of(id_json)
        said = await _read(edge, request)
        who = await _enter(edge, request)  # the body may have taken its time

        def change(tx: Tx) -> bytes:
            with data_faults():
                change_webhook(
                    tx,
                    number,
                    who=who,
                    url=said.get("url"),
                    patterns=said.get("events"),
                    description=said.get("description"),
                    actor=who.label,
                    now=hub.now(),
                )
            return _shown(tx, who, number)

        return answer(await edge.write(change))

    return handler


def _remove(edge: Edge) -> HTTPRouteHandler:
    hub = edge.hub

    @delete(
        _ONE,
        status_code=204,
        operation_id="removeOwnWebhook",
        summary="End a webhook of your organisation",
        tags=_TAGS,
        security=[{"bearer": []}],
        responses=answers(None, "It is gone.", status=204),
    )
    async def handler(request: AnyRequest, id_json: OfWebhook) -> Response[None]:
        who, number = await _enter(edge, request), number_of(id_json)
        await edge.write(
            lambda tx: remove_webhook(tx, number, who=who, actor=who.label, now=hub.now())
        )
        return Response(None, status_code=204, headers={"cache-control": "no-store"})

    return handler


def _rotate(edge: Edge) -> HTTPRouteHandler:
    hub = edge.hub

    @post(
        _ROTATION,
        status_code=200,
        operation_id="rotateOwnWebhookSecret",
        summary="Make a new secret; for a day the former one signs beside it",
        tags=_TAGS,
        security=[{"bearer": []}],
        responses=answers(
            OneWebhook,
            "The webhook with its new secret, shown this once.",
            507,
            example=OneWebhook(status=200, data=_ITEM),
        ),
    )
    async def handler(request: AnyRequest, webhook: OfWebhook) -> ASGIResponse:
        who, number = await _enter(edge, request), number_of(f"{webhook}.json")

        def rotate(tx: Tx) -> bytes:
            made = rotate_secret(tx, hub.keys.box, number, who=who, actor=who.label, now=hub.now())
            item = webhook_item(find_webhook(tx, number), made.secret)
            return encode(OneWebhook(status=200, data=item))

        return answer(await edge.write(rotate))

    return handler
