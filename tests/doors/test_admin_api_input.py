"""Bad input to the admin API: refused with the name of what is wrong, and nothing is changed."""

from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.assembly import Hub
from tests.doors.admin_world import MISSING, Desk, open_desk, refused

PRODUCT = {"code": "P9", "name": "A product"}
GRANT = {"organisation": "Customer", "product": "P1"}
USER = {"email": "bob@example.com", "given_name": "Bob", "organisation": "Customer"}
CLIENT = {"client_id": "ci", "name": "CI", "organisation": "Customer", "scopes": []}

# Operation, body, the field that is wrong, and the code of the refusal.
BODIES: list[tuple[str, Any, str, str]] = [
    ("POST /products", PRODUCT | {"code": "lower"}, "code", "invalid"),
    ("POST /products", PRODUCT | {"code": "123"}, "code", "invalid"),
    ("POST /products", PRODUCT | {"name": ""}, "name", "invalid"),
    ("POST /products", PRODUCT | {"name": " "}, "name", "invalid"),
    ("POST /products", PRODUCT | {"name": "a\nb"}, "name", "invalid"),
    ("POST /products", PRODUCT | {"name": "x" * 201}, "name", "invalid"),
    ("POST /products", PRODUCT | {"description": "\0"}, "description", "invalid"),
    ("POST /products", PRODUCT | {"listed": "true"}, "listed", "invalid"),
    ("POST /products", PRODUCT | {"listed": None}, "listed", "invalid"),
    ("POST /products", PRODUCT | {"us_eccn": ["5D", 1]}, "us_eccn[1]", "invalid"),
    ("POST /products", PRODUCT | {"us_eccn": ["x"] * 101}, "us_eccn", "invalid"),
    ("POST /products", PRODUCT | {"delivery_method": "post"}, "delivery_method", "invalid"),
    ("POST /products", PRODUCT | {"licence_code": "NONE"}, "licence_code", "invalid"),
    ("POST /products", PRODUCT | {"members": ["NONE"]}, "members", "invalid"),
    ("POST /products", PRODUCT | {"members": []}, "members", "invalid"),
    ("POST /products", PRODUCT | {"members": ["P1", "P1"]}, "members", "invalid"),
    ("POST /products", PRODUCT | {"colour": "red"}, "colour", "invalid"),
    ("POST /products", {"code": "P9"}, "name", "invalid"),
    ("POST /products", [], "body", "invalid"),
    ("PATCH /products/P1", {"code": "P2"}, "code", "invalid"),
    ("PATCH /products/P1", {"name": None}, "name", "invalid"),
    ("POST /licences", {"code": "a b", "name": "x", "text": "x"}, "code", "invalid"),
    ("POST /licences", {"code": "L", "name": "x", "text": " "}, "text", "invalid"),
    ("POST /licences", {"code": "L", "name": "x", "text": "x" * 1_000_001}, "text", "invalid"),
    ("POST /products/P1/releases", {"name": "\u202e1"}, "name", "invalid"),
    ("POST /products/P1/releases", {"name": "1", "quality": "?"}, "quality", "invalid"),
    ("POST /products/P1/releases", {"name": "1", "patch": ""}, "patch", "invalid"),
    ("POST /entitlements", GRANT | {"organisation": "Nobody"}, "organisation", "invalid"),
    ("POST /entitlements", GRANT | {"organisation": 2**70}, "organisation", "invalid"),
    ("POST /entitlements", GRANT | {"organisation": None}, "organisation", "invalid"),
    ("POST /entitlements", GRANT | {"product": "NONE"}, "product", "invalid"),
    ("POST /entitlements", GRANT | {"right_to": "own"}, "right_to", "invalid"),
    ("POST /entitlements", GRANT | {"valid_from": "soon"}, "valid_from", "date-invalid"),
    ("POST /entitlements", GRANT | {"valid_to": "2026-02-30"}, "valid_to", "date-invalid"),
    ("POST /entitlements", GRANT | {"valid_to": "2000-01-01"}, "valid_to", "invalid"),
    ("POST /entitlements", GRANT | {"valid_to": 5}, "valid_to", "invalid"),
    (
        "POST /entitlements",
        GRANT | {"maintenance_from": "2026-01-02", "maintenance_to": "2026-01-01"},
        "maintenance_to",
        "invalid",
    ),
    (
        "POST /entitlements",
        GRANT | {"allowed_countries": ["XX"]},
        "allowed_countries",
        "country-invalid",
    ),
    (
        "POST /entitlements",
        GRANT | {"allowed_countries": ["DE"] * 301},
        "allowed_countries",
        "invalid",
    ),
    ("POST /entitlements", GRANT | {"pinned_licence": "NONE"}, "pinned_licence", "invalid"),
    ("POST /entitlements", GRANT | {"pinned_revision": 1}, "pinned_licence", "invalid"),
    ("POST /entitlements", GRANT | {"pinned_revision": 0}, "pinned_revision", "invalid"),
    ("POST /organisations", {"name": "New", "country": "XX"}, "country", "country-invalid"),
    ("POST /organisations", {"name": "", "country": "DE"}, "name", "invalid"),
    ("POST /users", USER | {"email": "bob"}, "email", "invalid"),
    ("POST /users", USER | {"organisation": "Nobody"}, "organisation", "invalid"),
    ("POST /users", USER | {"roles": ["king"]}, "roles[0]", "invalid"),
    ("POST /users", USER | {"password": "short"}, "password", "invalid"),
    ("PUT /users/ada@example.com/roles", {"roles": None}, "roles", "invalid"),
    ("PUT /users/ada@example.com/password", {"password": "x" * 257}, "password", "invalid"),
    ("POST /clients", CLIENT | {"client_id": "C I"}, "client_id", "invalid"),
    ("POST /clients", CLIENT | {"scopes": ["all"]}, "scopes[0]", "invalid"),
    ("POST /keys/rotation", {"purpose": "session"}, "purpose", "invalid"),
]
QUERIES = [
    ("/products?skip=-1", "skip", "invalid"),
    ("/products?skip=1000000001", "skip", "invalid"),
    ("/products?take=0", "take", "invalid"),
    ("/products?take=1001", "take", "invalid"),
    ("/products?take=%D9%A1", "take", "invalid"),
    ("/products?take=1&take=2", "take", "parameter-repeated"),
    ("/products?tkae=1", "tkae", "parameter-unknown"),
    ("/products?x=%FF", "query", "invalid"),
    ("/products/P1?skip=1", "skip", "parameter-unknown"),
    ("/users?organisation=Nobody", "organisation", "invalid"),
    ("/clients?organisation=999", "organisation", "invalid"),
    ("/entitlements?organisation=", "organisation", "invalid"),
    ("/downloads?artifact=x", "artifact", "invalid"),
]
MISSING_THINGS = [
    "GET /products/NONE",
    "GET /products/999",
    "PATCH /products/NONE",
    "GET /products/NONE/releases",
    "GET /licences/NONE",
    "GET /releases/x",
    f"GET /releases/{MISSING}",
    f"POST /releases/{MISSING}/available",
    f"POST /releases/{MISSING}/withdraw",
    f"DELETE /releases/{MISSING}",
    f"GET /releases/{MISSING}/artifacts/{MISSING}",
    f"POST /releases/{MISSING}/artifacts?file_name=a",
    "GET /entitlements/x",
    "GET /entitlements/0",
    f"GET /entitlements/{2**63}",
    "PATCH /entitlements/999",
    "POST /entitlements/999/revoke",
    "GET /organisations/999",
    "POST /organisations/Nobody/block",
    "GET /users/999",
    "POST /users/nobody@example.com/disable",
    "GET /clients/nobody",
    "POST /clients/nobody/disable",
]


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        opened.made("/organisations", {"name": "Customer", "country": "DE"})
        opened.made("/users", USER | {"email": "ada@example.com"})
        opened.made("/products", PRODUCT | {"code": "P1"})
        yield opened


