"""What the OpenAPI document says of each operation, derived from the action itself."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from entrepot.web.admin_api._actions import AnyAction
from entrepot.web.admin_api._query import SKIP_MAX, TAKE
from entrepot.web.http.problems import MEDIA_TYPE, Problem

_PLACES: Mapping[str, tuple[str, OpenAPIFormat | None]] = {
    "product": ("Number or code of the product.", None),
    "licence": ("Code of the licence.", None),
    "revision": ("Number of the revision, from 1.", None),
    "release_id": ("UUID of the release.", OpenAPIFormat.UUID),
    "artifact_id": ("UUID of the file.", OpenAPIFormat.UUID),
    "asset": ("Number or identifier of the asset.", None),
    "entitlement_id": ("Number of the entitlement.", None),
    "organisation": ("Number or name of the organisation.", None),
    "user": ("Number or mail address of the person.", None),
    "client_id": ("The client id.", None),
    "webhook": ("Number of the webhook.", None),
    "delivery": ("Id of the delivery: msg_...", None),
    "token_id": ("Number of the token.", None),
}
_REFUSED = {
    400: "Something in the request is wrong; `field` names it.",
    401: "No token, or one that is not valid (any more).",
    403: "The caller lacks the role, or the token the scope.",
    404: "There is no such object.",
    408: "The body did not come in time, or a file too slowly.",
    409: "It clashes with what is there; `code` says with what.",
    413: "The body is too large.",
    429: "Slow down; see Retry-After.",
    503: "Not now; see Retry-After.",
    507: "There is no room; nothing was kept.",
}


class InlineSchema(Schema):
    """A JSON schema that is ready as it is."""

    def __init__(self, ready: dict[str, Any]) -> None:
        super().__init__()
        self._ready = ready

    def to_schema(self) -> dict[str, Any]:
        """The schema."""
        return self._ready


def responses(action: AnyAction, *more: int) -> dict[int, ResponseSpec]:
    """The success and every refusal that is possible."""
    specs = {
        action.status: ResponseSpec(
            action.answer, generate_examples=False, description=_SUCCESS[action.status]
        )
    }
    return specs | {
        status: ResponseSpec(
            Problem, generate_examples=False, description=text, media_type=MEDIA_TYPE
        )
        for status, text in _REFUSED.items()
        if status in {*_refusals(action), *more}
    }


_SUCCESS = {200: "As it is now.", 201: "It was made; see Location.", 204: "Done."}


def _refusals(action: AnyAction) -> set[int]:
    found = {400, 401, 403, 429, 503}
    if "{" in action.path:
        found.add(404)
    if action.conflicts:
        found.add(409)
    if action.body is not None:
        found |= {408, 413}
    if action.method != "GET":
        found.add(507)
    return found


def operation_class(
    action: AnyAction, *, take_max: int, body: RequestBody | None = None
) -> type[Operation]:
    """An operation with what its handler reads by itself: path, query and body."""
    parameters = [*_path_parameters(action), *(_paging(take_max) if action.paged else ())]
    parameters += action.filters
    request_body = body or _json_body(action)

    class Described(Operation):  # no dataclass again: to make one costs a thousandth of a second
        def __init__(self, **said: Any) -> None:
            super().__init__(**said)
            self.parameters = [*parameters]
            self.request_body = request_body
            self.security = [{"bearer": [action.allowed.scope]}]
            found = dict(self.responses or {})
            if action.status != 200:
                del found["200"]  # what Litestar takes for granted
            created = found.get("201")
            if isinstance(created, OpenAPIResponse):
                created.headers = {"Location": _LOCATION}
            self.responses = found

    return Described


_LOCATION = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.STRING), description="Where the new thing is.", required=True
)


def _path_parameters(action: AnyAction) -> list[Parameter]:
    names = [part[1:].partition(":")[0] for part in action.path.split("/") if part[:1] == "{"]
    return [
        Parameter(
            name=name,
            param_in="path",
            required=True,
            description=_PLACES[name][0],
            schema=Schema(type=OpenAPIType.STRING, min_length=1, format=_PLACES[name][1]),
        )
        for name in names
    ]


def _paging(take_max: int) -> list[Parameter]:
    return [
        Parameter(
            name="skip",
            param_in="query",
            description="Leave out the first so many.",
            schema=Schema(type=OpenAPIType.INTEGER, minimum=0, maximum=SKIP_MAX, default=0),
        ),
        Parameter(
            name="take",
            param_in="query",
            description="Give at most so many.",
            schema=Schema(
                type=OpenAPIType.INTEGER, minimum=1, maximum=take_max, default=min(TAKE, take_max)
            ),
        ),
    ]


def _json_body(action: AnyAction) -> RequestBody | None:
    if action.body is None:
        return None
    _, found = msgspec.json.schema_components([action.body])
    schema = InlineSchema(found[action.body.__name__])
    return RequestBody(
        content={"application/json": OpenAPIMediaType(schema=schema)},
        required=action.body_required,
    )
