"""Two endpoints of ours: the licence that an entitlement asks for, and accepting it by a token.

What a person does on the licence's page, a program that cannot open one does here: it names the
revision that its owner has read. Another one than is asked for is refused (409), so that a text
is never accepted by who read an earlier one.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from litestar import get, put
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import PathParameter
from litestar.response.base import ASGIResponse
from msgspec import Meta, Struct, field

from entrepot.core.entitlements import accept_required_licence, required_licence
from entrepot.db import Tx
from entrepot.errors import Invalid
from entrepot.web.entitlement_api._door import Door
from entrepot.web.entitlement_api._errors import CACHE_CONTROL, AnyRequest
from entrepot.web.entitlement_api._operations import LICENCE, answers
from entrepot.web.entitlement_api._wire import LicenceItem
from entrepot.web.http.receiving import receive_at_most

LICENCE_PATH = "/{entitlement_id:str}/licence"
BODY_BYTES_MAX = 4096
_CODE_CHARS_MAX = 64
_REVISION_MAX = 2**31 - 1

OfEntitlement: TypeAlias = Annotated[
    str, PathParameter(description="Number of an entitlement, or of a group's child.")
]
_encode = msgspec.json.Encoder().encode


class Acceptance(Struct, forbid_unknown_fields=True):
    """What is accepted, and for whom. Without `licence` it is whichever is asked for."""

    revision: Annotated[int, Meta(ge=1, le=_REVISION_MAX)]
    licence: Annotated[str, Meta(max_length=_CODE_CHARS_MAX)] | None = None
    accepted_for: Literal["me", "organisation"] = field(default="me", name="for")


class _AcceptOperation(Operation):  # as with_parameters: no dataclass again
    def __init__(self, **said: Any) -> None:
        super().__init__(**said)
        self.request_body = _BODY


_BODY = RequestBody(
    required=True,
    description="The revision that was read.",
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(
                type=OpenAPIType.OBJECT,
                required=["revision"],
                additional_properties=False,
                properties={
                    "revision": Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=_REVISION_MAX),
                    "licence": Schema(
                        type=OpenAPIType.STRING,
                        max_length=_CODE_CHARS_MAX,
                        description="Its code; none: whichever is asked for.",
                    ),
                    "for": Schema(
                        type=OpenAPIType.STRING,
                        enum=["me", "organisation"],
                        default="me",
                        description="`organisation`: by its administrator, for everybody in it.",
                    ),
                },
            ),
            examples={"for oneself": Example(value={"licence": "TOOLS", "revision": 2})},
        )
    },
)


def show_licence(door: Door) -> HTTPRouteHandler:
    """The endpoint that tells which licence an entitlement asks for."""

    @get(
        LICENCE_PATH,
        operation_id="showRequiredLicence",
        summary="Show the licence that an entitlement asks for, and whether it is accepted",
        responses=answers(
            LicenceItem, "The licence; where none is asked for: 404.", 404, example=LICENCE
        ),
    )
    async def handler(request: AnyRequest, entitlement_id: OfEntitlement) -> ASGIResponse:
        who, _, _ = await door.enter(request)
        return await door.show(
            lambda tx: door.writer.licence(
                required_licence(tx, who, entitlement_id), entitlement_id
            )
        )

    return handler


def take_acceptance(door: Door) -> HTTPRouteHandler:
    """The endpoint that accepts it."""
    hub = door.edge.hub

    @put(
        LICENCE_PATH,
        operation_id="acceptRequiredLicence",
        summary="Accept the licence that an entitlement asks for, by its revision",
        operation_class=_AcceptOperation,
        responses=answers(LicenceItem, "Accepted.", 404, 408, 409, example=LICENCE),
    )
    async def handler(request: AnyRequest, entitlement_id: OfEntitlement) -> ASGIResponse:
        who, _, _ = await door.enter(request)
        told = _parse(await _receive(request))

        def accept(tx: Tx) -> bytes:
            required = accept_required_licence(
                tx,
                who,
                entitlement_id,
                code=told.licence,
                revision=told.revision,
                for_organisation=told.accepted_for == "organisation",
                now=hub.now(),
            )
            return _encode(door.writer.licence(required, entitlement_id))

        body = await door.edge.write(accept)
        return ASGIResponse(
            body=body, headers=[("cache-control", CACHE_CONTROL)], media_type="application/json"
        )

    return handler


async def _receive(request: AnyRequest) -> bytes:
    body = await receive_at_most(request, BODY_BYTES_MAX)
    if body is None:
        raise Invalid(
            f"The body has more than {BODY_BYTES_MAX} bytes.",
            field="request",
            remedy="Name the revision, and no more.",
        )
    return body


def _parse(data: bytes) -> Acceptance:
    try:
        return msgspec.json.decode(data, type=Acceptance)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Invalid(
            f"The body does not name a revision: {error}.",
            field="request",
            remedy='Send JSON like {"licence": "TOOLS", "revision": 2}.',
        ) from error
