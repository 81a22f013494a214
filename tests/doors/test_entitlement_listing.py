"""Paging and `search` against a model, each malformed value, and the use cases 1 to 5."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.assembly import Hub
from entrepot.core import catalogue, entitlements
from entrepot.core.accounts import Principal
from entrepot.core.entitlements import Grant, child_number
from entrepot.kit.text import format_instant
from tests import factories
from tests.doors.entitlement_world import (
    DAY,
    Door,
    add_offer,
    open_door,
    release_path,
    releases_path,
)

EXAMPLES = settings(max_examples=30)


@pytest.fixture
def door(hub: Hub) -> Iterator[Door]:
    with open_door(hub) as opened:
        yield opened


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True)
class Held:
    """An entitlement as the model knows it. `rank`: 0 active, 1 lapsed, 2 ended."""

    number: int
    product: str
    right_to: str
    activated_at: datetime
    rank: int
    virtual: bool = False


def _fill(door: Door) -> tuple[Principal, list[Held]]:
    """Eighteen entitlements of all kinds, with a group, next to another organisation's."""
    now = door.hub.now()
    kinds: Sequence[tuple[int, Mapping[str, Any]]] = (
        (0, {}),
        (1, {"maintenance_to": now - 3 * DAY}),
        (2, {"valid_to": now - 3 * DAY}),
        (0, {"right_to": "use"}),
        (2, {"valid_from": now + 3 * DAY}),
        (0, {"maintenance_to": now + 3 * DAY, "valid_to": now + 3 * DAY}),
    )
    held: list[Held] = []
    with door.hub.database.write() as tx:
        who = factories.add_user(tx, factories.add_organisation(tx))
        stranger = factories.add_organisation(tx)
        members = [factories.add_product(tx, code) for code in ("CORE1", "CORE2")]
        codes = [*members, factories.add_product(tx, "FAMILY", members=members)]
        ids = {code: catalogue.find_product(tx, code).id for code in codes}
        for turn in range(18):
            rank, values = kinds[turn % len(kinds)]
            code = codes[turn % 3 if turn < 9 else (turn + 1) % 3]
            activated = now - (turn % 5) * 10 * DAY
            given_values: dict[str, Any] = {"product": code, "valid_from": now - 400 * DAY} | dict(
                values
            )
            number = entitlements.grant(
                tx,
                who.organisation_id,
                Grant(**given_values),
                actor="operator",
                again=True,
                now=activated,
            )
            right = given_values.get("right_to", "download")
            held.append(Held(number, code, right, activated, rank))
            if code == "FAMILY" and right == "download":
                held += [
                    Held(child_number(number, ids[member]), member, right, activated, rank, True)
                    for member in members
                ]
            factories.grant(tx, stranger, code)
    return who, held


def _expected(held: Sequence[Held], search: Mapping[str, Any]) -> list[str]:
    found = [each for each in held if "product.id" in search or not each.virtual]
    if "product.id" in search:
        found = [each for each in found if each.product == search["product.id"]]
    if "rightTo" in search:
        found = [each for each in found if each.right_to == search["rightTo"]]
    if "activatedFrom" in search:
        start = datetime.fromisoformat(search["activatedFrom"])
        found = [each for each in found if each.activated_at >= start]
    # A child's number is greater than any stored one, so numbers alone give the order.
    return [str(each.number) for each in sorted(found, key=lambda each: (each.rank, each.number))]


def _page(numbers: Sequence[str], offset: int | None, limit: int | None) -> Sequence[str]:
    if offset is None:
        return numbers
    size = limit or 10
    return numbers[(offset - 1) * size : offset * size]


