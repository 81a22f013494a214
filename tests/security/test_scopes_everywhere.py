"""Every route of the API document x every role x every scope: who is let in, and what is told.

The table below is written by hand from what each door's README and docs/reference say. A route
that it does not know fails the test: whoever adds one has to say who may use it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import ROLES, SCOPES, Principal
from tests import factories
from tests.doors.entitlement_world import Door, open_door

ANYONE = frozenset(ROLES)
STAFF = frozenset({"publisher", "operator"})
OPERATORS = frozenset({"operator"})
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Rule:
    """Routes whose path matches, with these methods: who may come, with one of which scopes."""

    path: str
    roles: frozenset[str]
    scopes: frozenset[str]
    methods: frozenset[str] = frozenset({"GET", *WRITES})


def _admin(roles: frozenset[str], scope: str, *nouns: str) -> Rule:
    return Rule(rf"/api/admin/v1/(?:{'|'.join(nouns)})(?:/|$)", roles, frozenset({scope}))


RULES = (
    Rule("/e-product-entitlement-customer/v1/", ANYONE, frozenset({"entitlements"})),
    _admin(
        STAFF,
        "publish",
        *("products", "licences", "releases", "assets", "entitlements", "downloads", "webhooks"),
    ),
    _admin(OPERATORS, "admin", "organisations", "users", "clients", "keys", "events"),
    Rule(
        "/api/v2/products/",
        ANYONE,
        frozenset({"products", "products.readonly"}),
        frozenset({"GET"}),
    ),
    Rule("/api/v2/products/", STAFF, frozenset({"products"}), frozenset(WRITES)),
    Rule(
        r"/api/v2/webhooks[/.]",
        STAFF | {"organisation-admin"},
        frozenset({"admin", "entitlements", "orders", "products", "publish"}),
    ),
    Rule(r"/api(?!/v2|/admin)(?:/|$)", ANYONE, frozenset({"orders"})),
    Rule("/oauth/userinfo", ANYONE, frozenset({"openid"})),
)
# Without a token: what clients need before they have one, links that say it all themselves, and
# probes (metrics ask strangers for a token: below).
OPEN = re.compile(
    r"/oauth/(?!userinfo)|/admin/oauth/|/\.well-known/|/keys$|/dl/|/downloads/"
    r"|/(?:healthz|readyz|metrics)$"
)
# What stands for the parameters of a path: well formed, and of nothing that is there.
NUMBERS = {"id_json": "99999999.json", "name": "x"}
MISSING = "99999999"


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    with open_door(hub) as opened:
        yield opened


def routes(door: Door) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(method, path, operation) of the whole document."""
    paths = door.ask("/openapi.json").json()["paths"]
    return [
        (method.upper(), path, operation)
        for path, item in paths.items()
        for method, operation in item.items()
        if method.upper() in WRITES | {"GET"}
    ]


def rule_of(method: str, path: str) -> Rule:
    matching = [rule for rule in RULES if re.match(rule.path, path) and method in rule.methods]
    assert len(matching) == 1, f"say in RULES who may {method} {path}"
    return matching[0]


def expected(rule: Rule, role: str, scope: str) -> str:
    """What the caller is told: '' where it is let in."""
    if role not in rule.roles:
        return "role-required"
    return "" if scope in rule.scopes else "scope-required"


def told(door: Door, method: str, path: str, token: str) -> str:
    """Why the caller was not let in; '' where it was, whatever came of it."""
    address = re.sub(r"\{(\w+)\}", lambda match: NUMBERS.get(match[1], MISSING), path)
    answer = door.ask(address, token, method=method)
    assert answer.status_code < 500 or answer.status_code == 501, (method, path, answer.text)
    if answer.status_code not in (401, 403):
        return ""
    said = answer.text + str(answer.headers.items())
    if "insufficient_scope" in said:
        return "scope-required"
    found = re.search(r"role-required|scope-required", said)
    return found[0] if found else f"{answer.status_code} {said}"


def people(hub: Hub) -> dict[str, Principal]:
    with hub.database.write() as tx:
        return {
            role: factories.add_user(tx, factories.add_organisation(tx), roles=(role,))
            for role in ROLES
        }


def test_every_route_asks_for_the_role_and_the_scope_that_it_says(hub: Hub, door: Door) -> None:
    tokens = {
        (role, scope): door.token(who, (scope,))
        for role, who in people(hub).items()
        for scope in SCOPES
    }
    wrong = []
    for method, path, _ in routes(door):
        if OPEN.match(path):
            continue
        rule = rule_of(method, path)
        for (role, scope), token in tokens.items():
            wanted, found = expected(rule, role, scope), told(door, method, path, token)
            if found != wanted:
                wrong.append((method, path, role, scope, found, wanted))
    assert not wrong


def test_the_document_says_which_routes_need_no_token(door: Door) -> None:
    for method, path, operation in routes(door):
        needs = {} not in (operation.get("security") or [{}])
        assert needs is not bool(OPEN.match(path)), (method, path)


def test_without_a_token_every_other_route_is_shut(door: Door) -> None:
    for method, path, _ in routes(door):
        if not OPEN.match(path):
            address = re.sub(r"\{(\w+)\}", lambda match: NUMBERS.get(match[1], MISSING), path)
            answer = door.ask(address, method=method)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_machine_s_scopes_are_held_by_its_registration(hub: Hub, door: Door) -> None:
    """A token that claims more than its client is registered with carries no more."""
    with hub.database.write() as tx:
        organisation = factories.add_organisation(tx)
        new = accounts.add_client(
            tx,
            client_id="robot",
            name="A machine",
            organisation_id=organisation,
            roles=("operator",),
            scopes=("orders",),
            actor="operator",
            now=factories.NOW,
        )
        who = accounts.load_client(tx, new.client_id, scopes=SCOPES)
    token = door.token(who, SCOPES)
    assert told(door, "GET", "/api/downloadorders", token) == ""
    for path in ("/api/admin/v1/users", "/api/admin/v1/products"):
        assert told(door, "GET", path, token) == "scope-required"


def test_metrics_ask_an_operator_for_the_scope(hub: Hub, door: Door) -> None:
    staff = people(hub)
    statuses = {
        (role, scope): door.ask("/metrics", door.token(staff[role], (scope,))).status_code
        for role in ("publisher", "operator")
        for scope in ("admin", "entitlements")
    }
    assert [pair for pair, status in statuses.items() if status == 200] == [("operator", "admin")]
