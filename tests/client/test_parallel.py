"""Several connections for one file: who fetches what, when more of them pay, and what is hashed."""

import hashlib
import os
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client import Client, Expected, InvalidUse, RateLimit, Unreachable, kept_partial
from entrepot.client.extents import SPLIT_BYTES_MIN, Division, Extents
from entrepot.client.growth import CONNECTIONS_MAX, Growth
from entrepot.client.hashing import INLINE_BYTES_MAX, FrontHasher
from entrepot.client.kept_partial import KeptPartial, room_taken
from entrepot.client.link_stock import LinkStock
from entrepot.client.partial import Partial
from entrepot.client.pool import CONNECTIONS_MAX as IN_ALL_MAX
from entrepot.client.pool import Pool
from entrepot.client.stop import Stop
from tests.client.hub import ARTIFACTS, ENTITLEMENT, RELEASE, Fault, File, Hub

SIZE = 6_000_000
SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12)


def put(hub: Hub, size: int = SIZE) -> bytes:
    data = random.Random(size).randbytes(size)
    hub.files = [File("large.bin", data)]
    return data


@given(added=SPANS, removed=SPANS)
def test_extents_are_what_a_set_of_bytes_would_be(
    added: list[tuple[int, int]], removed: list[tuple[int, int]]
) -> None:
    extents, there = Extents(added), set[int]()
    for begin, end in added:
        there |= set(range(begin, end))
    for begin, end in removed:
        extents.remove(begin, end)
        there -= set(range(begin, end))
    assert {at for begin, end in extents for at in range(begin, end)} == there
    assert extents.total == len(there)
    assert extents.front == next(at for at in range(32) if at not in there)
    missing = {at for begin, end in extents.gaps(25) for at in range(begin, end)}
    assert missing == set(range(25)) - there
    edges = [edge for span in extents for edge in span]
    assert edges == sorted(set(edges)), "apart, in order, none empty"


@given(turns=st.lists(st.integers(0, 9), max_size=60), size=st.integers(1, 40))
def test_no_two_connections_get_the_same_bytes_and_none_are_left(
    turns: list[int], size: int
) -> None:
    """Each turn takes a claim, moves one on, or gives one up in its middle."""
    size *= SPLIT_BYTES_MIN
    division, claims, fetched = Division(), [], list[tuple[int, int]]()
    division.reset([(0, size)])
    for turn in [*turns, *[0, 9] * 200]:
        if turn < 4 and (taken := division.take()) is not None:
            claims.append(taken)
        elif claims:
            claim = claims[turn % len(claims)]
            at = claim.at
            count = division.advance(claim, SPLIT_BYTES_MIN * (turn + 1) // 3)
            fetched.append((at, at + count))
            if turn in (4, 5) or claim.end == claim.at:
                claims.remove(claim)
                division.give_back(claim)
                division.give_back(claim)
    assert Extents(fetched).gaps(size) == []
    assert sum(end - begin for begin, end in fetched) == size


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def play(self, growth: Growth, seconds: float, rate: float, rest: int = 10**12) -> int:
        """Bytes come at this rate for so long; how many connections there should be then."""
        for _ in range(int(seconds * 20)):
            self.now += 0.05
            growth.note(int(rate * 0.05), rest)
        return growth.wanted


def test_more_connections_as_long_as_they_bring_more() -> None:
    clock = Clock()
    growth = Growth(None, clock=clock)
    assert clock.play(growth, 0.2, 1e6) == 1
    assert clock.play(growth, 0.3, 1e6) == 4
    assert clock.play(growth, 2, 4e6) == 8
    assert clock.play(growth, 3, 8e6) == CONNECTIONS_MAX
    full = Growth(None, clock=clock)
    assert clock.play(full, 0.5, 1e6) == 4
    assert clock.play(full, 5, 1.05e6) == 8, "perhaps the one began with a burst"
    assert clock.play(full, 20, 1.05e6) == 4, "the line is full: the step is taken back"
    unlucky = Growth(None, clock=clock)
    assert clock.play(unlucky, 0.5, 1e6) == 4
    assert clock.play(unlucky, 1.5, 1.1e6) == 4, "a bad moment"
    assert clock.play(unlucky, 3, 4e6) == 8, "decides nothing"


@pytest.mark.parametrize(
    ("ceiling", "rate", "rest"),
    [(None, 400e6, 10**12), (None, 1e6, 1_000_000), (1e6, 0.95e6, 10**12)],
    ids=["fast", "nearly done", "limited"],
)
def test_one_connection_where_more_cannot_pay(
    ceiling: float | None, rate: float, rest: int
) -> None:
    clock = Clock()
    assert clock.play(Growth(None, ceiling, clock), 5, rate, rest) == 1


def test_a_refused_connection_is_done_without_for_a_while() -> None:
    clock = Clock()
    growth = Growth(None, clock=clock)
    assert clock.play(growth, 0.5, 1e6) == 4
    growth.refuse()
    assert clock.play(growth, 5, 1e6) == 3
    assert clock.play(growth, 10, 1e6) > 3
    growth.refuse(ranges=False)
    assert clock.play(growth, 60, 1e6) == 1
    assert clock.play(Growth(5, clock=clock), 1, 1e6) == 5
    assert clock.play(Growth(1, clock=clock), 60, 1e6) == 1


def test_a_file_comes_by_several_connections(hub: Hub, client: Client, tmp_path: Path) -> None:
    data = put(hub)
    done = client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path, connections=4)
    assert done.path.read_bytes() == data
    ranges = [request.headers.get("range") for request in hub.byte_requests()]
    assert ranges[0] is None
    assert len(ranges) > 1
    assert hub.minted == 1, "one link for all"