def test_entitlements_page_and_search_like_a_model(door: Door) -> None:
    who, held = _fill(door)
    token = door.token(who)
    moments = sorted({each.activated_at for each in held})
    searches = st.fixed_dictionaries(
        {},
        optional={
            "product.id": st.sampled_from(["CORE1", "CORE2", "FAMILY", "NONE"]),
            "rightTo": st.sampled_from(["download", "use", "look"]),
            "activatedFrom": st.sampled_from(
                [format_instant(moment) for moment in moments]
                + [format_instant(moments[-1] + DAY), moments[1].date().isoformat() + "T00:00:00Z"]
            ),
        },
    )
    pages = st.one_of(st.none(), st.integers(1, 5))

    @EXAMPLES
    @given(searches, pages, st.one_of(st.none(), st.integers(1, 7)))
    def check(search: dict[str, Any], offset: int | None, limit: int | None) -> None:
        params = {} if not search else {"search": _compact(search)}
        params |= {} if offset is None else {"offset": str(offset)}
        params |= {} if limit is None else {"limit": str(limit)}
        body = door.get("", token, params=params).json()
        expected = _expected(held, search)
        assert body["totalNumberOfItems"] == len(expected)
        assert [item["id"] for item in body["items"]] == list(_page(expected, offset, limit))

    check()


def test_releases_page_and_search_like_a_model(door: Door) -> None:
    now = door.hub.now()
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=now, release={"available_at": now - 100 * DAY})
        moments = {offer.release.id: now - 100 * DAY}
        for age in (7, 3, 90, 20, 5, 41):
            made = factories.add_release(tx, offer.product, available_at=now - age * DAY)
            moments[made.id] = now - age * DAY
        factories.add_release(tx, offer.product, available_at=now + DAY)
        factories.add_release(tx, offer.product, draft=True)
    token = door.token(offer.who)
    newest_first = sorted(moments, key=lambda each: moments[each], reverse=True)
    starts = [format_instant(moments[each]) for each in newest_first] + [format_instant(now)]
    searches = st.fixed_dictionaries(
        {}, optional={"availableFrom": st.sampled_from(starts), "latestAvailable": st.booleans()}
    )

    @EXAMPLES
    @given(searches, st.one_of(st.none(), st.integers(1, 4)), st.sampled_from([None, 1, 3, 10]))
    def check(search: dict[str, Any], offset: int | None, limit: int | None) -> None:
        params = {"search": _compact(search)}
        params |= {} if offset is None else {"offset": str(offset)}
        params |= {} if limit is None else {"limit": str(limit)}
        body = door.get(releases_path(offer.number), token, params=params).json()
        start = search.get("availableFrom")
        expected = [
            each
            for each in newest_first
            if start is None or moments[each] >= datetime.fromisoformat(start)
        ]
        if search.get("latestAvailable"):
            expected = expected[:1]
        assert body["totalNumberOfItems"] == len(expected)
        assert [item["id"] for item in body["items"]] == list(_page(expected, offset, limit))

    check()


