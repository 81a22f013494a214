"""Downloads from a running hub over a line that cuts, stalls, slows and corrupts, by a process
that is killed: in the end the right file, or a clear error and no file.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.client import Backoff, Client, Corrupt, Downloaded, Expected, RateLimit, Times
from entrepot.client.errors import ExitCode, NotSignedIn
from entrepot.core.accounts import find_user, issue_token, load_user
from entrepot.daemon.desk import Desk
from tests.mounts import in_own_mounts
from tests.system.bad_line import Asked, BadLine, Fault, bad_line
from tests.system.hubs import Hub, running_hub

pytestmark = pytest.mark.xdist_group("bad-lines")  # one hub for all of them
CHILD = Path(__file__).with_name("downloading_child.py")
ADA, HALDEN = "ada@halden.example", "Halden Microsystems"
CHUNK = 4 << 20
SIZE = 5 * CHUNK - 12_345
LINK_SECONDS = 2
NAME = "firmware.bin"


@dataclass(frozen=True)
class World:
    hub: Hub
    line: BadLine
    chain: tuple[str, str, str]
    other: tuple[str, str, str]
    content: bytes
    expected: Expected

    @property
    def token(self) -> str:
        return str(self.hub.user(ADA)["token"])

    def client(self, tokens: Any = None, attempts: int = 8, stall_seconds: float = 4.0) -> Client:
        quick = Backoff(attempts=attempts, first_seconds=0.02, most_seconds=0.1)
        times = Times(connect_seconds=10, stall_seconds=stall_seconds, call_seconds=20)
        return Client(self.hub.url, tokens or self.token, times=times, transfer_backoff=quick)

    def fetch(self, folder: Path, *, chunks: bool = False, **options: Any) -> Downloaded:
        given = {"tokens", "attempts", "stall_seconds"} & options.keys()
        with self.client(**{name: options.pop(name) for name in given}) as client:
            expected = self.expected if chunks else replace(self.expected, chunks=())
            return client.download(*self.chain, folder, name=NAME, expected=expected, **options)

    def mint(self, seconds: int) -> str:
        with Desk({"data": str(self.hub.data)}).hub() as inside, inside.database.read() as tx:
            who = load_user(tx, find_user(tx, ADA).id)
            key, now = inside.keys.current, inside.now()
            return issue_token(tx, key, who, issuer=self.hub.url, now=now, seconds=seconds).value

    def start_child(
        self, folder: Path, *, connections: int | None, chunks: bool, **more: Any
    ) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [*more.pop("prefix", ()), sys.executable, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(self.order(folder, connections=connections, chunks=chunks, **more).encode())
        return process

    def order(self, folder: Path, *, connections: int | None, chunks: bool, **more: Any) -> str:
        told = {
            "url": self.hub.url,
            "token": self.token,
            "chain": self.chain,
            "folder": str(folder),
            "size": SIZE,
            "sha256": self.expected.digest,
            "chunks": [digest.hex() for digest in self.expected.chunks] if chunks else [],
            "connections": connections,
        }
        return json.dumps(told | more)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hub whose links live for two seconds and lead over the bad line, and two files on it."""
    folder = tmp_path_factory.mktemp("bad-lines")
    content = random.Random(5).randbytes(SIZE)
    (folder / NAME).write_bytes(content)
    (folder / "other.bin").write_bytes(random.Random(6).randbytes(SIZE))
    with (
        bad_line() as line,
        running_hub(
            folder / "data",
            public_url=f"http://127.0.0.1:{line.port}",
            link_seconds=str(LINK_SECONDS),
            web_processes="1",
        ) as hub,
    ):
        line.target = ("127.0.0.1", int(hub.bind.split(":")[1]))
        given = hub.entitlement("plain", HALDEN)
        files = [str(folder / NAME), str(folder / "other.bin")]
        said = hub.operate("publish", given["product_code"], "9.0", *files)
        assert said.code == 0, said
        with Client(hub.url, hub.user(ADA)["token"]) as client:
            newest = client.releases(given["id"])[0]
            first, second = client.artifacts(given["id"], newest["id"])
        release = (given["id"], newest["id"])
        pieces = (content[at : at + CHUNK] for at in range(0, SIZE, CHUNK))
        chunks = tuple(hashlib.sha256(piece).digest() for piece in pieces)
        expected = Expected(SIZE, "sha256", hashlib.sha256(content).hexdigest(), chunks)
        yield World(hub, line, (*release, first["id"]), (*release, second["id"]), content, expected)