def test_a_file_comes_where_no_thread_can_be_had_for_another_connection(
    hub: Hub, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, refused, start = put(hub), list[str](), threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if "_help" in thread.name:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path, connections=4)
    assert (done.path.read_bytes() == data, bool(refused)) == (True, True)


def test_a_hub_that_ignores_ranges_still_works(hub: Hub, client: Client, tmp_path: Path) -> None:
    data, hub.ignores_ranges = put(hub), True
    hub.faults = [Fault("none"), Fault("none"), Fault("cut", 70_000)]
    done = client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path, connections=4)
    assert done.path.read_bytes() == data


def test_what_several_connections_brought_is_gone_on_with(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    data = put(hub)
    hub.faults = [Fault("cut", 900_000) for _ in range(3)] + [Fault("cut", 0) for _ in range(60)]
    with pytest.raises(Unreachable):
        client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path, connections=3)
    hub.faults, before = [], len(hub.byte_requests())
    done = client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path, connections=3)
    assert done.path.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["large.bin"]
    again = hub.byte_requests()[before:]
    assert all(request.headers.get("if-range") for request in again), "never from the start"


def test_small_files_come_over_one_connection(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.files = [File(f"{n}.bin", os.urandom(100_000)) for n in range(4)]
    for number in range(4):
        client.download(ENTITLEMENT, RELEASE, ARTIFACTS[number], tmp_path)
    assert len({request.peer for request in hub.byte_requests()}) == 1


def fetch_all(hub: Hub, client: Client, folder: Path) -> None:
    hub.files = [File(f"{n}.bin", os.urandom(1000 + n)) for n in range(4)]
    artifacts = client.artifacts(ENTITLEMENT, RELEASE)
    client.expect_downloads(ENTITLEMENT, RELEASE, artifacts)
    for number, artifact in enumerate(artifacts):
        done = client.download(ENTITLEMENT, RELEASE, artifact, folder)
        assert done.path.read_bytes() == hub.files[number].data


def test_links_to_small_files_are_asked_for_together(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.metalink_status = 200
    fetch_all(hub, client, tmp_path)
    asked = [request.query["artifacts"][0].split(",") for request in hub.asked("/metalink")]
    assert [*asked[0], *asked[1]] == ARTIFACTS
    assert hub.asked("/http") == []
    hub.requests.clear()
    fetch_all(hub, client, tmp_path / "dead")
    hub.dead_links = {f"m{n}-{n}" for n in range(4)}
    fetch_all(hub, client, tmp_path / "dead")
    assert len(hub.asked("/http")) == 4, "a dead one is replaced by itself"


@pytest.mark.parametrize("status", [403, 404, 500, 501])
def test_where_that_is_refused_each_link_is_asked_for(
    hub: Hub, client: Client, tmp_path: Path, status: int
) -> None:
    hub.metalink_status = status
    fetch_all(hub, client, tmp_path)
    assert (len(hub.asked("/metalink")), len(hub.asked("/http"))) == (1, 4)


def test_no_link_is_asked_for_that_nobody_takes() -> None:
    asked: list[Sequence[str]] = []

    def ask(ids: Sequence[str]) -> bytes:
        asked.append(ids)
        return b"<a/>"

    files = [{"id": str(n), "sha256": f"{n}" * 64, "fileSize": 1} for n in range(2)]
    stock = LinkStock(ask, files)
    # The last comes first: alone it goes by itself, and the other then, too.
    assert (stock.take("1"), stock.take("0"), asked) == (None, None, [])


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<a",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"),
        b"<a/>",
    ],
)
def test_a_document_that_is_none_gives_no_link(document: bytes) -> None:
    asked: list[Sequence[str]] = []

    def ask(ids: Sequence[str]) -> bytes:
        asked.append(ids)
        return document

    artifacts = [{"id": str(n), "sha256": f"{n}" * 64, "fileSize": 10} for n in range(3)]
    large = {"id": "3", "sha256": "3" * 64, "fileSize": 1 << 30}
    stock = LinkStock(
        ask, [*artifacts, large, artifacts[0] | {"id": "4", "repository": "x-controlled"}]
    )
    assert [stock.take(each) for each in ("3", "4", "0", "0")] == [None] * 4
    assert asked == [["0", "1"]]


