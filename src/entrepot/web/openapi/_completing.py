"""The finished document: examples, links and scopes added to what the doors say."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from entrepot.web.openapi._links import IN_ADDRESS, WAYS
from entrepot.web.openapi._requests import BODIES, FORMS, PARAMETERS
from entrepot.web.openapi._samples import ANSWERS, sample
from entrepot.web.openapi._security import OAUTH, device_flow, security_of

Node: TypeAlias = dict[str, Any]

_METHODS = ("get", "head", "post", "put", "patch", "delete")
_EXAMPLE = "usual"
_JSON = re.compile(r"application/([a-z.-]+\+)?json$")
# Litestar cannot match an ending behind a parameter, so the door takes it off by itself.
_ENDING = re.compile(r"\{(\w+)_json\}")


def complete(document: Mapping[str, Any]) -> Node:
    """The document with examples, links between operations, and scopes.

    What is new and has no example yet is left without, as the document must always be had;
    tests/doors/test_openapi_document.py fails then.
    """
    # Sorted: Litestar has them in another order at each start.
    items = sorted(document["paths"].items())
    paths = {_ENDING.sub(r"{\1}.json", path): item for path, item in items}
    finished: Node = {**document, "paths": paths, "components": dict(document["components"])}
    schemas = finished["components"]["schemas"]
    _relax(schemas)
    known = {each["operationId"]: (path, each) for path, _, each in operations(finished)}
    for path, method, operation in operations(finished):
        _rename(operation)
        _show_parameters(operation, paths[path].get("parameters", ()))
        _show_body(operation)
        _show_answers(operation, schemas)
        if "security" in operation:
            operation["security"] = security_of(path, method, operation["security"])
    for path, _, operation in operations(finished):
        _link(path, operation, known)
    schemes = finished["components"].get("securitySchemes", {})
    url = finished["servers"][0]["url"]
    if OAUTH in schemes:
        schemes[OAUTH]["flows"]["x-deviceAuthorization"] = device_flow(url)
    return finished


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Node]]:
    """Path, method and operation, in the document's order."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _rename(operation: Node) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = parameter["name"].removesuffix("_json")


def _show_parameters(operation: Node, shared: Any) -> None:
    for parameter in (*operation.get("parameters", ()), *shared):
        if "examples" in parameter:
            continue
        name = parameter["name"]
        own = f"{operation['operationId']}.{name}"
        if own in PARAMETERS or name in PARAMETERS:
            value = PARAMETERS.get(own, PARAMETERS.get(name))
            parameter["examples"] = {_EXAMPLE: {"value": value}}


def _show_body(operation: Node) -> None:
    name = operation["operationId"]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        bodies = FORMS if media_type == "multipart/form-data" else BODIES
        if "examples" not in content and name in bodies:
            content["examples"] = {_EXAMPLE: {"value": bodies[name]}}


def _show_answers(operation: Node, schemas: Mapping[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        if status == "200" and operation["operationId"] in ANSWERS:
            answer["content"] |= ANSWERS[operation["operationId"]]
        for media_type, content in answer.get("content", {}).items():
            if media_type == "text/event-stream":
                content["schema"] = {}  # OpenAPI 3.1 has no words for the shape of events
            for example in content.get("examples", {}).values():
                _restore_nulls(example["value"], content["schema"], schemas)
            if "examples" in content or not _JSON.match(media_type):
                continue
            with suppress(KeyError):
                value = sample(content["schema"], schemas, int(status))
                content["examples"] = {_EXAMPLE: {"value": value}}


def _restore_nulls(value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    """Put back what is null in an example that a door gave: Litestar leaves it out."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        for part in value:
            _restore_nulls(part, schema.get("items", {}), schemas)
    elif isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            if name in value:
                _restore_nulls(value[name], part, schemas)
            elif name in schema.get("required", ()) and {"type": "null"} in part.get("oneOf", ()):
                value[name] = None


def _relax(node: Any) -> None:
    """Litestar writes int | float as one of two, which no whole number is: any of them it is."""
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        _relax(part)
    if isinstance(node, dict) and {"integer", "number"} <= {
        one.get("type") for one in node.get("oneOf", ()) if isinstance(one.get("type"), str)
    }:
        node["anyOf"] = node.pop("oneOf")


def _link(path: str, operation: Node, known: Mapping[str, tuple[str, Node]]) -> None:
    name = operation["operationId"]
    links: Node = {}
    for way in WAYS.get(name, ()):
        for target in way.targets:
            there = known[target][0] if target in known else ""
            here = set(_names(path)) & set(_names(there)) - set(way.given)
            taken = {each: f"$request.path.{each}" for each in sorted(here)}
            links[target] = {"operationId": target, "parameters": taken | dict(way.given)}
    if name in IN_ADDRESS:
        target, where = IN_ADDRESS[name]
        links[target] = {
            "operationId": target,
            "description": "The whole address is in the answer: follow it as it is.",
            "x-address": where,
        }
    if links:
        good = next(code for code in operation["responses"] if code[0] in "23")
        operation["responses"][good].setdefault("links", {}).update(links)


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)