DEEP = "[" * 2000
ANY_LIST = [
    ("offset=0", "offset"),
    ("offset=-1", "offset"),
    ("offset=1.0", "offset"),
    ("offset=01", "offset"),
    ("offset=", "offset"),
    ("offset=+1", "offset"),
    ("offset=%D9%A1", "offset"),
    ("offset=1000000001", "offset"),
    ("offset=" + "9" * 5000, "offset"),
    ("limit=0", "limit"),
    ("limit=x", "limit"),
    ("limit=1001", "limit"),
    ("offset=1&limit=1001", "limit"),
    ("offset=1&offset=1", "offset"),
    ("search={}&search={}", "search"),
    ("page=1", "page"),
    ("Offset=1", "Offset"),
    ("%00=1", "\0"),
    ("search=", "search"),
    ("search=x", "search"),
    ("search=[]", "search"),
    ("search=null", "search"),
    ("search=7", "search"),
    ('search={"a"', "search"),
    ("search=" + DEEP, "search"),
    ("search=" + quote(_compact({"rightTo": "x" * 5000})), "search"),
    ('search={"product.id":NaN}', "search"),
    ('search={"rightTo":"a","rightTo":"a"}', "search"),
    ("search=%FF", "query"),
    ("search=\xff", "query"),
    ("&".join(f"a{n}=1" for n in range(40)), "query"),
    ('search={"name":"x"}', "name"),
    ('search={"":1}', ""),
]
ENTITLEMENTS_ONLY = [
    ('search={"product.id":7}', "product.id"),
    ('search={"product.id":null}', "product.id"),
    ('search={"product.id":["A"]}', "product.id"),
    ('search={"product.id":""}', "product.id"),
    ('search={"product.id":"\\u0000"}', "product.id"),
    ('search={"product.id":"\\ud800"}', "product.id"),
    ('search={"rightTo":true}', "rightTo"),
    ('search={"activatedFrom":"yesterday"}', "activatedFrom"),
    ('search={"activatedFrom":20260131}', "activatedFrom"),
    ('search={"activatedFrom":"2026-01-31T12:00:00"}', "activatedFrom"),
    ('search={"activatedFrom":"2026-02-30"}', "activatedFrom"),
    ('search={"activatedFrom":"0001-01-01T00:00:00%2B14:00"}', "activatedFrom"),
    ('search={"availableFrom":"2026-01-31"}', "availableFrom"),
    ('search={"latestAvailable":true}', "latestAvailable"),
]
RELEASES_ONLY = [
    ('search={"availableFrom":"31.1.2026"}', "availableFrom"),
    ('search={"availableFrom":{}}', "availableFrom"),
    ('search={"latestAvailable":"true"}', "latestAvailable"),
    ('search={"latestAvailable":1}', "latestAvailable"),
    ('search={"latestAvailable":null}', "latestAvailable"),
    ('search={"product.id":"A"}', "product.id"),
    ('search={"activatedFrom":"2026-01-31"}', "activatedFrom"),
]


def test_what_is_malformed_is_refused_by_name(door: Door) -> None:
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=door.hub.now())
    token = door.token(offer.who)
    releases = releases_path(offer.number)
    cases = [("", *case) for case in ANY_LIST + ENTITLEMENTS_ONLY]
    cases += [(releases, *case) for case in ANY_LIST + RELEASES_ONLY]
    for path, query, field in cases:
        answer = door.get(f"{path}?{_raw(query)}", token)
        body = answer.json()
        assert (answer.status_code, body["errorCode"]) == (400, 400), query[:100]
        assert body.get("field", "") == field, query[:100]
        assert body["reason"] and body["errorDescription"]
        assert "errorName" not in body
        assert answer.headers["cache-control"] == "private, no-store"


def _raw(query: str) -> str:
    """What a URL cannot hold as it is, percent-encoded; latin-1, so that one byte stays one."""
    return quote(query.encode("latin-1"), safe="=&%+")


def test_what_is_well_formed_but_odd_is_taken(door: Door) -> None:
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=door.hub.now())
    token = door.token(offer.who)
    for query, count in (
        ("", 1),
        ("limit=1", 1),
        ("limit=1000", 1),
        ("offset=1&limit=1000", 1),
        ("offset=1000000000&limit=1000", 0),
        ("search={}", 1),
        ('search= { "rightTo" : "download" } ', 1),
        ('search={"rightTo":"Download"}', 0),
        (f'search={{"product.id":"{offer.product}"}}', 1),
        ('search={"product.id":"%F0%9F%90%98"}', 0),
        ('search={"product.id":"99999999999999999999"}', 0),
        ("search=" + _compact({"product.id": "' OR 1=1 --"}), 0),
        ('search={"activatedFrom":"1970-01-01"}', 1),
        ('search={"activatedFrom":"9999-12-31T23:59:59.999999Z"}', 0),
        ('search={"activatedFrom":"0001-01-01"}', 1),
    ):
        answer = door.get(f"?{_raw(query)}", token)
        assert answer.status_code == 200, (query, answer.text)
        assert len(answer.json()["items"]) == count, query