def test_where_no_thread_can_be_had_nobody_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start {thread.name}")

    artifacts = [{"id": str(n), "sha256": f"{n}" * 64, "fileSize": 10} for n in range(3)]
    stock = LinkStock(lambda ids: pytest.fail(f"asked for {ids}"), artifacts)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        assert [stock.take(each) for each in ("0", "1", "2")] == [None] * 3
    stock.close()


def metalink(digests: Sequence[str]) -> bytes:
    files = "".join(
        f'<file><hash type="sha-256">{each}</hash><url>http://hub/{each}</url></file>'
        for each in digests
    )
    return f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{files}</metalink>'.encode()


@pytest.mark.parametrize(("each", "together_min"), [(1, 30), (40, 2)])
def test_more_links_are_asked_for_where_they_are_used(each: int, together_min: int) -> None:
    """Every file, in order, or one of forty: the others are there already."""
    digests = [hashlib.sha256(bytes([n])).hexdigest() for n in range(240)]
    asked: list[list[int]] = []

    def ask(ids: Sequence[str]) -> bytes:
        asked.append([int(one) for one in ids])
        return metalink([digests[int(one)] for one in ids])

    stock = LinkStock(
        ask, [{"id": str(n), "sha256": digests[n], "fileSize": 10} for n in range(240)]
    )
    wanted = range(0, 240, each)
    assert [stock.take(str(n)) for n in wanted] == [f"http://hub/{digests[n]}" for n in wanted]
    stock.close()
    every = [one for ids in asked for one in ids]
    assert len(every) == len(set(every)), "none is asked for twice"
    assert max(map(len, asked)) >= together_min
    assert len(every) <= 2 * len(wanted)


