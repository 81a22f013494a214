"""Whoever keeps a copy of a list asks for it again by its ETag (RFC 9110 section 13)."""

from entrepot.assembly import Hub
from entrepot.core import catalogue, entitlements
from tests import factories
from tests.doors.entitlement_world import DAY, add_offer, open_door, releases_path


def test_a_list_that_has_not_changed_is_not_sent_again(hub: Hub) -> None:
    now = hub.now()
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=now)
        token, path = door.token(offer.who), releases_path(offer.number)
        first = door.get(path, token)
        etag = first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-store"
        for header in (etag, f'"other", {etag}', "*"):
            known = door.get(path, token, headers={"if-none-match": header})
            assert (known.status_code, known.content) == (304, b"")
            assert known.headers["etag"] == etag
        other = door.get(path, token, headers={"if-none-match": '"other"'})
        assert (other.status_code, other.content) == (200, first.content)
        with hub.database.write() as tx:
            newer = factories.add_release(tx, offer.product, available_at=now - DAY)
        changed = door.get(path, token, headers={"if-none-match": etag})
        assert (changed.status_code, changed.json()["totalNumberOfItems"]) == (200, 2)
        with hub.database.write() as tx:
            catalogue.withdraw_release(tx, newer.id, actor="operator", now=now)
        assert door.get(path, token, headers={"if-none-match": etag}).status_code == 304
        with hub.database.write() as tx:
            entitlements.revoke(tx, offer.number, actor="operator", now=now)
        ended = door.get(path, token, headers={"if-none-match": etag})
        assert ended.status_code == 403, "a tag is no right"