def test_single_objects_ignore_what_lists_take_and_refuse_the_rest(door: Door) -> None:
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=door.hub.now())
    token = door.token(offer.who)
    release = release_path(offer.number, offer.release.id)
    for path in (f"/{offer.number}", release, offer.artifact, f"{offer.artifact}/http"):
        plain = door.get(path, token)
        along = door.get(f"{path}?offset=7&limit=x&search=x", token)
        assert plain.status_code == along.status_code == 200
        if not path.endswith("/http"):
            assert plain.content == along.content
        refused = door.get(f"{path}?fields=id", token)
        assert (refused.status_code, refused.json()["field"]) == (400, "fields")


def test_without_an_offset_everything_is_returned(door: Door) -> None:
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=door.hub.now())
        for _ in range(30):
            factories.grant(tx, offer.who.organisation_id, offer.product)
    token = door.token(offer.who)
    assert len(door.get("", token).json()["items"]) == 31
    assert len(door.get("?limit=5", token).json()["items"]) == 31
    assert len(door.get("?offset=1", token).json()["items"]) == 10


def test_a_members_code_finds_the_groups_child_which_leads_to_the_file(door: Door) -> None:
    with door.hub.database.write() as tx:
        member = factories.add_product(tx, "CORE1")
        release = factories.add_release(tx, member, available_at=door.hub.now() - DAY)
        offer = add_offer(tx, now=door.hub.now())
        group = factories.add_product(tx, "FAMILY", members=(member, offer.product))
        number = factories.grant(tx, offer.who.organisation_id, group)
    token = door.token(offer.who)
    found = door.get("", token, params={"search": _compact({"product.id": "CORE1"})}).json()
    assert found["totalNumberOfItems"] == 1
    child = found["items"][0]
    assert child["characteristics"]["virtual"] is True
    listed = door.get(releases_path(child["id"]), token).json()["items"]
    assert [(item["id"], item["entitlement"]["id"]) for item in listed] == [
        (release.id, child["id"])
    ]
    path = f"{release_path(child['id'], release.id)}/artifact/{release.artifact_ids[0]}"
    assert door.get(path, token).json()["id"] == release.artifact_ids[0]
    assert door.get(f"{path}/http", token).json()["downloadUrl"]
    # The group itself has no releases, and a child only those of its own product.
    assert door.get(releases_path(number), token).json()["items"] == []
    assert door.get(release_path(number, release.id), token).status_code == 404
    assert door.get(release_path(child["id"], offer.release.id), token).status_code == 404


def test_the_use_cases(door: Door) -> None:
    """All entitlements; new ones; new releases; the latest release; a link to each file."""
    now = door.hub.now()
    with door.hub.database.write() as tx:
        offer = add_offer(tx, now=now)
        fresh = Grant(product=offer.product, valid_from=now - 400 * DAY)
        owner = offer.who.organisation_id
        new = entitlements.grant(tx, owner, fresh, actor="operator", now=now - DAY)
        files = (("one.bin", b"1"), ("two.bin", b"2"))
        latest = factories.add_release(
            tx, offer.product, files=files, available_at=now - 2 * DAY, name="latest"
        )
    token = door.token(offer.who)

    def ask(path: str, **search: Any) -> list[dict[str, Any]]:
        query = "?" + urlencode({"search": _compact(search)}) if search else ""
        items: list[dict[str, Any]] = door.get(path + query, token).json()["items"]
        return items

    assert [item["id"] for item in ask("")] == [str(offer.number), str(new)]
    since = format_instant(now - 2 * DAY)
    assert [item["id"] for item in ask("", activatedFrom=since)] == [str(new)]
    releases = releases_path(new)
    assert len(ask(releases)) == 2
    assert [item["id"] for item in ask(releases, availableFrom=since)] == [latest.id]
    (newest,) = ask(releases, latestAvailable=True)
    assert newest["name"] == "latest"
    assert [artifact["id"] for artifact in newest["artifacts"]] == list(latest.artifact_ids)
    links = [
        door.get(f"{release_path(new, latest.id)}/artifact/{each['id']}/http", token).json()
        for each in newest["artifacts"]
    ]
    assert [link["downloadUrl"].rsplit("/", 1)[1] for link in links] == ["one.bin", "two.bin"]
    assert len({link["downloadUrl"] for link in links}) == 2
