"""The OpenAPI document: what Litestar finds in the doors, plus the doors it does not see."""

import json
from typing import Any

from litestar import Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    Schema,
    Server,
)

from entrepot import __version__
from entrepot.assembly import Policy
from entrepot.web.http.problems import MEDIA_TYPE
from entrepot.web.openapi._completing import complete
from entrepot.web.openapi._security import security_schemes

_TEXT = Schema(type=OpenAPIType.STRING)
_PROBLEM = "Problem"


def openapi_config(policy: Policy) -> OpenAPIConfig:
    """Served as /openapi.json; no page that would load scripts from elsewhere."""
    return OpenAPIConfig(
        title="Entrepot",
        version=__version__,
        description=(
            "Download hub: entitlements, releases, artifacts, and signed links to their bytes."
        ),
        servers=[Server(url=policy.public_url)],
        # The document alone: at path="/" Litestar would claim the portal's home as well.
        path="/openapi.json",
        render_plugins=[_Document(path="/")],
        components=Components(
            security_schemes=dict(security_schemes(policy.public_url)),
            schemas={_PROBLEM: _problem_schema()},
        ),
    )


class _Document(JsonRenderPlugin):
    """The document, made when it is first asked for: it takes as long as a start otherwise does."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """With the doors that Litestar does not see, and what `complete` adds."""
        seen = openapi_schema["paths"]
        raw = {path: item.to_schema() for path, item in _raw_doors().items()}
        said = super().render(request, {**openapi_schema, "paths": {**seen, **raw}})
        return json.dumps(complete(json.loads(said))).encode()


def _raw_doors() -> dict[str, PathItem]:
    """The doors that are plain ASGI: links, and the probes."""
    paths: dict[str, PathItem] = {}
    paths["/dl/{token}/{file_name}"] = PathItem(
        get=_link_operation("followLink", "Download by a signed link"),
        head=_link_operation("inspectLink", "What a signed link leads to, without the bytes"),
        parameters=[
            _in_path("token", "80 characters of base64url, as handed out."),
            _in_path("file_name", "The file's name, percent-encoded, as handed out."),
        ],
    )
    paths["/healthz"] = PathItem(get=_probe("isAlive", "Whether the process answers", ready=False))
    paths["/readyz"] = PathItem(get=_probe("isReady", "Whether the hub can work", ready=True))
    paths["/metrics"] = PathItem(
        get=Operation(
            operation_id="readMetrics",
            tags=["Operation"],
            summary="Metrics for Prometheus, for callers on loopback and operators",
            responses={
                "200": _response("The metrics.", "text/plain", _TEXT),
                "403": _response(
                    "Not for this caller.",
                    "application/json",
                    Schema(),
                    example={"status": "metrics are for loopback and operators"},
                ),
            },
        )
    )
    return paths


def _in_path(name: str, meaning: str) -> Parameter:
    return Parameter(name=name, param_in="path", required=True, schema=_TEXT, description=meaning)


def _in_header(name: str, meaning: str, example: str) -> Parameter:
    return Parameter(
        name=name,
        param_in="header",
        schema=_TEXT,
        description=meaning,
        examples={"usual": Example(value=example)},
    )


def _link_operation(operation_id: str, summary: str) -> Operation:
    whole = {
        "ETag": OpenAPIHeader(schema=_TEXT, description="The file's SHA-256, quoted; strong."),
        "Content-Disposition": OpenAPIHeader(schema=_TEXT, description="The file's name."),
    }
    binary = Schema(type=OpenAPIType.STRING, content_media_type="application/octet-stream")
    problem = Reference(ref=f"#/components/schemas/{_PROBLEM}")
    refusals = {
        "403": "Not a link of this hub, or the right behind it has ended since.",
        "405": "Another method than GET and HEAD.",
        "410": "The link has expired, or what it led to is gone.",
        "503": "The hub cannot read the file now.",
    }
    return Operation(
        operation_id=operation_id,
        tags=["Links"],
        summary=summary,
        description="The link authorises itself: send no Authorization. Ranges as in RFC 9110.",
        parameters=[
            _in_header("Range", "Stretches of the file; at most 16.", "bytes=0-1023"),
            _in_header("If-Range", "Send the range only of this ETag, else all.", '"5f2b..."'),
            _in_header("If-Match", "Only of this ETag, else 412.", '"5f2b..."'),
            _in_header("If-None-Match", "Only of another ETag, else 304.", '"5f2b..."'),
        ],
        responses={
            "200": _response("The file.", "*/*", binary, headers=whole),
            "206": _response("The stretches asked for.", "*/*", binary, headers=whole),
            "304": OpenAPIResponse(description="The client's copy is the file."),
            "412": _response("The file is another one than If-Match names.", "text/plain", _TEXT),
            "416": _response("No range lies inside the file.", "text/plain", _TEXT),
            **{code: _response(text, MEDIA_TYPE, problem) for code, text in refusals.items()},
        },
    )


def _probe(operation_id: str, summary: str, *, ready: bool) -> Operation:
    state = Schema(type=OpenAPIType.OBJECT, properties={"status": _TEXT}, required=["status"])
    responses: dict[str, OpenAPIResponse | Reference] = {
        "200": _response(
            "Yes.", "application/json", state, example={"status": "ready" if ready else "ok"}
        )
    }
    if ready:
        responses["503"] = _response(
            "No; the further members say what is wrong.",
            "application/json",
            state,
            example={"status": "unavailable", "database": "The database does not answer."},
        )
    return Operation(
        operation_id=operation_id, tags=["Operation"], summary=summary, responses=responses
    )


def _response(
    meaning: str,
    media_type: str,
    schema: Schema | Reference,
    *,
    headers: dict[str, OpenAPIHeader] | None = None,
    example: Any = None,
) -> OpenAPIResponse:
    examples: dict[str, Example | Reference] = {"usual": Example(value=example)} if example else {}
    return OpenAPIResponse(
        description=meaning,
        content={media_type: OpenAPIMediaType(schema=schema, examples=examples or None)},
        headers=dict(headers) if headers else None,
    )


def _problem_schema() -> Schema:
    """RFC 9457, as web/http/problems.py writes it."""
    return Schema(
        type=OpenAPIType.OBJECT,
        title="Problem details (RFC 9457)",
        required=["title", "status", "code"],
        properties={
            "type": _TEXT,
            "title": _TEXT,
            "status": Schema(type=OpenAPIType.INTEGER),
            "code": Schema(type=OpenAPIType.STRING, description="See the error catalogue."),
            "detail": _TEXT,
            "remedy": _TEXT,
            "field": _TEXT,
            "details": Schema(type=OpenAPIType.OBJECT),
        },
    )
