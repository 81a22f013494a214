"""What the OpenAPI document says of the operations beyond what Litestar can see itself."""

from typing import Annotated, Any, TypeAlias

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import PathParameter

from entrepot.core.catalogue import DOWNLOAD_VISIBILITIES
from entrepot.kit.ids import INT64_MAX
from entrepot.web.products_api._query import LIMIT, LIMIT_MAX, PAGE_MAX
from entrepot.web.products_api._wire import (
    DownloadItem,
    DownloadPage,
    ErrorItem,
    Failure,
    OneDownload,
    PageLinks,
    Pagination,
    Wire,
)

OfProduct: TypeAlias = Annotated[str, PathParameter(description="Number or code of a product.")]
# Litestar cannot match an ending after a parameter; the document has `{id}.json`.
OfDownload: TypeAlias = Annotated[str, PathParameter(description="Number of a download.")]

_TEXT = Schema(type=OpenAPIType.STRING)
_TEXT_OR_NULL = Schema(type=[OpenAPIType.STRING, OpenAPIType.NULL])


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


_ANY_ID = _number(0, INT64_MAX)
LIST_PARAMETERS = (
    _in_query(
        "id:in",
        "Only these: numbers with commas between; may be repeated, then all of them count.",
        Schema(type=OpenAPIType.STRING, pattern="^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,499}$"),
        "48646,48647",
    ),
    _in_query("id:min", "Only numbers from this one on.", _ANY_ID, 48646),
    _in_query("id:max", "Only numbers up to this one.", _ANY_ID, 48700),
    _in_query("id:after", "Only greater numbers.", _ANY_ID, 48645),
    _in_query("id:before", "Only smaller numbers.", _ANY_ID, 48701),
    _in_query(
        "visibility",
        "Only those for anybody, for contacts, or for those who bought the product.",
        Schema(type=OpenAPIType.STRING, enum=list(DOWNLOAD_VISIBILITIES)),
        "public",
    ),
    _in_query("page", "From 1.", _number(1, PAGE_MAX, 1), 1),
    _in_query("limit", "Downloads on a page.", _number(1, LIMIT_MAX, LIMIT), LIMIT),
)

_PLACE = Schema(
    description="Its place, from 1: a number, or before or after another download of the product. "
    "Left out or null: last for a new one, unchanged for others. Beyond the end: last.",
    one_of=[
        _number(1, INT64_MAX),
        Schema(
            type=OpenAPIType.OBJECT,
            required=["placement"],
            properties={
                "placement": Schema(
                    type=OpenAPIType.STRING, enum=["first", "last", "before", "after"]
                ),
                "id": Schema(one_of=[_number(1, INT64_MAX), Schema(type=OpenAPIType.NULL)]),
            },
        ),
        Schema(type=OpenAPIType.NULL),
    ],
)
_FILE = Schema(
    description="A Data URI (up to 8 MiB), an https address to be fetched once, or an object.",
    one_of=[
        _TEXT,
        Schema(
            type=OpenAPIType.OBJECT,
            required=["src"],
            properties={"src": _TEXT, "filename": _TEXT_OR_NULL, "directory": _TEXT_OR_NULL},
        ),
    ],
)
_TITLE = Schema(type=[OpenAPIType.STRING, OpenAPIType.NULL], max_length=80)
_DESCRIPTION = Schema(type=[OpenAPIType.STRING, OpenAPIType.NULL], max_length=20_000)
_VISIBILITY = Schema(
    type=OpenAPIType.STRING, enum=list(DOWNLOAD_VISIBILITIES), default=DOWNLOAD_VISIBILITIES[0]
)
_PROPERTIES: dict[str, Schema | Reference] = {
    "file": _FILE,
    "title": _TITLE,
    "description": _DESCRIPTION,
    "sequence": _PLACE,
    "visibility": _VISIBILITY,
}


