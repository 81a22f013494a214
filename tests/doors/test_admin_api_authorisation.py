"""Who may call which operation of the admin API: every operation, every kind of caller."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.assembly import Hub
from tests.doors.admin_world import (
    API,
    MISSING,
    Desk,
    add_caller,
    add_machine,
    open_desk,
    refused,
    token_of,
)

PUBLISH, ADMIN = "publish", "admin"
TAGS = {
    "assets": PUBLISH,
    "products": PUBLISH,
    "licences": PUBLISH,
    "releases": PUBLISH,
    "grants": PUBLISH,
    "downloads": PUBLISH,
    "organisations": ADMIN,
    "users": ADMIN,
    "clients": ADMIN,
    "keys": ADMIN,
    "webhooks": PUBLISH,
    "events": ADMIN,
}
# What each caller may do; the reason why not, where it may not.
CALLERS: dict[str, tuple[set[str], str]] = {
    "customer": (set(), "role-required"),
    "organisation-admin": (set(), "role-required"),
    "publisher": ({PUBLISH}, "role-required"),
    "operator": ({PUBLISH, ADMIN}, ""),
    "machine of a publisher": ({PUBLISH}, "role-required"),
    "machine of an operator, for customers": (set(), "scope-required"),
    "machine of an operator, to publish": ({PUBLISH}, "scope-required"),
    "machine of a customer": (set(), "role-required"),
}


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


def _tokens(hub: Hub) -> dict[str, str]:
    callers = {role: add_caller(hub, role) for role in list(CALLERS)[:4]}
    machines = {
        "machine of a publisher": ("publisher", PUBLISH),
        "machine of an operator, for customers": ("operator", "entitlements"),
        "machine of an operator, to publish": ("operator", PUBLISH),
        "machine of a customer": ("customer", ADMIN),
    }
    for number, (name, (role, scope)) in enumerate(machines.items()):
        callers[name] = add_machine(hub, f"machine-{number}", [role], [scope, "entitlements"][:2])
    assert callers.keys() == CALLERS.keys()
    return {name: token_of(hub, who) for name, who in callers.items()}


def _operations(desk: Desk) -> list[tuple[str, str, str, str]]:
    """(operation id, scope, method, path) of the whole door."""
    document: dict[str, Any] = desk.ask("GET", "/openapi.json").json()
    return [
        (
            operation["operationId"],
            TAGS[operation["tags"][0]],
            method.upper(),
            re.sub(r"\{\w+\}", MISSING, path.removeprefix(API)),
        )
        for path, item in document["paths"].items()
        if path.startswith(API)
        for method, operation in item.items()
    ]


def test_every_operation_lets_in_whom_it_should_and_nobody_else(desk: Desk) -> None:
    tokens, operations = _tokens(desk.hub), _operations(desk)
    assert len(operations) == 67
    wrong = []
    for name, scope, method, path in operations:
        for caller, (scopes, reason) in CALLERS.items():
            # Neither a body nor a real object: only who asks decides between 403 and the rest.
            answer = desk.ask(method, path, token=tokens[caller])
            code = answer.json().get("code", "")
            let_in = answer.status_code not in (401, 403)
            told = let_in or (answer.status_code == 403 and code == reason)
            if let_in is not (scope in scopes) or not told or answer.status_code >= 500:
                wrong.append((name, caller, answer.status_code, code))
    assert not wrong


def test_without_a_good_token_nothing_is_said(desk: Desk) -> None:
    for _, _, method, path in _operations(desk):
        answer = desk.ask(method, path, token=None, content=b"{")
        refused(answer, 401, "token-missing")
        assert answer.headers["www-authenticate"] == "Bearer"
        refused(desk.ask(method, f"{path}?x=1", token="no.token"), 401, "token-invalid")


def test_a_disabled_operator_is_out(desk: Desk) -> None:
    other = add_caller(desk.hub, "operator")
    token = token_of(desk.hub, other)
    desk.done("POST", f"/users/{other.id}/disable")
    refused(desk.ask("GET", "/users", token=token), 401, "account-disabled")
