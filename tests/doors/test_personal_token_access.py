"""Personal access tokens at every door: by address, within 5 s of their end, within scopes."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.core.accounts import (
    NewPersonalToken,
    Principal,
    list_personal_tokens,
    make_personal_token,
    revoke_personal_token,
)
from tests import factories
from tests.doors.entitlement_world import ROOT, Door, open_door

DOORS = {
    "entitlements": f"{ROOT}/",
    "orders": "/api/downloadorders",
    "admin": "/api/admin/v1/users",
    "publish": "/api/admin/v1/products",
}
HOME, AWAY = {"x-forwarded-for": "198.51.100.7"}, {"x-forwarded-for": "203.0.113.9"}


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    # The client in process comes from 127.0.0.1.
    with open_door(hub, trusted_proxies=(IPv4Network("127.0.0.1/32"),)) as opened:
        yield opened


@pytest.fixture
def who(hub: Hub) -> Principal:
    with hub.database.write() as tx:
        return factories.add_user(tx, factories.add_organisation(tx), roles=("operator",))


def make(
    door: Door, who: Principal, *scopes: str, networks: tuple[str, ...] = ()
) -> NewPersonalToken:
    with door.hub.database.write() as tx:
        return make_personal_token(
            tx,
            who.id,
            name="CI",
            scopes=scopes,
            networks=networks,
            actor=who.label,
            now=door.hub.now(),
        )


def test_every_door_takes_them_within_their_scopes(door: Door, who: Principal) -> None:
    whole = make(door, who, *DOORS).value
    for scope, path in DOORS.items():
        assert door.ask(path, whole).status_code == 200
        single = make(door, who, scope).value
        found = {name: door.ask(other, single).status_code for name, other in DOORS.items()}
        assert found == {name: 200 if name == scope else 403 for name in DOORS}


def test_they_are_for_their_addresses_also_right_after_a_use(door: Door, who: Principal) -> None:
    made = make(door, who, "entitlements", networks=("198.51.100.0/24",))
    for _ in range(2):
        assert door.get("/", made.value, headers=HOME).status_code == 200
        refused = door.get("/", made.value, headers=AWAY)
        assert refused.status_code == 401
        assert refused.json()["reason"] == "token-elsewhere"
        assert "203.0.113.9" in refused.json()["errorDescription"]
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_their_end_is_seen_once_they_are_looked_up_again(door: Door, who: Principal) -> None:
    hub, made = door.hub, make(door, who, "entitlements")
    assert door.get("/", made.value).status_code == 200
    with hub.database.write() as tx:
        revoke_personal_token(tx, who.id, made.id, actor="operator", now=hub.now())
    assert door.get("/", made.value).status_code == 200  # kept for 5 s, as any token
    door.edge.forget_tokens()
    assert door.get("/", made.value).json()["reason"] == "token-revoked"
    other = make(door, who, "entitlements")
    assert door.get("/", other.value).status_code == 200
    with hub.database.write() as tx:
        accounts.disable_user(tx, who.id, actor="operator", now=hub.now())
    door.edge.forget_tokens()
    assert door.get("/", other.value).json()["reason"] == "account-disabled"


def test_the_use_is_noted(door: Door, who: Principal) -> None:
    made = make(door, who, "entitlements")
    before = door.hub.now()
    assert door.get("/", made.value).status_code == 200
    with door.hub.database.read() as tx:
        [row] = list_personal_tokens(tx, who.id)
    assert row.used_at == before.replace(second=0, microsecond=0)


def test_the_admin_api_makes_shows_and_revokes_them(door: Door, who: Principal) -> None:
    token, path = door.token(who), f"/api/admin/v1/users/{who.id}/personal-tokens"
    body = {"name": "CI", "scopes": ["orders"], "days": 7, "networks": ["192.0.2.0/24"]}
    made = door.ask(path, token, method="POST", json=body)
    assert made.status_code == 201
    value = made.json().pop("token")
    assert value.startswith("ept_")
    shown = door.ask(made.headers["location"], token).json()
    assert "token" not in shown
    assert (shown["networks"], shown["scopes"]) == (["192.0.2.0/24"], ["orders"])
    assert door.ask(path, token).json() == {"total": 1, "items": [shown]}
    revoke = f"{path}/{shown['id']}/revoke"
    assert [door.ask(revoke, token, method="POST").status_code for _ in range(2)] == [204, 204]
    assert door.ask(f"{path}/{shown['id']}", token).json()["revoked_at"] is not None
    assert door.ask(f"{path}/1/revoke", token, method="POST").status_code == 404
    wrong = door.ask(path, token, method="POST", json=body | {"networks": ["10.0.0.1/8"]})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "networks")
