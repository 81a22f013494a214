"""What an entitlement gives in all: what is reserved, shared, complete, given back; and races."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from entrepot.core.accounts import Keyring, LinkKey
from entrepot.core.delivery import (
    Delivery,
    Quota,
    Reservation,
    Taking,
    Transfer,
    find_quota,
    give_back,
    issue_artifact_link,
    issue_release_link,
    note_bytes,
    record_transfers,
    redeem_link,
    reserve,
)
from entrepot.core.delivery.tables import reservations
from entrepot.db import Database, Tx, connect
from entrepot.errors import Denied, Invalid
from tests import factories
from tests.core.test_predicate import Case, case
from tests.factories import DAY, NOW

SIZE = 1000
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MOMENT = timedelta(milliseconds=1)
KEY = LinkKey("0a0b0c0d", b"k" * 32, NOW - DAY)
KEYRING = Keyring({}, {KEY.kid: KEY})
FILE = [("a.bin", b"x" * SIZE)]
RACERS = 200


@dataclass
class Account:
    """An entitlement with a quota, and who takes of it."""

    tx: Tx
    entitlement: int

    def take(
        self, who: str, *, of: str = "artifact:a", at: datetime = NOW, frm: str = "192.0.2.1"
    ) -> Reservation:
        """Begin to send, as the links door does: in a part that a refusal takes back."""
        with self.tx.begin_nested():
            return reserve(self.tx, Taking(self.entitlement, who, of, SIZE, frm), now=at)

    def refused(self, who: str, **how: object) -> Denied:
        before = self.used(NOW)
        with pytest.raises(Denied) as caught:
            self.take(who, **how)  # type: ignore[arg-type]
        assert caught.value.code == "quota-exhausted"
        assert self.used(NOW) == before
        return caught.value

    def sent(
        self, who: str, first: int, length: int, *, at: datetime = NOW, of: str = "artifact:a"
    ) -> None:
        """A request that sent a range and was recorded."""
        delivery = Delivery(of, "a.bin", SIZE, self.entitlement, limited=True)
        one = Transfer(
            "0a" * 16, who, 1, delivery, first, length, at, at, whole=True, address="", agent=""
        )
        record_transfers(self.tx, [one], now=at)

    def used(self, at: datetime) -> tuple[int, int, int]:
        quota = find_quota(self.tx, self.entitlement, now=at)
        return quota.downloads_used, quota.bytes_used, quota.addresses_used


def account(tx: Tx, **limits: int) -> Account:
    return Account(tx, case(tx, release={"files": FILE}, **limits).number)


def test_downloads_are_counted_by_principal_and_object(tx: Tx) -> None:
    one = account(tx, downloads_max=3)
    assert one.take("user:1").fresh
    assert not one.take("user:1").fresh  # another range, or another link
    assert one.take("user:1", of="artifact:b").fresh
    assert one.take("user:2").fresh
    assert one.used(NOW) == (3, 3 * SIZE, 1)
    error = one.refused("user:3")
    assert error.details == {
        "entitlement": one.entitlement,
        "downloads_max": 3,
        "downloads_used": 3,
        "downloads_left": 0,
        "returns_at": "2026-06-15T13:00:00.000Z",
    }
    assert "0 of 3 downloads left" in error.message
    assert "2026-06-15T13:00" in error.remedy
    assert not one.take("user:2").fresh  # who has a place keeps it


def test_bytes_are_those_of_whole_objects(tx: Tx) -> None:
    one = account(tx, bytes_max=2 * SIZE + 1)
    one.take("user:1")
    one.take("user:2")
    assert one.refused("user:3").details["bytes_left"] == 1
    assert one.used(NOW)[1] == 2 * SIZE


def test_addresses_are_counted_also_where_a_reservation_is_shared(tx: Tx) -> None:
    one = account(tx, addresses_max=2)
    one.take("user:1", frm="192.0.2.1")
    one.take("user:1", frm="192.0.2.2")
    one.take("user:2", frm="192.0.2.2")
    assert one.refused("user:1", frm="192.0.2.3").details["addresses_left"] == 0
    one.refused("user:3", frm="192.0.2.3")
    assert one.take("user:3", frm="192.0.2.1").fresh
    assert one.used(NOW) == (3, 3 * SIZE, 2)


def test_without_limits_there_is_room_for_everything(tx: Tx) -> None:
    one = account(tx)
    for number in range(5):
        one.take(f"user:{number}", frm=f"192.0.2.{number}")
    assert not find_quota(tx, one.entitlement, now=NOW).limited


def test_an_hour_without_a_byte_gives_back(tx: Tx) -> None:
    one = account(tx, downloads_max=1)
    taken = one.take("user:1")
    one.refused("user:2", at=NOW + HOUR - MOMENT)
    note_bytes(tx, [taken.id], now=NOW + 30 * MINUTE)
    error = one.refused("user:2", at=NOW + HOUR)
    assert error.details["returns_at"] == "2026-06-15T13:30:00.000Z"
    later = NOW + 90 * MINUTE
    assert one.used(later) == (0, 0, 0)
    assert one.take("user:2", at=later).fresh
    # What was given back stays so, whatever comes late.
    note_bytes(tx, [taken.id], now=later + MINUTE)
    assert one.used(later + MINUTE)[0] == 1
    one.refused("user:1", at=later + MINUTE)


def test_what_is_complete_is_never_given_back_and_shared_for_a_day(tx: Tx) -> None:
    one = account(tx, downloads_max=2)
    one.take("user:1")
    one.sent("user:1", 0, 600)
    one.sent("user:1", 600, 400, at=NOW + MINUTE)
    assert one.used(NOW + 40 * DAY)[0] == 1
    assert not one.take("user:1", at=NOW + DAY - MOMENT).fresh
    assert one.take("user:1", at=NOW + DAY).fresh
    assert one.used(NOW + DAY)[0] == 2
    assert one.refused("user:2", at=NOW + DAY).details["returns_at"] != ""


def test_when_nothing_comes_back_that_is_said(tx: Tx) -> None:
    one = account(tx, downloads_max=1)
    one.take("user:1")
    one.sent("user:1", 0, SIZE)
    error = one.refused("user:2")
    assert error.details["returns_at"] == ""
    assert error.remedy == "Ask the publisher for more."


def test_parts_of_different_days_add_up_to_a_download(tx: Tx) -> None:
    """Nobody gets the whole for nothing by leaving out a byte and coming back for it."""
    one = account(tx, downloads_max=1)
    one.take("user:1")
    one.sent("user:1", 0, SIZE - 1)
    later = NOW + 2 * DAY
    assert one.used(later)[0] == 0
    one.take("user:1", at=later)
    one.sent("user:1", SIZE - 1, 1, at=later)
    assert one.used(later + 40 * DAY)[0] == 1
    one.refused("user:2", at=later + 40 * DAY)


def test_coming_back_needs_room(tx: Tx) -> None:
    one = account(tx, downloads_max=1)
    one.take("user:1")
    one.take("user:2", at=NOW + HOUR)
    one.refused("user:1", at=NOW + HOUR + MINUTE)
    assert one.take("user:1", at=NOW + 2 * HOUR + MINUTE).fresh


def test_coming_back_to_an_address_needs_room_for_it(tx: Tx) -> None:
    """The address counts again with what was given back, and another one took its place."""
    one = account(tx, addresses_max=1)
    one.take("user:1", frm="192.0.2.1")
    back = NOW + HOUR
    one.take("user:2", frm="192.0.2.2", at=back)
    for address in ("192.0.2.1", "192.0.2.2"):  # both would count, wherever the rest goes
        with pytest.raises(Denied) as caught:
            one.take("user:1", frm=address, at=back + MINUTE)
        assert caught.value.details["addresses_left"] == 0
        assert one.used(back + MINUTE) == (1, SIZE, 1)
    assert one.take("user:1", frm="192.0.2.1", at=back + HOUR + MINUTE).fresh


def test_a_download_of_days_counts_once(tx: Tx) -> None:
    one = account(tx, downloads_max=1)
    at = NOW
    for _ in range(60):
        one.take("user:1", at=at)
        one.sent("user:1", 0, 10, at=at)
        at += 50 * MINUTE
    assert one.used(at - MINUTE)[0] == 1


def test_of_what_no_byte_went_out_nothing_stays(tx: Tx) -> None:
    one = account(tx, downloads_max=1)
    give_back(tx, one.take("user:1").id, now=NOW)
    taken = one.take("user:2")
    note_bytes(tx, [taken.id], now=NOW + MOMENT)
    give_back(tx, taken.id, now=NOW + MINUTE)  # a byte went out meanwhile
    assert one.used(NOW + MINUTE)[0] == 1


def test_what_another_process_shares_is_not_given_back_for_want_of_a_byte(tx: Tx) -> None:
    one = account(tx, downloads_max=1)
    made = one.take("user:1")
    one.take("user:1")  # in the same millisecond, and about to send
    give_back(tx, made.id, now=NOW)
    one.refused("user:2")


def link_of(one: Case, *, whole: bool, now: datetime = NOW) -> str:
    """A link to the file, or to the ZIP; returns its lease."""
    number, release_id = str(one.number), one.release.id
    if whole:
        return issue_release_link(
            one.tx,
            KEYRING,
            one.who,
            number=number,
            release_id=release_id,
            declared_country=None,
            now=now,
        )[0].lease_id
    return issue_artifact_link(
        one.tx,
        KEYRING,
        one.who,
        number=number,
        release_id=release_id,
        artifact_id=one.release.artifact_ids[0],
        declared_country=None,
        now=now,
    ).lease_id


def test_links_know_of_the_quota_and_are_refused_where_it_is_used_up(tx: Tx) -> None:
    free = case(tx, release={"files": FILE})
    assert not redeem_link(tx, link_of(free, whole=False), now=NOW).limited
    one = case(tx, release={"files": FILE}, downloads_max=1)
    for whole in (False, True):
        redeemed = redeem_link(tx, link_of(one, whole=whole), now=NOW)
        assert redeemed.limited
    files = redeem_link(tx, link_of(one, whole=False), now=NOW).delivery()
    assert files.limited
    mine = Account(tx, one.number)
    mine.take(one.who.label, of=files.object)
    link_of(one, whole=False)  # to go on with it
    with pytest.raises(Denied, match="no room"):
        link_of(one, whole=True)
    other = factories.add_user(tx, one.who.organisation_id)
    with pytest.raises(Denied, match="no room"):
        link_of(Case(tx, other, one.product, one.release, one.number), whole=False)
    # A ZIP that was begun is known by its release, whatever its layout.
    give_back(tx, mine.take(one.who.label, of=files.object).id, now=NOW)
    mine.take(one.who.label, of=f"release:{one.release.id}/abc", at=NOW + 2 * HOUR)
    link_of(one, whole=True, now=NOW + 2 * HOUR)


@pytest.mark.parametrize("limit", ["downloads_max", "bytes_max", "addresses_max"])
@pytest.mark.parametrize("most", [0, -1, 2**53])
def test_a_limit_is_a_number_from_one(tx: Tx, limit: str, most: int) -> None:
    values: dict[str, Any] = {limit: most}
    with pytest.raises(Invalid) as caught:
        case(tx, **values)
    assert caught.value.field == limit


@pytest.fixture
def several(database_url: str) -> Iterator[Sequence[Database]]:
    """Three connections to one database, as three processes have them."""
    opened = [connect(database_url, pool_size=4) for _ in range(3)]
    yield opened
    for database in opened:
        database.close()


def race(several: Sequence[Database], taking_of: Callable[[int], Taking]) -> int:
    """How many of RACERS that all begin at once are let in."""
    start = threading.Barrier(12)

    def run(lane: int) -> int:
        start.wait()
        let_in = 0
        for number in range(lane, RACERS, 12):
            try:
                with several[number % len(several)].write() as tx:
                    reserve(tx, taking_of(number), now=NOW)
                let_in += 1
            except Denied as error:
                assert error.code == "quota-exhausted"
        return let_in

    with ThreadPoolExecutor(12) as pool:
        return sum(pool.map(run, range(12)))


@pytest.mark.parametrize(
    ("limits", "used"),
    [
        ({"downloads_max": 5}, (5, 5 * SIZE, 5)),
        ({"bytes_max": 5 * SIZE + 7}, (5, 5 * SIZE, 5)),
        ({"addresses_max": 5}, (5, 5 * SIZE, 5)),
    ],
    ids=["downloads", "bytes", "addresses"],
)
def test_two_hundred_at_once_get_what_the_quota_gives(
    several: Sequence[Database], limits: dict[str, int], used: tuple[int, int, int]
) -> None:
    with several[0].write() as tx:
        number = account(tx, **limits).entitlement

    def taking(racer: int) -> Taking:
        return Taking(number, f"user:{racer}", "artifact:a", SIZE, f"192.0.2.{racer}")

    assert race(several, taking) == 5
    with several[1].read() as tx:
        assert Account(tx, number).used(NOW) == used


def test_ranges_that_begin_at_once_share_one_place(several: Sequence[Database]) -> None:
    with several[0].write() as tx:
        number = account(tx, downloads_max=1, addresses_max=1).entitlement
    taking = Taking(number, "user:1", "artifact:a", SIZE, "192.0.2.1")
    assert race(several, lambda _: taking) == RACERS
    with several[1].read() as tx:
        assert len(tx.execute(select(reservations.c.id)).all()) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "half", "rest", "wait"]),
            st.integers(1, 3),  # who
            st.sampled_from([1, 59, 61, 24 * 60 + 1]),  # minutes
        ),
        max_size=25,
    )
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
)
def test_it_agrees_with_a_small_model(tx: Tx, steps: list[tuple[str, int, int]]) -> None:
    """The model: for each of three people what they have of the file, and since when."""
    with tx.begin_nested() as part:
        one = account(tx, downloads_max=2)
        at = NOW
        people = {f"user:{number}": Person() for number in (1, 2, 3)}
        for verb, number, minutes in steps:
            name = f"user:{number}"
            me = people[name]
            if verb == "wait":
                at += minutes * MINUTE
            elif verb == "take":
                allowed = me.begin(at, sum(p.counts(at) for p in people.values() if p is not me))
                try:
                    one.take(name, at=at)
                except Denied:
                    assert not allowed
                else:
                    assert allowed
            elif me.counts(at) and not me.past(at):
                half = verb == "half"
                one.sent(name, 0 if half else SIZE // 2, SIZE // 2, at=at)
                me.receive(verb, at)
            assert one.used(at)[0] == sum(each.counts(at) for each in people.values())
        part.rollback()


class Person:
    """Of the model."""

    def __init__(self) -> None:
        self.done = 0  # copies that are complete
        self.parts: set[str] = set()
        self.reserved: datetime | None = None
        self.last: datetime | None = None
        self.complete = False

    def past(self, at: datetime) -> bool:
        return self.reserved is None or at - self.reserved >= DAY

    def counts(self, at: datetime) -> int:
        """How many downloads count now."""
        going = self.last is not None and not self.complete and at - self.last < HOUR
        return self.done + (1 if going else 0)

    def begin(self, at: datetime, others: int) -> bool:
        going = self.counts(at) > self.done
        if (self.complete or going) and not self.past(at):
            if not self.complete and self.reserved is not None:
                self.last = max(self.last or at, at, self.reserved + MOMENT)
            return True
        if self.counts(at) - (1 if going else 0) + others >= 2:
            return False
        if self.complete:
            self.parts = set()
        self.complete = False
        self.reserved = self.last = at
        return True

    def receive(self, part: str, at: datetime) -> None:
        if self.complete:
            return
        self.parts.add(part)
        self.last = max(self.last or at, at)
        if self.parts == {"half", "rest"}:
            self.complete = True
            self.done += 1


def test_a_quota_says_whether_it_limits() -> None:
    assert not Quota(1, None, None, None, 0, 0, 0, None).limited
    assert Quota(1, None, None, 1, 0, 0, 0, None).limited