def _totals(desk: Desk) -> list[int]:
    lists = ("products", "licences", "entitlements", "organisations", "users", "clients", "keys")
    return [desk.ask("GET", f"/{each}").json()["total"] for each in lists]


def test_every_wrong_field_is_named_and_nothing_is_kept(desk: Desk) -> None:
    before = _totals(desk)
    for operation, body, field, code in BODIES:
        method, path = operation.split()
        answer = desk.ask(method, path, json=body)
        assert answer.status_code == 400, (operation, body, answer.text)
        refused(answer, 400, code, field)
    assert _totals(desk) == before
    assert desk.ask("GET", "/products/P1").json()["name"] == PRODUCT["name"]


def test_what_is_no_json_is_told_so(desk: Desk) -> None:
    for body in (b"", b"{", b"\xff", b'{"code":"\xff"}', b'{"code":"\\ud800"}', b"[}"):
        refused(desk.ask("POST", "/products", content=body), 400, "invalid", "body")
    refused(desk.ask("POST", "/products", content=b"[" * 100_000), 400, "invalid", "body")


def test_a_body_beyond_the_limit_is_not_read(desk: Desk) -> None:
    large = b'{"code":"P9","name":"' + b"x" * desk.hub.policy.body_bytes_max + b'"}'
    refused(desk.ask("POST", "/products", content=large), 413, "body-too-large")


def test_every_wrong_parameter_is_named(desk: Desk) -> None:
    for path, field, code in QUERIES:
        answer = desk.ask("GET", path)
        assert answer.status_code == 400, (path, answer.text)
        refused(answer, 400, code, field)


def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    for operation in MISSING_THINGS:
        method, path = operation.split()
        answer = desk.ask(method, path, json=None if method == "GET" else {})
        assert answer.status_code == 404, (operation, answer.text)
        refused(answer, 404, "not-found")


def test_another_method_is_refused_with_those_that_are_allowed(desk: Desk) -> None:
    answer = desk.ask("PUT", "/products", json=PRODUCT)
    refused(answer, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))
