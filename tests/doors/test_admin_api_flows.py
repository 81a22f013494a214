"""The admin API from an empty hub to a customer's download, and every list on the way."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.assembly import Hub
from entrepot.core import accounts, delivery, entitlements
from entrepot.core.accounts import passwords
from entrepot.core.events.tables import events
from entrepot.kit.text import format_instant
from tests.doors.admin_world import MISSING, Desk, add_caller, open_desk, refused, stored, token_of
from tests.hashing import UnhurriedHasher

TEXT = "You may use it."


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


def test_from_an_empty_hub_to_what_a_customer_sees(desk: Desk) -> None:
    """Every step by the API, the outcome by the verbs that serve customers."""
    hub = desk.hub
    customer = desk.made("/organisations", {"name": "Customer Ltd", "country": "de"})
    assert customer["country"] == "DE"
    person = desk.made(
        "/users", {"email": "Ada@Example.com", "given_name": "Ada", "organisation": "Customer Ltd"}
    )
    assert (person["email"], person["roles"]) == ("ada@example.com", ["customer"])
    desk.made("/products", {"code": "DS000B", "name": "Development Studio"})
    release = desk.made("/products/DS000B/releases", {"name": "2026.1", "major_version": "2026"})
    artifact = desk.upload(release["id"], b"payload", file_name="studio.tgz")
    assert artifact["sha256"] == hashlib.sha256(b"payload").hexdigest()
    assert artifact["md5"] == hashlib.md5(b"payload").hexdigest()
    assert artifact["size"] == 7
    given = desk.made("/entitlements", {"organisation": customer["id"], "product": "DS000B"})

    def released() -> list[str]:
        with hub.database.read() as tx:
            who = accounts.load_user(tx, person["id"])
            found, _ = entitlements.list_permitted_releases(
                tx, who, str(given["id"]), entitlements.ReleaseFilter(), None, now=hub.now()
            )
            return [each.id for each in found]

    assert released() == []
    desk.done("POST", f"/releases/{release['id']}/available")
    assert released() == [release["id"]]
    with hub.database.write() as tx:
        who = accounts.load_user(tx, person["id"])
        link = delivery.issue_artifact_link(
            tx,
            hub.keys.current,
            who,
            number=str(given["id"]),
            release_id=release["id"],
            artifact_id=artifact["id"],
            declared_country=None,
            embargoed=(),
            seconds=600,
            now=hub.now(),
        )
    assert link.path.endswith("/studio.tgz")
    desk.done("POST", f"/releases/{release['id']}/withdraw")
    assert released() == []
    shown = desk.ask("GET", f"/releases/{release['id']}").json()
    assert shown["state"] == "withdrawn"
    assert [each["id"] for each in shown["artifacts"]] == [artifact["id"]]


def test_the_log_names_who_did_it(desk: Desk) -> None:
    release_id = desk.draft()
    desk.upload(release_id, b"x")
    with desk.hub.database.read() as tx:
        found = tx.execute(select(events.c.type, events.c.actor).order_by(events.c.id)).all()
    mine = [kind for kind, actor in found if actor == desk.operator.label]
    assert mine == ["product.added", "release.created", "artifact.added"]


def test_a_release_becomes_available_when_it_is_told(desk: Desk) -> None:
    release_id = desk.draft()
    refused(desk.ask("POST", f"/releases/{release_id}/available"), 409, "release-empty")
    desk.upload(release_id, b"x")
    later = format_instant(desk.hub.now() + timedelta(days=1))
    desk.done("POST", f"/releases/{release_id}/available", {"available_at": later})
    shown = desk.ask("GET", f"/releases/{release_id}").json()
    assert (shown["state"], shown["available_at"]) == ("available", later)
    refused(desk.ask("POST", f"/releases/{release_id}/available"), 409, "release-available")
    refused(desk.ask("DELETE", f"/releases/{release_id}"), 409, "release-not-draft")


def test_drafts_and_their_files_are_taken_back_with_their_bytes(desk: Desk, tmp_path: Path) -> None:
    release_id = desk.draft()
    kept = desk.upload(release_id, b"kept", file_name="kept.bin")
    gone = desk.upload(release_id, b"gone", file_name="gone.bin")
    desk.upload(release_id, b"kept", file_name="again.bin")
    desk.done("DELETE", f"/releases/{release_id}/artifacts/{gone['id']}")
    assert stored(desk.hub, tmp_path) == [kept["sha256"]]
    desk.done("DELETE", f"/releases/{release_id}")
    assert stored(desk.hub, tmp_path) == []
    refused(desk.ask("GET", f"/releases/{release_id}"), 404, "not-found")


def test_a_product_is_changed_in_part(desk: Desk) -> None:
    desk.made("/licences", {"code": "EULA", "name": "Terms", "text": TEXT})
    made = desk.made(
        "/products",
        {"code": "P1", "name": "One", "process": "7nm", "licence_code": "EULA", "us_eccn": ["5D"]},
    )
    answer = desk.ask("PATCH", "/products/P1", json={"name": "Uno", "process": None})
    assert answer.status_code == 200
    expected = made | {"name": "Uno", "process": None, "changed_at": answer.json()["changed_at"]}
    assert answer.json() == expected
    assert desk.ask("GET", f"/products/{made['id']}").json() == expected
    desk.made("/products", {"code": "P2", "name": "Two"})
    group = desk.made("/products", {"code": "G", "name": "All", "members": ["P2", "P1"]})
    assert (group["grouped"], group["members"]) == (True, ["P2", "P1"])
    answer = desk.ask("PATCH", "/products/P1", json={"members": ["P2"]})
    refused(answer, 409, "group-fixed")
    answer = desk.ask("PATCH", "/products/G", json={"members": ["P1"]})
    assert answer.json()["members"] == ["P1"]
    refused(desk.ask("POST", "/products", json={"code": "P1", "name": "x"}), 409, "code-taken")


def test_licences_have_revisions(desk: Desk) -> None:
    first = desk.made("/licences", {"code": "EULA", "name": "Terms", "text": TEXT})
    assert first["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    second = desk.made("/licences/EULA/revisions", {"text": "You may not."})
    assert (second["revision"], second["text"]) == (2, "You may not.")
    assert desk.ask("GET", "/licences/EULA").json() == second
    assert desk.ask("GET", "/licences/EULA/revisions/1").json() == first
    assert desk.ask("GET", "/licences").json()["items"][0]["revision"] == 2
    for path in ("/licences/EULA/revisions/3", "/licences/EULA/revisions/x", "/licences/NONE"):
        refused(desk.ask("GET", path), 404, "not-found")
    # A text as long as a text may be, in letters of several bytes.
    long = desk.made("/licences/EULA/revisions", {"text": "\u00e4" * 1_000_000})
    assert len(long["text"]) == 1_000_000


def test_an_entitlement_is_changed_in_part_and_revoked(desk: Desk) -> None:
    desk.made("/licences", {"code": "EULA", "name": "Terms", "text": TEXT})
    desk.made("/products", {"code": "P1", "name": "One"})
    owner = desk.made("/organisations", {"name": "Customer", "country": "DE"})["id"]
    made = desk.made(
        "/entitlements",
        {
            "organisation": "Customer",
            "product": "P1",
            "qualities": ["eac"],
            "valid_from": "2026-01-31",
            "maintenance_to": "2027-01-31T12:00:00+02:00",
            "allowed_countries": ["DE", "fr"],
            "pinned_licence": "EULA",
        },
    )
    assert made["organisation_id"] == owner
    assert made["valid_from"] == "2026-01-31T00:00:00.000Z"
    assert made["maintenance_to"] == "2027-01-31T10:00:00.000Z"
    assert (made["qualities"], made["allowed_countries"]) == (["EAC"], ["DE", "FR"])
    assert (made["pinned_licence"], made["pinned_revision"]) == ("EULA", 1)
    path = f"/entitlements/{made['id']}"
    answer = desk.ask("PATCH", path, json={"maintenance_to": None, "free": True})
    changed = made | {
        "maintenance_to": None,
        "free": True,
        "changed_at": answer.json()["changed_at"],
    }
    assert answer.json() == changed
    answer = desk.ask("PATCH", path, json={"pinned_licence": None})
    assert (answer.json()["pinned_licence"], answer.json()["pinned_revision"]) == (None, None)
    desk.done("POST", f"{path}/revoke")
    refused(desk.ask("POST", f"{path}/revoke"), 409, "already-revoked")
    assert desk.ask("GET", path).json()["revoked_at"] is not None
    listed = desk.ask("GET", "/entitlements?organisation=Customer").json()
    assert [each["id"] for each in listed["items"]] == [made["id"]]
    assert desk.ask(
        "GET", f"/entitlements?organisation={desk.operator.organisation_id}"
    ).json() == {
        "total": 0,
        "items": [],
    }


def test_what_is_granted_already_is_granted_again_only_where_that_is_said(desk: Desk) -> None:
    desk.made("/products", {"code": "P1", "name": "One"})
    desk.made("/organisations", {"name": "Customer", "country": "DE"})
    body = {"organisation": "Customer", "product": "P1", "allowed_countries": ["DE", "FR"]}
    first = desk.made("/entitlements", body)
    answer = desk.ask("POST", "/entitlements", json=body)
    refused(answer, 409, "already-granted")
    assert f"Entitlement {first['id']} gives the same" in answer.text
    for change in ({"allowed_countries": ["DE"]}, {"free": True}, {"valid_from": "2026-01-01"}):
        desk.made("/entitlements", body | change)
    assert desk.made("/entitlements", body | {"again": True})["id"] != first["id"]
    assert desk.ask("GET", "/entitlements").json()["total"] == 5


def test_a_password_is_hashed_while_others_may_write(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = desk.hub.database.engine.url.render_as_string(hide_password=False)
    hasher = UnhurriedHasher(url)
    monkeypatch.setattr(passwords, "_hasher", lambda: hasher)
    desk.made("/organisations", {"name": "Customer", "country": "DE"})
    person = {"email": "bob@example.com", "given_name": "Bob", "organisation": "Customer"}
    made = desk.made("/users", person | {"password": "a long password"})
    assert made["has_password"] is True
    path = f"/users/{made['id']}/password"
    desk.done("PUT", path, {"password": "another password"})
    assert hasher.calls == 2


def test_people_are_shut_out_and_let_in(desk: Desk) -> None:
    desk.made("/organisations", {"name": "Customer", "country": "DE"})
    person = desk.made(
        "/users",
        {
            "email": "ada@example.com",
            "given_name": "Ada",
            "organisation": "Customer",
            "roles": ["organisation-admin", "customer"],
            "password": "a long password",
        },
    )
    assert person["has_password"]
    assert person["roles"] == ["customer", "organisation-admin"]
    path = "/users/ada@example.com"
    desk.done("PUT", f"{path}/password", {"password": "another password"})
    desk.done("PUT", f"{path}/roles", {"roles": ["publisher"]})
    desk.done("POST", f"{path}/disable")
    shown = desk.ask("GET", path).json()
    assert shown["roles"] == ["publisher"]
    assert shown["disabled_at"] is not None
    desk.done("POST", f"{path}/enable")
    assert desk.ask("GET", f"/users/{person['id']}").json()["disabled_at"] is None
    hub = desk.hub
    signed_in = accounts.check_password(
        hub.database,
        email="ada@example.com",
        password="another password",
        address="127.0.0.1",
        now=hub.now,
    )
    assert signed_in.id == person["id"]
    refused(
        desk.ask(
            "POST",
            "/users",
            json={"email": "ADA@example.com", "given_name": "A", "organisation": "Customer"},
        ),
        409,
        "email-taken",
    )


def test_an_organisation_is_blocked_and_unblocked(desk: Desk) -> None:
    number = desk.made("/organisations", {"name": "Customer", "country": "DE"})["id"]
    desk.done("POST", f"/organisations/{number}/block")
    assert desk.ask("GET", "/organisations/Customer").json()["blocked"]
    desk.done("POST", "/organisations/Customer/unblock")
    assert not desk.ask("GET", f"/organisations/{number}").json()["blocked"]
    answer = desk.ask("POST", "/organisations", json={"name": "Customer", "country": "FR"})
    refused(answer, 409, "name-taken")


def test_a_client_gets_its_secret_once(desk: Desk) -> None:
    body = {"client_id": "ci", "name": "CI", "organisation": desk.operator.organisation_id}
    made = desk.made("/clients", body | {"scopes": ["entitlements"]})
    hub = desk.hub
    with hub.database.read() as tx:
        row = accounts.find_client(tx, "ci")
    assert row.secret_hash == hashlib.sha256(made["client_secret"].encode()).hexdigest()
    for path in ("/clients", "/clients/ci"):
        answer = desk.ask("GET", path)
        assert made["client_secret"] not in answer.text
        assert row.secret_hash not in answer.text
    desk.done("POST", "/clients/ci/disable")
    assert desk.ask("GET", "/clients/ci").json()["disabled_at"] is not None
    desk.done("POST", "/clients/ci/enable")
    assert desk.ask("GET", "/clients/ci").json()["disabled_at"] is None
    refused(desk.ask("POST", "/clients", json=body | {"scopes": []}), 409, "name-taken")


def test_a_public_client_has_no_secret(desk: Desk) -> None:
    body = {
        "client_id": "app",
        "name": "App",
        "organisation": desk.operator.organisation_id,
        "scopes": ["orders"],
        "public": True,
        "redirect_uris": ["http://127.0.0.1/back"],
    }
    assert desk.made("/clients", body) == {"client_id": "app", "client_secret": None}
    shown = desk.ask("GET", "/clients/app").json()
    assert shown["grants"] == ["authorization_code", "refresh_token"]
    assert shown["public"]
    assert shown["pkce"]
    legacy = body | {"client_id": "old", "pkce": False}
    refused(desk.ask("POST", "/clients", json=legacy), 400, "invalid", "pkce")
    assert desk.made("/clients", legacy | {"public": False})["client_secret"]
    own = desk.ask("GET", "/clients/entrepot-cli").json()
    assert (own["organisation_id"], own["organisation_name"]) == (None, None)


def test_a_new_key_is_published_at_once_and_no_secret_is(desk: Desk) -> None:
    before = desk.ask("GET", "/keys").json()["items"]
    answer = desk.ask("POST", "/keys/rotation", json={"purpose": "token"})
    assert answer.status_code == 200
    kid = answer.json()["kid"]
    after = desk.ask("GET", "/keys").json()
    assert {each["kid"] for each in after["items"]} == {each["kid"] for each in before} | {kid}
    assert after["total"] == 3
    fields = {"kid", "purpose", "created_at", "signs_from", "retires_at"}
    assert all(set(each) == fields for each in after["items"])
    published = {key["kid"] for key in desk.hub.keys.current.jwks()["keys"]}
    assert kid in published


def test_downloads_tell_who_took_what(desk: Desk) -> None:
    hub = desk.hub
    release_id = desk.draft()
    artifact = desk.upload(release_id, b"12345")
    customer = add_caller(hub, "customer")
    owner = customer.organisation_id
    given = desk.made("/entitlements", {"organisation": owner, "product": "DS1"})
    now = hub.now()
    sent = delivery.Transfer(
        lease_id="0" * 32,
        principal=customer.label,
        organisation_id=owner,
        of=delivery.Delivery(
            f"artifact:{artifact['id']}", "a.bin", 5, given["id"], release_id, artifact["id"]
        ),
        first_byte=0,
        length=5,
        started_at=now,
        ended_at=now,
        whole=True,
        address="127.0.0.1",
        agent="test",
    )
    with hub.database.write() as tx:
        delivery.record_transfers(tx, [sent], now=now)
    for query in ("", f"?organisation={owner}", f"?artifact={artifact['id'].upper()}"):
        page = desk.ask("GET", f"/downloads{query}").json()
        assert page["total"] == 1
        [item] = page["items"]
        assert item["principal"] == customer.label
        assert (item["product_code"], item["file_name"]) == ("DS1", "a.bin")
        assert (item["size"], item["bytes_sent"]) == (5, 5)
        assert (item["kind"], item["release_id"], item["order_id"]) == (
            "artifact",
            release_id,
            None,
        )
        assert item["completed_at"] is not None
    for query in (f"?organisation={desk.operator.organisation_id}", f"?artifact={MISSING}"):
        assert desk.ask("GET", f"/downloads{query}").json() == {"total": 0, "items": []}


def test_lists_are_cut_into_pages(desk: Desk) -> None:
    for number in range(5):
        desk.made("/products", {"code": f"P{number}", "name": "A product"})

    def codes(query: str) -> tuple[int, list[str]]:
        page: dict[str, Any] = desk.ask("GET", f"/products{query}").json()
        return page["total"], [each["code"] for each in page["items"]]

    assert codes("") == (5, ["P0", "P1", "P2", "P3", "P4"])
    assert codes("?skip=1&take=2") == (5, ["P1", "P2"])
    assert codes("?skip=5") == (5, [])
    assert codes("?skip=1000000000") == (5, [])


def test_a_page_is_no_larger_than_the_operator_allows(hub: Hub) -> None:
    with open_desk(hub, page_size_max=2) as desk:
        for number in range(3):
            desk.made("/products", {"code": f"P{number}", "name": "A product"})
        assert len(desk.ask("GET", "/products").json()["items"]) == 2
        refused(desk.ask("GET", "/products?take=3"), 400, "invalid", "take")
        # An operator's scope may be cut down in the token.
        narrow = token_of(desk.hub, desk.operator, ("publish",))
        assert desk.ask("GET", "/products", token=narrow).status_code == 200
        refused(desk.ask("GET", "/users", token=narrow), 403, "scope-required")