@pytest.fixture(autouse=True)
def healed(world: World) -> None:
    world.line.heal()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def only_right(world: World, folder: Path) -> None:
    """The file is there, right, and nothing else is."""
    assert (folder / NAME).read_bytes() == world.content
    assert names(folder) == [NAME]


def first_ones(*faults: Fault) -> Callable[[Asked], Fault | None]:
    """The first answers get these faults, the others none."""
    return lambda asked: faults[asked.number] if asked.number < len(faults) else None


@pytest.mark.parametrize("connections", [1, 4])
def test_cuts_and_stalls_are_gone_on_with(world: World, tmp_path: Path, connections: int) -> None:
    at = 1_000_000
    world.line.rate = 40e6
    world.line.choose = first_ones(
        Fault("cut", at), Fault("stall", at, 12), Fault("cut", 0), *[Fault("cut", at)] * 5
    )
    world.fetch(tmp_path, connections=connections)
    only_right(world, tmp_path)
    # Beside those in use: the stalled one, which the line still holds.
    assert world.line.most_open <= connections + 1
    assert (world.line.most_open > 2) == (connections > 1)
    assert world.line.sent < SIZE + (8 << 20), "what had come was not fetched again"


def test_connections_are_added_where_they_pay(world: World, tmp_path: Path) -> None:
    """The line gives each connection 1.5 MB/s, so that more of them bring more."""
    world.line.rate = 8e6
    world.fetch(tmp_path)
    only_right(world, tmp_path)
    assert world.line.most_open > 1
    assert {b"If-Range" in asked.head for asked in world.line.asked if asked.first_byte} == {True}


@pytest.mark.parametrize("connections", [1, 3])
def test_a_flipped_bit_costs_one_chunk_or_one_more_try(
    world: World, tmp_path: Path, connections: int
) -> None:
    world.line.choose = first_ones(Fault("flip", 3_000_000))
    world.fetch(tmp_path / "whole", connections=connections)
    only_right(world, tmp_path / "whole")
    assert world.line.sent >= 2 * SIZE - CHUNK
    world.line.heal()
    world.line.rate = 40e6
    world.line.choose = first_ones(Fault("flip", 3_000_000))
    world.fetch(tmp_path / "chunks", connections=connections, chunks=True)
    only_right(world, tmp_path / "chunks")
    assert SIZE + CHUNK <= world.line.sent < SIZE + 2 * CHUNK, "the bad chunk alone"


def test_bits_that_are_always_flipped_end_in_a_clear_error(world: World, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"precious")
    world.line.choose = lambda asked: Fault("flip", 77)
    for chunks in (False, True):
        with pytest.raises(Corrupt, match="sha256"):
            world.fetch(tmp_path, chunks=chunks)
        assert names(tmp_path) == [NAME]
        assert (tmp_path / NAME).read_bytes() == b"precious"


def test_a_link_and_a_token_that_lapse_half_way_are_replaced(world: World, tmp_path: Path) -> None:
    class Lapsing:
        """A token of two seconds, and another where it is refused."""

        def __init__(self) -> None:
            self.held, self.renewals = world.mint(LINK_SECONDS), 0

        def token(self) -> str:
            return self.held

        def renewed(self, refused: str) -> str:
            self.held, self.renewals = world.mint(60), self.renewals + 1
            return self.held

    tokens = Lapsing()
    world.line.choose = first_ones(Fault("cut", CHUNK), Fault("stall", CHUNK, LINK_SECONDS + 1))
    world.fetch(tmp_path, tokens=tokens, connections=1, stall_seconds=20)
    only_right(world, tmp_path)
    assert tokens.renewals == 1
    assert len({asked.head.split()[1] for asked in world.line.asked}) > 1, "another link"


