"""The API document is complete: examples, links and scopes, and all of them true."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.web.openapi._links import IN_ADDRESS, WAYS
from tests.doors.admin_world import Desk, open_desk, token_of

METHODS = ("get", "head", "post", "put", "patch", "delete")
# Endpoints that say by themselves what they think of a token: their 401 is of OAuth's own shape.
NO_SCOPE = {"showUserInfo", "showUserInfoByPost", "showApi"}


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_every_request_and_every_answer_has_examples_that_are_valid(desk: Desk) -> None:
    document = _document(desk)
    lacking: list[str] = []
    wrong: list[str] = []
    for path, _, operation in _operations(document):
        shared = document["paths"][path].get("parameters", [])
        shown: list[tuple[str, dict[str, Any]]] = [
            (f"parameter {each['name']}", each)
            for each in (*operation.get("parameters", []), *shared)
        ]
        body = operation.get("requestBody", {}).get("content", {})
        shown += [(f"request {kind}", content) for kind, content in body.items()]
        shown += [
            (f"answer {status}", content)
            for status, answer in operation["responses"].items()
            for kind, content in answer.get("content", {}).items()
            if kind.endswith("json")
        ]
        for what, part in shown:
            where = f"{operation['operationId']}: {what}"
            if not part.get("examples"):
                lacking.append(where)
            for example in part.get("examples", {}).values():
                faults = _faults(document, part["schema"], example["value"])
                wrong += [f"{where}: {fault}" for fault in faults]
    assert not lacking, "\n".join(lacking)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_every_link_leads_to_an_operation_with_what_it_needs(desk: Desk) -> None:
    document = _document(desk)
    known = {each["operationId"]: (path, each) for path, _, each in _operations(document)}
    assert {*WAYS, *IN_ADDRESS} <= set(known)
    followed = set()
    for name, (path, operation) in known.items():
        for status, answer in operation["responses"].items():
            for link in answer.get("links", {}).values():
                assert status[0] in "23"
                target = link["operationId"]
                assert target in known, f"{name} leads to {target}, which is not there"
                followed.add(target)
                _, operation_there = known[target]
                needed = {
                    each["name"]
                    for each in operation_there.get("parameters", [])
                    if each["in"] == "path"
                }
                if "x-address" in link:
                    _resolve(link["x-address"], answer)
                    continue
                assert set(link["parameters"]) == needed, f"{name} to {target}"
                for value in link["parameters"].values():
                    if value.startswith("$request.path."):
                        assert f"{{{value.removeprefix('$request.path.')}}}" in path
                    else:
                        _resolve(value, answer)
    # Whatever names an object in its address can be come to by a link.
    unreached = {
        name
        for name, (path, _) in known.items()
        if "{" in path and name not in followed and name not in {"inspectLink", "showColleague"}
    }
    assert unreached <= {
        *("showTarget", "clearPool", "changePool", "listSelections", "changeSelection"),
        # Their names are put together from what signed metadata says, as TUF has it.
        *("showMetadata", "showManifest"),
    }, unreached


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_scope_that_is_documented_is_the_one_that_is_asked_for(desk: Desk) -> None:
    """Each operation, asked by an operator whose token has every scope but the documented ones."""
    document = _document(desk)
    flows = document["components"]["securitySchemes"]["oauth2"]["flows"]
    for flow in ("authorizationCode", "clientCredentials", "x-deviceAuthorization"):
        assert set(flows[flow]["scopes"]) == set(accounts.SCOPES)
    checked = 0
    for path, method, operation in _operations(document):
        asked = [one["oauth2"] for one in operation.get("security", []) if "oauth2" in one]
        scopes = {scope for one in asked for scope in one}
        if operation["operationId"] in NO_SCOPE or not asked:
            continue
        if {} in operation["security"] or operation["tags"] == ["Webhooks"]:
            continue  # open to anybody; to everybody who is known
        assert scopes, operation["operationId"]
        others = tuple(scope for scope in accounts.SCOPES if scope not in scopes)
        token = token_of(desk.hub, desk.operator, scopes=others)
        answer = desk.ask(method, "http://127.0.0.1:8080" + _filled(path, operation), token=token)
        assert answer.status_code == 403, f"{operation['operationId']}: {answer.text}"
        checked += 1
    assert checked > 90


def _document(desk: Desk) -> dict[str, Any]:
    document: dict[str, Any] = desk.ask("GET", "/openapi.json").json()
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _faults(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with an example; texts that stand for bytes are any text."""
    whole = {**schema, "components": document["components"]}
    found = jsonschema_rs.Draft202012Validator(whole).iter_errors(value)
    return [fault.message for fault in found]


def _resolve(expression: str, answer: dict[str, Any]) -> Any:
    """The value in the answer's own example; KeyError or IndexError: the link leads nowhere."""
    if expression.startswith("$response.header."):
        return None
    [content] = answer["content"].values()
    value = next(iter(content["examples"].values()))["value"]
    for step in expression.removeprefix("$response.body#/").split("/"):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _filled(path: str, operation: dict[str, Any]) -> str:
    for each in operation.get("parameters", []):
        value = next(iter(each["examples"].values()))["value"]
        path = path.replace(f"{{{each['name']}}}", str(value))
    required = [
        f"{each['name']}={next(iter(each['examples'].values()))['value']}"
        for each in operation.get("parameters", [])
        if each["in"] == "query" and each["required"]
    ]
    return f"{path}?{'&'.join(required)}" if required else path
