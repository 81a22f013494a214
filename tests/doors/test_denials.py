"""Decisions against callers are events: who, what, why, which request; a flood is counted."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.core import entitlements
from entrepot.core.events import Tally
from entrepot.core.events.tables import events
from tests import factories
from tests.doors.admin_world import (
    API,
    MISSING,
    URL,
    Desk,
    add_caller,
    open_desk,
    token_of,
)

LINKS = f"{URL}/e-product-entitlement-customer/v1/entitlements"


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


def denials(desk: Desk) -> list[Any]:
    """What was refused, oldest first."""
    with desk.hub.database.read() as tx:
        query = select(events).where(
            events.c.type.like("%.denied") | (events.c.type == "sign-in.failed")
        )
        return list(tx.execute(query.order_by(events.c.id)))


def test_a_refused_link_is_told_with_actor_object_reason_and_request(desk: Desk) -> None:
    hub = desk.hub
    with hub.database.write() as tx:
        organisation = factories.add_organisation(tx)
        who = factories.add_user(tx, organisation)
        product = factories.add_product(tx)
        published = factories.add_release(tx, product, store=hub.blobs)
        number = factories.grant(tx, organisation, product)
    token = token_of(hub, who)
    path = f"{LINKS}/{number}/rights/download/releases/{published.id}"
    path += f"/artifact/{published.artifact_ids[0]}/http"
    link = desk.ask("GET", path, token=token).json()["downloadUrl"]
    assert desk.ask("GET", link, token=None).status_code == 200
    assert denials(desk) == []
    with hub.database.write() as tx:
        entitlements.revoke(tx, number, actor="operator", now=hub.now())
    refused = desk.ask("GET", path, token=token, headers={"x-request-id": "request-of-ada"})
    assert refused.status_code == 403
    missing = path.replace(published.artifact_ids[0], MISSING)
    assert desk.ask("GET", missing, token=token).status_code == 404
    # A process that has not asked the predicate for this lease yet.
    with open_desk(hub) as other:
        assert other.ask("GET", link, token=None).status_code == 403
        forged = other.ask("GET", link.replace("/dl/", "/dl/AAAA"), token=None)
        assert forged.status_code == 403
    first, second, third, fourth = denials(desk)
    assert (first.type, first.actor, first.organisation_id) == (
        "link.denied",
        who.label,
        organisation,
    )
    assert first.subject == f"artifact:{published.artifact_ids[0]}"
    assert first.request_id == "request-of-ada"
    assert (first.data["reason"], first.data["address"]) == ("entitlement-revoked", "127.0.0.1")
    assert (second.subject, second.data["reason"]) == (f"artifact:{MISSING}", "not-found")
    assert (third.type, third.actor, third.subject) == (first.type, who.label, first.subject)
    assert third.data["reason"] == "entitlement-revoked"
    assert len(third.data["lease"]) == 32
    assert (fourth.actor, fourth.subject, fourth.data["reason"]) == (
        "anyone",
        "link",
        "link-invalid",
    )


def test_refused_callers_are_told_and_malformed_requests_are_not(desk: Desk) -> None:
    customer = add_caller(desk.hub, "customer")
    assert desk.ask("GET", "/users", token=token_of(desk.hub, customer)).status_code == 403
    assert desk.ask("GET", "/users", token="not.a.token").status_code == 401
    for path in ("/users?x=1", "/users?take=0", f"/releases/{MISSING}", "/nowhere"):
        assert desk.ask("GET", path).status_code in (400, 404)
    assert desk.ask("GET", "/users", token=None).status_code == 401
    form = {"email": "nobody@example.com", "password": "a wrong guess"}
    body = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in form.items())
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": URL}
    sign_in = f"{URL}/sign-in"
    answer = desk.ask("POST", sign_in, token=None, content=body.encode(), headers=headers)
    assert answer.status_code == 401
    foreign = headers | {"origin": "https://elsewhere.example.com"}
    answer = desk.ask("POST", sign_in, token=None, content=body.encode(), headers=foreign)
    assert answer.status_code == 403
    wrong = b"grant_type=client_credentials&client_id=nobody&client_secret=guess"
    for sent, status in ((wrong, 401), (b"grant_type=made-up", 400), (b"", 400)):
        answer = desk.ask("POST", f"{URL}/oauth/token", token=None, content=sent, headers=headers)
        assert answer.status_code == status
    told = [(row.type, row.actor, row.subject, row.data["reason"]) for row in denials(desk)]
    assert told == [
        ("admin.denied", customer.label, f"path:{API}/users", "role-required"),
        ("token.denied", "anyone", f"path:{API}/users", "token-invalid"),
        ("sign-in.failed", "anyone", "user:unknown", "credentials-wrong"),
        ("page.denied", "anyone", "path:/sign-in", "form-foreign"),
        ("token.denied", "anyone", "client:nobody", "invalid_client"),
    ]
    assert "guess" not in repr([row.data for row in denials(desk)])


def test_a_flood_of_refusals_is_counted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrepot.web.http.denial_record.Tally", lambda: Tally(told_max=10))
    with open_desk(hub) as desk:
        _flood(desk)


def _flood(desk: Desk) -> None:
    customer = add_caller(desk.hub, "customer")
    token = token_of(desk.hub, customer)
    for _ in range(5):
        assert desk.ask("GET", "/users", token=token).status_code == 403
    assert len(denials(desk)) == 1
    for number in range(20):
        assert desk.ask("GET", f"/products/P{number}", token=token).status_code == 403
    assert len(denials(desk)) == 10