def test_a_token_that_lapses_for_good_keeps_what_has_come(world: World, tmp_path: Path) -> None:
    class Ended:
        """A token that ends once bytes flow, and no other."""

        def token(self) -> str:
            return "ended" if world.line.asked else world.token

        def renewed(self, refused: str) -> None:
            return None

    world.line.choose = first_ones(Fault("stall", CHUNK, LINK_SECONDS + 1))
    with pytest.raises(NotSignedIn):
        world.fetch(tmp_path, tokens=Ended(), connections=1, stall_seconds=20)
    held = [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
    assert [path.stat().st_size >= CHUNK for path in held] == [True]
    world.line.heal()
    world.fetch(tmp_path, connections=1)
    only_right(world, tmp_path)
    assert world.line.asked[0].first_byte >= CHUNK


@pytest.mark.parametrize("connections", [1, 3])
def test_a_file_that_changes_meanwhile_is_never_mixed(
    world: World, tmp_path: Path, connections: int
) -> None:
    """From the first cut on the hub has another file of the same size under the link."""

    def choose(asked: Asked) -> Fault | None:
        if asked.number:
            return None
        with world.client() as client:
            link = client.link(*world.other)
        world.line.instead = link.partition(f":{world.line.port}")[2]
        return Fault("cut", 2 * CHUNK)

    world.line.choose = choose
    with pytest.raises(Corrupt, match="sha256"):
        world.fetch(tmp_path, connections=connections)
    assert names(tmp_path) == []
    world.line.heal()
    world.fetch(tmp_path, connections=connections)
    only_right(world, tmp_path)


def ended(process: "subprocess.Popen[bytes]") -> int:
    """How a child ended; what it had to say is told where that is an error."""
    assert process.stderr is not None
    with process.stderr as stderr:
        said = stderr.read()
    code = process.wait(60)
    assert code in (0, -9), said
    return code


def kill_and_resume(world: World, folder: Path, kills: int, dice: random.Random) -> int:
    """Kill the download `kills` times, whenever it is whole begin anew; how often it was whole."""
    whole = 0
    folder.mkdir()
    for _ in range(kills):
        connections, chunks = dice.choice([1, 4, None]), dice.random() < 0.5
        process = world.start_child(folder, connections=connections, chunks=chunks)
        count = len(world.line.asked)
        while process.poll() is None and len(world.line.asked) == count:
            time.sleep(0.02)
        try:
            process.wait(dice.uniform(0.0, 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
        ended(process)
        if (folder / NAME).exists():
            assert (folder / NAME).read_bytes() == world.content
            (folder / NAME).unlink()
            whole += 1
    world.line.heal()
    last = world.start_child(folder, connections=None, chunks=True)
    assert ended(last) == 0
    only_right(world, folder)
    return whole


def noted(folder: Path) -> int:
    """How many bytes the state in `folder` says are there."""
    states = list(folder.glob(".*.state"))
    try:
        return sum(end - begin for begin, end in json.loads(states[0].read_text())["held"])
    except (IndexError, FileNotFoundError):
        return 0


def test_a_killed_download_goes_on_with_what_is_on_disk(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    for kills in range(1, 4):
        world.line.rate = 3e6
        process = world.start_child(folder, connections=(1, 4, None)[kills - 1], chunks=kills == 2)
        while process.poll() is None and noted(folder) < kills * SIZE // 5:
            time.sleep(0.02)
        process.kill()
        assert ended(process) != 0, "it is killed before it is done"
    world.line.heal()
    assert ended(world.start_child(folder, connections=None, chunks=True)) == 0
    only_right(world, folder)
    assert min(asked.first_byte for asked in world.line.asked) > 0, "not from the start again"


@pytest.mark.parametrize("chunks", [False, True])
def test_a_bit_flipped_on_the_disk_between_two_runs_is_found(
    world: World, tmp_path: Path, chunks: bool
) -> None:
    world.line.choose = first_ones(*[Fault("cut", 3 * CHUNK)], *[Fault("cut", 0)] * 20)
    with pytest.raises(Exception, match="cut"):
        world.fetch(tmp_path, connections=1, attempts=2)
    (part,) = (path for path in tmp_path.iterdir() if path.name.endswith(".part"))
    with part.open("r+b") as file:
        file.seek(CHUNK + 5)
        byte = file.read(1)[0]
        file.seek(CHUNK + 5)
        file.write(bytes([byte ^ 1]))
    world.line.heal()
    world.fetch(tmp_path, connections=1, chunks=chunks)
    only_right(world, tmp_path)
    assert world.line.asked[0].first_byte == 3 * CHUNK
    assert world.line.sent == (SIZE - 3 * CHUNK) + (CHUNK if chunks else SIZE)


@pytest.mark.needs("mounts")
def test_a_disk_that_fills_up_keeps_what_has_come(world: World, tmp_path: Path) -> None:
    """On a file system of 56 MiB that somebody else fills once 4 MiB have come."""
    folder = tmp_path / "small"
    folder.mkdir()
    filling = {"ballast_bytes": 56 << 20, "ballast_after": CHUNK}
    for name, more in (("filled", filling), ("free", {})):
        (tmp_path / name).write_text(world.order(folder, connections=2, chunks=False, **more))
    script = f"""
        mount -t tmpfs -o size=56m tmpfs {folder} || exit 100
        {sys.executable} {CHILD} < {tmp_path / "filled"} && exit 101
        echo "failed with $?"; ls -A {folder}; rm {folder}/ballast
        exec {sys.executable} {CHILD} < {tmp_path / "free"}
    """
    world.line.rate = 8e6
    said = subprocess.run(
        [*(in_own_mounts() or ()), "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said
    assert f"failed with {int(ExitCode.LOCAL_FILE)}" in said.stdout
    assert "DiskFull" in said.stderr
    assert NAME not in said.stdout.split(), "no file under the final name"
    assert sum(asked.first_byte == 0 for asked in world.line.asked) == 1


def test_a_rate_limit_is_shared_by_all_transfers(world: World, tmp_path: Path) -> None:
    limit = RateLimit(10e6)
    begun = time.monotonic()
    for number in range(2):
        world.fetch(tmp_path / str(number), rate=limit)
        only_right(world, tmp_path / str(number))
    assert time.monotonic() - begun > 2 * SIZE / 10e6 * 0.8


@pytest.mark.soak
def test_killed_fifty_times_at_random_points(world: World, tmp_path: Path) -> None:
    dice = random.Random()

    def choose(asked: Asked) -> Fault | None:
        kind = dice.choice(["cut", "stall", "none", "none"])
        return None if kind == "none" else Fault(kind, dice.randrange(1, SIZE), 2)

    world.line.rate, world.line.choose = 4e6, choose
    assert kill_and_resume(world, tmp_path / "got", 50, dice) < 50


@pytest.mark.soak
@pytest.mark.parametrize("round_", range(100))
def test_a_hundred_bad_lines(world: World, tmp_path: Path, round_: int) -> None:
    """Whatever happens to each of the answers: the right file, or an error and no file."""
    dice = random.Random(os.urandom(8))
    world.line.rate = dice.choice([None, 30e6])

    def choose(asked: Asked) -> Fault | None:
        kinds = ["cut", "stall", "flip", "none", "none", "none"]
        kind = dice.choice(kinds) if asked.number < 12 else "none"
        seconds = dice.choice([0.5, LINK_SECONDS + 0.5])
        return None if kind == "none" else Fault(kind, dice.randrange(SIZE), seconds)

    world.line.choose = choose
    chunks, connections = dice.random() < 0.7, dice.choice([1, 2, 5, None])
    for _ in range(10):
        try:
            world.fetch(tmp_path, chunks=chunks, connections=connections, attempts=20)
            break
        except Corrupt:
            assert names(tmp_path) == []
    only_right(world, tmp_path)
