"""What the OpenAPI document says of the operations beyond what Litestar can see itself."""

from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from entrepot.core.conversions.recipes import STEP_TYPES
from entrepot.core.orders import SELECTION_IDS_MAX
from entrepot.core.orders.requests import TEXT_LENGTH_MAX
from entrepot.kit.ids import INT64_MAX
from entrepot.kit.text import LINE_LENGTH_MAX
from entrepot.web.orders_api._door import PAGE_SIZE, PAGE_SIZE_MAX
from entrepot.web.orders_api._wire import Link, Message, Order, Progress, Wire

_TEXT = Schema(type=OpenAPIType.STRING, max_length=100)
_ANY_TEXT = Schema(type=OpenAPIType.STRING)


def _in_query(name: str, description: str, schema: Schema, example: Any) -> Parameter:
    return Parameter(
        name=name,
        param_in="query",
        description=description,
        schema=schema,
        examples={"usual": Example(value=example)},
    )


def _number(least: int, most: int, otherwise: int | None = None) -> Schema:
    return Schema(type=OpenAPIType.INTEGER, minimum=least, maximum=most, default=otherwise)


def _in_header(name: str, description: str, example: str) -> Parameter:
    return Parameter(
        name=name,
        param_in="header",
        description=description,
        schema=_ANY_TEXT,
        examples={"usual": Example(value=example)},
    )


SKIP = _in_query("skip", "Items before the first one shown.", _number(0, INT64_MAX, 0), 0)
TAKE = _in_query("take", "Items on a page.", _number(1, PAGE_SIZE_MAX, PAGE_SIZE), PAGE_SIZE)
SELECTION_TAKE = _in_query("take", "Ids at most.", _number(1, SELECTION_IDS_MAX), 1000)
SUB_POOL = _in_query("subPoolId", "The sub-pool; none: 0.", _number(0, INT64_MAX), 0)
DEFINITION = _in_query("definitionName", "What the ids name.", _TEXT, "M.Asset")
DEFINITIONS = _in_query("definitionNames", "Only these, with commas between.", _ANY_TEXT, "M.Asset")
MEDIA_GROUP = _in_query(
    "mediaGroup", "Only of this group: its number or identifier.", _TEXT, "M.AssetMedia.Images"
)
IF_NONE_MATCH = _in_header("If-None-Match", "304 where the order still has this ETag.", '"5f2b"')
IF_MODIFIED_SINCE = _in_header(
    "If-Modified-Since",
    "304 where nothing changed since (RFC 9110; the vendor's text has it the wrong way round).",
    "Sat, 31 Jan 2026 12:00:00 GMT",
)
LAST_EVENT_ID = _in_header("Last-Event-ID", "Go on after this event.", "1042")
LAST_EVENT = _in_query(
    "lastEventId",
    "The same, for clients that set no headers; the header counts where both are sent. What is "
    "no number of an event counts as none.",
    _ANY_TEXT,
    "1042",
)

CHANGES = RequestBody(
    required=True,
    description=f"Operations in their order; at most {SELECTION_IDS_MAX} ids in one.",
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(
                type=OpenAPIType.ARRAY,
                min_items=1,
                items=Schema(
                    type=OpenAPIType.OBJECT,
                    required=["operation", "value"],
                    properties={
                        "operation": Schema(type=OpenAPIType.STRING, enum=["add", "remove"]),
                        "value": Schema(
                            type=OpenAPIType.ARRAY,
                            items=Schema(type=OpenAPIType.INTEGER),
                        ),
                    },
                ),
            ),
            examples={"add": Example(value=[{"operation": "add", "value": [20001, 20002]}])},
        )
    },
)
_CONFIGURATION = Schema(
    type=OpenAPIType.OBJECT,
    additional_properties=False,
    description="Every rendition, preset and conversion gives one file of each asset.",
    properties={
        "renditions": Schema(type=OpenAPIType.ARRAY, items=_ANY_TEXT),
        "presets": Schema(type=OpenAPIType.ARRAY, items=_ANY_TEXT),
        "conversions": Schema(
            type=OpenAPIType.ARRAY,
            description="Each entry is one output: its steps in the order they are applied.",
            items=Schema(
                type=OpenAPIType.ARRAY,
                items=Schema(
                    type=OpenAPIType.OBJECT,
                    required=["type", "value"],
                    additional_properties=False,
                    properties={
                        "type": Schema(
                            type=OpenAPIType.STRING,
                            enum=list(STEP_TYPES),
                            description="In any letter case, with or without _ and -.",
                        ),
                        "value": Schema(
                            description="By the type: a number, a text, a flag or an object."
                            " docs/reference/steps.md has every type with its values."
                        ),
                    },
                ),
            ),
        ),
        "user_rendition_configuration": Schema(
            type=OpenAPIType.OBJECT,
            description="Keep what is made as renditions of the asset.",
            additional_properties=False,
            properties={
                "label": Schema(type=OpenAPIType.STRING, max_length=LINE_LENGTH_MAX),
                "culture": Schema(type=OpenAPIType.STRING, max_length=35, examples=["en-US"]),
                "description": Schema(type=OpenAPIType.STRING, max_length=TEXT_LENGTH_MAX),
            },
        ),
    },
)
_BY_KEY = Schema(type=OpenAPIType.OBJECT, additional_properties=_CONFIGURATION)
ORDER_BODY = RequestBody(
    required=True,
    description="What to download. Unknown members are ignored, but refused inside a"
    " configuration; ids may be numbers or texts.",
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(
                type=OpenAPIType.OBJECT,
                required=["order"],
                properties={
                    "order": Schema(
                        type=OpenAPIType.OBJECT,
                        properties={
                            "zip_filename": _ANY_TEXT,
                            "global": _BY_KEY,
                            "individual": _BY_KEY,
                        },
                    ),
                    "target_selection": Schema(
                        type=OpenAPIType.OBJECT,
                        properties={
                            "selectionPool": _ANY_TEXT,
                            "subPoolId": Schema(type=OpenAPIType.INTEGER),
                            "definitionName": _ANY_TEXT,
                        },
                    ),
                    "item_name_resolver_id": _ANY_TEXT,
                    "culture": _ANY_TEXT,
                    "name": _ANY_TEXT,
                    "download_order_type": Schema(
                        type=OpenAPIType.STRING, enum=["Standard", "Custom"]
                    ),
                },
            ),
            examples={
                "images as WebP": Example(
                    value={
                        "name": "Spring campaign",
                        "target_selection": {"selectionPool": "basket"},
                        "order": {
                            "zip_filename": "spring.zip",
                            "global": {
                                "M.AssetMedia.Images": {
                                    "renditions": ["downloadOriginal"],
                                    "conversions": [
                                        [
                                            {"type": "resize", "value": {"width": 1200}},
                                            {"type": "fileExtension", "value": "webp"},
                                        ]
                                    ],
                                }
                            },
                        },
                    }
                )
            },
        )
    },
)


