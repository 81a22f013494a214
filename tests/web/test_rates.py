"""The token buckets by themselves: how much they let through, and how little they keep."""

import re
import time
from collections.abc import Iterator
from contextvars import Token

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.errors import TooMany
from entrepot.kit.addresses import neighbourhood
from entrepot.web.http import rates
from entrepot.web.http.rates import BUCKETS_MAX, Rates, Ticket, ticket


class Watch:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(buckets: Rates, key: str = "user:1") -> tuple[bool, dict[bytes, bytes]]:
    """Whether a new request is let through, and the headers it is answered with."""
    one = Ticket({}, {})
    held: Token[Ticket | None] = ticket.set(one)
    try:
        buckets.charge(key)
        buckets.charge(key)  # counted once, however often it is asked
        return True, dict(one.told)
    except TooMany as error:
        assert dict(one.told)[b"ratelimit"].endswith(b"t=%d" % error.retry_after_seconds)
        return False, dict(one.told)
    finally:
        ticket.reset(held)


@pytest.fixture
def watch() -> Iterator[Watch]:
    yield Watch()


def test_a_burst_then_the_rate(watch: Watch) -> None:
    buckets = Rates(60, 5, watch)
    answers = [ask(buckets) for _ in range(6)]
    assert [let for let, _ in answers] == [True] * 5 + [False]
    assert {told[b"ratelimit-policy"] for _, told in answers} == {b'"requests";q=5;w=5'}
    left = [told[b"ratelimit"] for _, told in answers]
    assert left == [b'"requests";r=%d;t=1' % n for n in (4, 3, 2, 1, 0, 0)]
    assert ask(buckets, "user:2")[0]
    watch.now += 1
    assert [ask(buckets)[0] for _ in range(2)] == [True, False]
    watch.now += 3600
    assert [ask(buckets)[0] for _ in range(6)] == [True] * 5 + [False]


@given(
    st.integers(1, 1000),
    st.integers(1, 20),
    st.lists(st.floats(0, 5, allow_nan=False), max_size=60),
)
def test_no_stretch_of_time_lets_more_through(
    per_minute: int, burst: int, waits: list[float]
) -> None:
    watch = Watch()
    buckets = Rates(per_minute, burst, watch)
    moments = []
    for wait in waits:
        watch.now += wait
        if ask(buckets)[0]:
            moments.append(watch.now)
    for first, begun in enumerate(moments):
        for last in range(first, len(moments)):
            allowed = burst + (moments[last] - begun) * per_minute / 60
            assert last - first + 1 <= allowed + 1e-6


def test_who_waits_as_told_is_let_in(watch: Watch) -> None:
    buckets = Rates(7, 3, watch)
    while ask(buckets)[0]:
        pass
    told = ask(buckets)[1][b"ratelimit"]
    watch.now += int(told.rpartition(b"=")[2])
    assert ask(buckets)[0]


# draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4: lists of one string with parameters.
POLICY = re.compile(rb'"requests";q=(?:0|[1-9][0-9]{0,14});w=[1-9][0-9]{0,14}')
LIMIT = re.compile(rb'"requests";r=(0|[1-9][0-9]{0,14});t=(0|[1-9][0-9]{0,14})')


@given(st.integers(1, 600_000), st.integers(1, 20), st.integers(1, 60), st.floats(0, 3))
def test_more_than_is_left_comes_after_the_time_told_and_not_before(
    per_minute: int, burst: int, asked: int, pause: float
) -> None:
    watch = Watch()
    buckets = Rates(per_minute, burst, watch)
    for _ in range(asked):
        watch.now += pause
        told = ask(buckets)[1]
    assert POLICY.fullmatch(told[b"ratelimit-policy"])
    found = LIMIT.fullmatch(told[b"ratelimit"])
    assert found is not None
    left, seconds = int(found[1]), int(found[2])
    # `left` at once, not one more; and one more when that time has passed, to the second.
    assert [ask(buckets)[0] for _ in range(left)] == [True] * left
    if per_minute < 60:
        assert not ask(buckets)[0]
    watch.now += seconds
    assert ask(buckets)[0]


def test_memory_has_a_limit(watch: Watch) -> None:
    buckets = Rates(60, 5, watch)
    for number in range(BUCKETS_MAX):
        ask(buckets, f"user:{number}")
    assert len(buckets) == BUCKETS_MAX
    ask(buckets, "one more")  # all in use: the oldest go
    assert len(buckets) == BUCKETS_MAX - BUCKETS_MAX // 10 + 1
    watch.now += 60
    for number in range(BUCKETS_MAX):
        ask(buckets, f"user:{number}")
    assert len(buckets) <= BUCKETS_MAX


def test_zero_counts_nothing() -> None:
    buckets = Rates(0, 1)
    assert [ask(buckets) for _ in range(10)] == [(True, {})] * 10
    assert len(buckets) == 0


def test_outside_a_request_nothing_is_counted(watch: Watch) -> None:
    buckets = Rates(1, 1, watch)
    assert ticket.get() is None
    for _ in range(5):
        buckets.charge("user:1")
    assert len(buckets) == 0


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_network_of_ipv6_is_one_address(address: str, counted_as: str) -> None:
    assert neighbourhood(address) == counted_as


def test_counting_costs_a_few_microseconds() -> None:
    """3 us is the aim; the limit leaves room for a busy machine."""
    buckets = Rates(6_000_000, 1_000_000)
    best = min(_seconds_of(buckets, 2000) for _ in range(5))
    assert best / 2000 < 30e-6


def _seconds_of(buckets: Rates, count: int) -> float:
    begun = time.process_time()
    for _ in range(count):
        held = rates.ticket.set(Ticket({}, {}))
        buckets.charge("user:1001")
        rates.ticket.reset(held)
    return time.process_time() - begun
