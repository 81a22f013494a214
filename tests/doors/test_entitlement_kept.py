"""Kept lists: a change shows at once, whoever made it, and so does time."""

import dataclasses
from datetime import timedelta

from sqlalchemy.event import listen

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue, entitlements
from entrepot.db import connect
from tests import factories
from tests.doors.entitlement_world import Door, Offer, add_offer, open_door

MINUTE = timedelta(minutes=1)


def _statuses(door: Door, offer: Offer, token: str) -> list[str]:
    items = door.get("?offset=1&limit=20", token).json()["items"]
    return [item["status"] for item in items]


def test_every_kind_of_change_shows_in_the_very_next_answer(hub: Hub) -> None:
    with open_door(hub) as door:
        now = hub.now()
        with hub.database.write() as tx:
            offer = add_offer(tx, now=now)
        owner, token = offer.who.organisation_id, door.token(offer.who)
        assert _statuses(door, offer, token) == ["Active"]
        with hub.database.write() as tx:
            second = factories.grant(tx, owner, offer.product)
        assert _statuses(door, offer, token) == ["Active"] * 2
        with hub.database.write() as tx:
            entitlements.revoke(tx, second, actor="operator", now=now)
        assert _statuses(door, offer, token) == ["Active", "Revoked"]
        with hub.database.write() as tx:
            accounts.block_organisation(tx, owner, blocked=True, actor="operator", now=now)
        assert _statuses(door, offer, token) == ["Blocked"] * 2
        with hub.database.write() as tx:
            number = catalogue.find_product(tx, offer.product).id
            spec = catalogue.ProductSpec(code=offer.product, name="Another name")
            catalogue.change_product(tx, number, spec, actor="operator", now=now)
        names = door.get("?offset=1&limit=20", token).json()["items"]
        assert {item["product"]["name"] for item in names} == {"Another name"}


def test_a_change_by_another_process_shows_as_well(hub: Hub) -> None:
    other = connect(hub.database.engine.url.render_as_string(hide_password=False))
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        token = door.token(offer.who)
        assert _statuses(door, offer, token) == ["Active"]
        with other.write() as tx:
            entitlements.revoke(tx, offer.number, actor="operator", now=hub.now())
        assert _statuses(door, offer, token) == ["Revoked"]
    other.close()


def test_time_passes_for_kept_lists_too(hub: Hub) -> None:
    moment = hub.now()
    ahead = timedelta()
    with open_door(hub) as door:
        door.hub = door.edge.hub = dataclasses.replace(door.hub, now=lambda: moment + ahead)
        with hub.database.write() as tx:
            offer = add_offer(tx, now=moment, grant={"valid_to": moment + 2 * MINUTE})
        token = door.token(offer.who)
        assert _statuses(door, offer, token) == ["Active"]
        ahead = MINUTE
        assert _statuses(door, offer, token) == ["Active"]
        ahead = 2 * MINUTE
        assert _statuses(door, offer, token) == ["Expired"]
        ahead = timedelta()  # and a clock that went back brings nothing of the future
        assert _statuses(door, offer, token) == ["Active"]


def test_what_is_kept_belongs_to_one_organisation_and_one_query(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            one, two = add_offer(tx, now=hub.now()), add_offer(tx, now=hub.now())
            factories.grant(tx, one.who.organisation_id, one.product)
        first, second = door.token(one.who), door.token(two.who)
        for _ in range(3):
            assert len(door.get("", first).json()["items"]) == 2
            assert len(door.get("?offset=2&limit=1", first).json()["items"]) == 1
            assert len(door.get("?offset=3&limit=1", first).json()["items"]) == 0
            assert [item["id"] for item in door.get("", second).json()["items"]] == [
                str(two.number)
            ]
            assert door.get("").status_code == 401
            assert door.get("", door.token(one.who, ())).status_code == 403


def test_a_list_is_read_once_while_nothing_changes(hub: Hub) -> None:
    """On PostgreSQL, which cannot tell cheaply, every answer is read."""
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        moment = hub.now()
        door.hub = door.edge.hub = dataclasses.replace(door.hub, now=lambda: moment)
        token = door.token(offer.who)
        assert door.get("", token).status_code == 200
        read: list[str] = []
        listen(hub.database.engine, "begin", lambda _connection: read.append("begin"))
        assert [door.get("", token).status_code for _ in range(3)] == [200] * 3
        assert len(read) == (0 if hub.database.dialect == "sqlite" else 3)
