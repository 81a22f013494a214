"""The process's clock: anchored once, deaf to whoever sets the wall clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kit.clock import Clock, from_millis, to_millis

HOUR = 3600.0


class Machine:
    """A wall clock that can be set and a steady one that cannot."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 12_345.0

    def clock(self) -> Clock:
        """A clock started now."""
        return Clock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += seconds
        self.steady += seconds


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -10 * 365 * 24 * HOUR])
def test_a_jump_of_the_wall_clock_moves_nothing(jump: float) -> None:
    machine = Machine()
    now = machine.clock()
    started = now()
    machine.wait(600)
    machine.wall += jump
    assert now() - started == timedelta(seconds=600)
    machine.wait(5)
    assert now() - started == timedelta(seconds=605)
    # A process started after the jump has the new time.
    assert machine.clock()() - now() == timedelta(seconds=jump)


def test_it_starts_from_the_wall_clock_and_goes_on() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    now = Clock()
    readings = [now() for _ in range(1000)]
    assert before <= readings[0] <= readings[-1] <= datetime.now(UTC) + timedelta(seconds=1)
    assert readings == sorted(readings)


def test_times_are_utc_and_whole_milliseconds() -> None:
    machine = Machine()
    machine.wall += 0.123_999
    moment = machine.clock()()
    assert moment.tzinfo is UTC
    assert moment.microsecond == 123_000


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_cut_to_the_millisecond_and_comes_back(instant: datetime) -> None:
    back = from_millis(to_millis(instant))
    assert timedelta(0) <= instant - back < timedelta(milliseconds=1)
    assert to_millis(back) == to_millis(instant)


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_every_millisecond_of_the_calendar_is_kept(millis: int) -> None:
    assert to_millis(from_millis(millis)) == millis


def test_a_time_of_another_zone_is_the_same_instant() -> None:
    there = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert from_millis(to_millis(there)) == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_millis(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