def described(*more: Parameter, body: RequestBody | None = None) -> type[Operation]:
    """An operation with parameters, and a body, that its handler reads by itself."""

    class Described(Operation):  # no dataclass again: to make one costs a thousandth of a second
        def __init__(self, **said: Any) -> None:
            super().__init__(**said)
            self.parameters = [*(self.parameters or []), *more]
            if body is not None:
                self.request_body = body

    return Described


def _example(value: Any) -> list[Example]:
    return [Example(value=msgspec.to_builtins(value))]


def _refused(description: str, text: str) -> ResponseSpec:
    return ResponseSpec(
        Message, generate_examples=False, description=description, examples=_example(Message(text))
    )


_REFUSED = {
    408: _refused("The body did not come in time.", "The body did not come within 60 s."),
    413: _refused("The body is larger than this address takes.", "The body has more than ..."),
    400: ResponseSpec(
        dict[str, str],
        generate_examples=False,
        description="What is wrong, by the path of its key.",
        examples=_example({"order.global.M.AssetMedia.Images.renditions[0]": "There is no ..."}),
    ),
    401: _refused("No token, or one that is not valid (any more).", "This needs an access token."),
    403: _refused("You have (or had) a right, and a condition fails now.", "The entitlement ended"),
    404: _refused("It is not there, or it is not yours.", "There is no such object."),
    409: _refused(
        "Not in this state: the order is running, the rendition was not made yet.",
        "The order is Pending: there is nothing to try again.",
    ),
    429: _refused("Slow down; see Retry-After.", "Too many requests."),
    503: _refused("Not now; see Retry-After.", "The database is busy."),
    507: _refused("The hub has no room for it now.", "There is no room."),
}
EVENTS = ResponseSpec(
    str,
    generate_examples=False,
    description="Events until the order has ended; the data of each is JSON.",
    media_type="text/event-stream",
    examples=[Example(value='id: 1042\nevent: completed\ndata: {"status":"Completed"}\n\n')],
)
_ALWAYS = (400, 401, 403, 404, 429, 503)
_LINK = Link("https://hub.example.com/api/downloadorders/50001")
ORDER = Order(
    order_id=50001,
    name="Spring campaign",
    target_count=12,
    has_conversions=True,
    created_by=Link("https://hub.example.com/api/users/10001", "Ada Example"),
    created_on="2026-01-31T12:00:00.000Z",
    modified_by=Link("https://hub.example.com/api/users/10001", "Ada Example"),
    modified_on="2026-01-31T12:00:07.250Z",
    status="Completed",
    download_location=Link("https://hub.example.com/dl/AQ.../spring.zip", "spring.zip"),
    additional_info=None,
    external_job_reference=Link("https://hub.example.com/api/jobs/50001"),
    targets=Link("https://hub.example.com/api/downloadorders/50001/targets"),
    culture="en-US",
    progress=Progress(24, 24, 0, 48_000_000),
    expires_on="2026-03-02T12:00:07.250Z",
    self=_LINK,
)


def answers(
    body: type[Wire] | None,
    description: str,
    *refused: int,
    status: int = 200,
    example: Wire | None = None,
    not_modified: bool = False,
    nothing: bool = False,
) -> dict[int, ResponseSpec]:
    """The responses of an operation: what it gives, and the refusals that are possible."""
    specs: dict[int, ResponseSpec] = {
        status: ResponseSpec(
            body,
            generate_examples=False,
            description=description,
            examples=None if example is None else _example(example),
        )
    }
    if not_modified:
        specs[304] = ResponseSpec(None, generate_examples=False, description="Nothing changed.")
    if nothing:
        specs[204] = ResponseSpec(
            None, generate_examples=False, description="It has ended; nothing more will come."
        )
    return specs | {each: _REFUSED[each] for each in (*_ALWAYS, *refused)}