def _body(*required: str, example: dict[str, Any]) -> RequestBody:
    in_json = Schema(
        type=OpenAPIType.OBJECT,
        required=["data"],
        properties={
            "data": Schema(
                type=OpenAPIType.OBJECT, required=list(required) or None, properties=_PROPERTIES
            )
        },
    )
    in_parts = Schema(
        type=OpenAPIType.OBJECT,
        required=list(required) or None,
        properties={
            "file": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY),
            "title": _TEXT,
            "description": _TEXT,
            "sequence": _number(1, INT64_MAX),
            "visibility": _VISIBILITY,
        },
    )
    return RequestBody(
        required=True,
        description="What is read-only is left aside; a file of any size comes as a form.",
        content={
            "application/json": OpenAPIMediaType(
                schema=in_json, examples={"usual": Example(value={"data": example})}
            ),
            "multipart/form-data": OpenAPIMediaType(schema=in_parts),
        },
    )


CREATE = _body(
    "file",
    example={
        "file": {"src": "data:text/plain;base64,SGVsbG8K", "filename": "read-me.txt"},
        "title": "Read me first",
        "visibility": "public",
        "sequence": {"placement": "first"},
    },
)
UPDATE = _body(example={"title": "Data sheet, revision B", "sequence": 2})


def described(*more: Parameter, body: RequestBody | None = None) -> type[Operation]:
    """An operation with parameters, and a body, that its handler reads by itself."""

    class Described(Operation):  # no dataclass again: to make one costs a thousandth of a second
        def __init__(self, **said: Any) -> None:
            super().__init__(**said)
            self.parameters = [*(self.parameters or []), *more]
            if body is not None:
                self.request_body = body

    return Described


_HUB = "https://hub.example.com"
_LIST_URL = f"{_HUB}/api/v2/products/3066/downloads.json"
DOWNLOAD = DownloadItem(
    48646,
    3066,
    f"{_HUB}/downloads/48646/data-sheet.pdf",
    "Data sheet",
    None,
    1,
    "public",
    "2026-01-31T12:00:00+00:00",
    None,
    "2026-01-31T12:00:00+00:00",
    None,
)
PAGE = DownloadPage(
    status=200,
    data=[DOWNLOAD],
    pagination=Pagination(1, 100, 1, 1),
    links=PageLinks(_LIST_URL, None, None),
)
ONE = OneDownload(status=200, data=DOWNLOAD)


def _example(value: Any) -> list[Example]:
    return [Example(value=msgspec.to_builtins(value))]


def _refused(status: int, description: str, name: str, message: str, code: str) -> ResponseSpec:
    where: Any = "data" if status in (413, 422) else "parameters"
    failure = Failure(
        status=status, context=where, errors=[ErrorItem(name, message, f"error.{code}")]
    )
    return ResponseSpec(
        Failure, generate_examples=False, description=description, examples=_example(failure)
    )


_REFUSED = {
    status: _refused(status, *told)
    for status, told in {
        400: ("Malformed.", "id:min", "id:min is a whole number ...", "parameter-invalid"),
        401: ("Signing in would help.", "Authorization", "This needs a token.", "token-missing"),
        403: ("A condition fails now.", "scope", "The token lacks the scope.", "scope-required"),
        404: ("It is not there, or it is not yours.", "id", "There is no such ...", "not-found"),
        408: ("The body did not come in time.", "request", "It did not come ...", "body-late"),
        409: ("The product has as many as one takes.", "request", "...", "downloads-full"),
        413: ("The body is too large.", "body", "The body is larger ...", "body-too-large"),
        422: ("The object does not hold.", "file", "There is ...", "uri-scheme-invalid"),
        429: ("Slow down; see Retry-After.", "request", "Too many.", "too-many-requests"),
        503: ("Not now; see Retry-After.", "request", "The database is busy.", "unavailable"),
        507: ("The hub has no room for it now.", "request", "There is no room.", "storage-full"),
    }.items()
}
_ALWAYS = (400, 401, 403, 404, 429, 503)


def answers(
    body: type[Wire] | None,
    description: str,
    *refused: int,
    status: int = 200,
    example: Wire | None = None,
) -> dict[int, ResponseSpec]:
    """The responses of an operation: what it gives, and the refusals that are possible."""
    good = ResponseSpec(
        body,
        generate_examples=False,
        description=description,
        examples=None if example is None else _example(example),
    )
    return {status: good} | {each: _REFUSED[each] for each in (*_ALWAYS, *refused)}