def test_connections_are_bounded_over_all_files() -> None:
    pool = Pool()
    with pool.transfer(), pool.transfer():
        assert [pool.enter() for _ in range(20)].count(True) == IN_ALL_MAX - 2
        pool.leave()
        assert (pool.enter(), pool.enter()) == (True, False)


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, SIZE])
def test_what_comes_out_of_order_is_hashed_in_order(tmp_path: Path, size: int) -> None:
    data, dice = random.Random(size).randbytes(size), random.Random()
    expected = Expected(size, "sha256", hashlib.sha256(data).hexdigest())
    with Partial(tmp_path / "it") as partial:
        hasher = FrontHasher(partial, expected, Stop())
        pieces = [(at, data[at : at + 70_000]) for at in range(0, size, 70_000)]
        parts = [pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]]
        dice.shuffle(parts[1])

        def write(part: list[tuple[int, bytes]]) -> None:
            buffer = memoryview(bytearray(70_000))
            for at, piece in part:
                buffer[: len(piece)] = piece
                partial.write(at, buffer[: len(piece)])
                buffer = hasher.hand_over(at, buffer, len(piece))

        threads = [threading.Thread(target=write, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected.check(partial.size, hasher.finish(size))
        partial.commit()
    assert (tmp_path / "it").read_bytes() == data


def kept(target: Path, boot: str | None = None) -> tuple[int, int]:
    """What is gone on with: how many bytes, and from where on something is missing."""
    state = target.with_name(f".{target.name}.mark.state")
    if boot is not None:
        text = state.read_text()
        here = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state.write_text(text.replace(here, boot))
    with pytest.raises(KeyboardInterrupt), KeptPartial(target, "mark", "sha256:00") as partial:
        found = partial.size, partial.front
        raise KeyboardInterrupt
    return found


def test_after_a_power_cut_only_what_was_flushed_counts(tmp_path: Path) -> None:
    target = tmp_path / "it"
    with pytest.raises(KeyboardInterrupt), KeptPartial(target, "mark", "sha256:00") as partial:
        partial.write(0, memoryview(bytes(100_000)))
        partial.write(500_000, memoryview(bytes(100_000)))
        raise KeyboardInterrupt
    assert kept(target) == (200_000, 100_000)
    assert kept(target, boot="another") == (0, 0)
    assert list(tmp_path.iterdir()) == [], "nothing worth keeping is left"


def test_what_was_flushed_counts_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_partial, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(kept_partial, "FLUSH_SECONDS", 0.0)
    target = tmp_path / "it"
    with pytest.raises(KeyboardInterrupt), KeptPartial(target, "mark", "sha256:00") as partial:
        partial.write(0, memoryview(bytes(300_000)))
        partial.checkpoint()
        monkeypatch.setattr(kept_partial, "FLUSH_SECONDS", 1e9)
        raise KeyboardInterrupt
    assert kept(target, boot="another") == (300_000, 300_000)


def test_bytes_that_are_not_there_do_not_count(tmp_path: Path) -> None:
    target = tmp_path / "it"
    with pytest.raises(KeyboardInterrupt), KeptPartial(target, "mark", "sha256:00") as partial:
        partial.write(0, memoryview(bytes(200_000)))
        raise KeyboardInterrupt
    os.truncate(tmp_path / ".it.mark.part", 150_000)
    assert kept(target) == (150_000, 150_000)


def test_room_that_an_earlier_run_took_is_not_needed_again(tmp_path: Path) -> None:
    part = tmp_path / ".it.mark.part"
    assert room_taken(tmp_path / "it", "mark") == 0
    with part.open("wb") as file:
        file.write(os.urandom(200_000))
        file.flush()
        os.fsync(file.fileno())
    assert room_taken(tmp_path / "it", "mark") == 200_000
    part.unlink()
    part.touch()
    os.truncate(part, 1 << 30)
    assert room_taken(tmp_path / "it", "mark") < 200_000, "a hole takes no room"


def test_no_netrc_is_read(
    hub: Hub, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path / "got")
    sent = {request.headers.get("authorization") for request in hub.requests}
    assert sent == {None, f"Bearer {hub.token}"}


def test_a_rate_that_would_count_as_a_stall_is_refused() -> None:
    with pytest.raises(InvalidUse):
        RateLimit(1000)
    with pytest.raises(InvalidUse):
        RateLimit(float("nan"))
