"""The sandbox against a converter that a file has taken over: it may do what it likes inside."""

import contextlib
import itertools
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from entrepot.core.conversions.port import (
    MEBIBYTE,
    ConversionCancelled,
    ConversionFailed,
    Limits,
)
from entrepot.core.conversions.sandbox import SandboxedConverter, sandbox_available
from entrepot.errors import Unavailable
from tests.conversions.trials import SMALL, run, source_file, trial, trial_converter
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def converter() -> Iterator[SandboxedConverter]:
    made = trial_converter()
    yield made
    made.close()


def refusal(converter: SandboxedConverter, does: str, value: object = None) -> str:
    """The code that the item fails with; the next item must go well."""
    with pytest.raises(ConversionFailed) as failed:
        run(converter, does, value)
    assert failed.value.message.isprintable()
    assert run(converter, "copy").size == len(b"a source")
    return failed.value.code


# --- it breaks, and only its item with it ------------------------------------------------------


def test_a_converter_that_dies_fails_its_item_alone(converter: SandboxedConverter) -> None:
    assert refusal(converter, "die") == "converter-died"
    assert refusal(converter, "leave") == "converter-died"


def test_a_defect_of_a_runner_fails_its_item_alone(
    converter: SandboxedConverter, caplog: pytest.LogCaptureFixture
) -> None:
    assert refusal(converter, "fail") == "converter-defect"
    assert "a defect of the runner" in caplog.text


def test_a_refusal_arrives_as_one_line(converter: SandboxedConverter) -> None:
    with pytest.raises(ConversionFailed) as refused:
        run(converter, "refuse")
    assert refused.value.code == "page-outside"
    assert refused.value.message == "The page [31m 7 is not there."


def test_a_converter_that_hangs_is_killed() -> None:
    converter = trial_converter(Limits(wall_seconds_max=3))
    begun = time.monotonic()
    assert refusal(converter, "hang") == "media-too-slow"
    assert time.monotonic() - begun < 50  # it would hang for a minute
    converter.close()


def test_a_flood_of_output_goes_nowhere(converter: SandboxedConverter) -> None:
    assert run(converter, "flood").size == len(b"a source")


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "rubbish",
        "[]",
        "{}",
        '{"serial":"1","outcome":"done"}',
        '{"serial":-1,"outcome":"done"}',
        '{"serial":0,"outcome":"ready"}',
        '{"serial":1,"outcome":"done","facts":{"a":{"b":1}}}',
        '{"serial":1,"outcome":"done","more":1}',
        '{"serial":1,"outcome":"refused","code":"<script>"}',
        "[" * 10_000,
        '{"serial":' + "9" * 5_000 + "}",
    ],
)
def test_rubbish_for_an_answer_fails_the_item(packet: str) -> None:
    converter = trial_converter(SMALL)
    code = refusal(converter, "say", {"packets": [packet]})
    assert code in ("converter-defect", "converter-died")  # an empty packet reads like the end
    converter.close()


def test_an_answer_of_too_many_bytes_fails_the_item(converter: SandboxedConverter) -> None:
    assert refusal(converter, "say_long", 150_000) == "converter-defect"


def test_answers_without_end_fail_the_item(converter: SandboxedConverter) -> None:
    assert refusal(converter, "say", {"packets": ["rubbish"], "again": True}) == "converter-defect"


def test_an_answer_given_ahead_is_not_taken_for_the_next_item() -> None:
    converter = trial_converter()
    run(converter, "say_more")
    [child] = converter._idle
    wait_until(lambda: not child.is_waiting())
    assert run(converter, "copy").facts["process"]  # a made-up answer would have no facts
    converter.close()


@pytest.mark.parametrize(
    "facts",
    [
        {f"f{number}": 1 for number in range(65)},
        {"name": "x" * 257},
        {"Not plain": 1},
        {"big": 2**60},
        {"deep": [1]},
        {"none": None},
    ],
)
def test_facts_that_are_not_small_and_scalar_fail_the_item(
    converter: SandboxedConverter, facts: dict[str, object]
) -> None:
    assert refusal(converter, "claim", facts) == "converter-defect"


def test_facts_are_made_harmless(converter: SandboxedConverter) -> None:
    facts = run(converter, "claim", {"codec": "a\x1b]0;b\u202ec\n", "fps": 2.5, "mute": True}).facts
    assert facts == {"codec": "a ]0;b c", "fps": 2.5, "mute": True}


def test_infinity_is_no_fact() -> None:
    converter = trial_converter()
    assert refusal(converter, "claim_infinity", 1) == "converter-defect"
    converter.close()


# --- limits ------------------------------------------------------------------------------------


def test_more_bytes_than_allowed_fail_the_item(converter: SandboxedConverter) -> None:
    assert refusal(converter, "write", 9) == "media-too-large"
    assert refusal(converter, "stretch", 9 * MEBIBYTE) == "media-too-large"
    assert refusal(converter, "write_nothing") == "converter-defect"
    assert run(converter, "write", 8).size == 8 * MEBIBYTE


def test_scratch_files_are_limited_and_gone_with_the_item(converter: SandboxedConverter) -> None:
    facts = run(converter, "fill_scratch").facts
    assert facts["error"] == "ENOSPC"
    assert 14 <= int(facts["written"]) <= 16
    assert run(converter, "list_scratch").facts["files"] == 0


@pytest.mark.parametrize(
    ("where", "code"), [("scratch", "media-too-large"), ("disk", "storage-full")]
)
def test_want_of_room_is_told_as_what_it_is(
    converter: SandboxedConverter, where: str, code: str
) -> None:
    assert refusal(converter, "overflow", where) == code


@pytest.mark.parametrize(("does", "value"), [("eat", None), ("eat_below", 48 * MEBIBYTE)])
def test_memory_is_limited_for_all_processes_together(does: str, value: object) -> None:
    before = set(_below())
    converter = trial_converter(SMALL)
    assert refusal(converter, does, value) == "media-too-large"
    converter.close()
    wait_until(lambda: not set(_below()) - before)


@pytest.mark.parametrize("does", ["spin", "spin_below"])
def test_processor_time_is_limited_for_all_processes_together(does: str) -> None:
    converter = trial_converter(Limits(cpu_seconds_max=1, wall_seconds_max=60))
    assert refusal(converter, does) == "media-too-slow"
    converter.close()


def test_processor_time_is_counted_for_each_item_anew() -> None:
    """Three items of 0.5 s in one child, where 1 s is the limit."""
    converter = trial_converter(Limits(cpu_seconds_max=1))
    assert len({run(converter, "work", 0.5).facts["process"] for _ in range(3)}) == 1
    converter.close()


@pytest.mark.parametrize("does", ["fork_bomb", "thread_bomb"])
def test_bombs_of_processes_are_ended(does: str) -> None:
    """By their number, or, where the kernel already holds it down, by the clock."""
    before = set(_below())
    converter = trial_converter(replace(SMALL, wall_seconds_max=4))
    codes = ("media-damaged", "media-too-large", "media-too-slow", "converter-died")
    assert refusal(converter, does) in codes
    converter.close()
    wait_until(lambda: not set(_below()) - before)


def _below() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True)]


# --- cancelling and ending ---------------------------------------------------------------------


def test_cancelling_ends_the_conversion_at_once_and_everything_with_it() -> None:
    converter = trial_converter()
    run(converter, "copy")
    told = time.monotonic() + 4  # about fifteen questions: a stall of the machine is one of them
    asked: list[float] = []

    def cancelled() -> bool:
        asked.append(time.monotonic())
        return asked[-1] > told

    with pytest.raises(ConversionCancelled):
        run(converter, "hang", cancelled=cancelled)
    # It would hang for a minute. The machine may be busy: what counts is how often it asks.
    assert time.monotonic() - told < 30
    assert statistics.median(b - a for a, b in itertools.pairwise(asked)) < 0.5
    assert run(converter, "copy").size
    converter.close()


def test_what_is_cancelled_no_longer_writes() -> None:
    converter = trial_converter()
    with source_file() as source, tempfile.TemporaryFile() as target:
        with pytest.raises(ConversionCancelled):
            converter.convert(source, trial("hang"), target, cancelled=lambda: _size(target) > 0)
        # Whatever held the file is gone: a lease for reading is given only then.
        target.seek(0)
        assert target.read() == b"begun"
        held = [p for p in _below() if _holds(p, target)]
        assert held == []
    converter.close()


def _size(file: object) -> int:
    return os.fstat(file.fileno()).st_size  # type: ignore[attr-defined]


def _holds(pid: int, file: object) -> bool:
    same = os.fstat(file.fileno())  # type: ignore[attr-defined]
    try:
        return any(os.path.samestat(fd.stat(), same) for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_closing_ends_what_runs() -> None:
    converter = trial_converter()
    ended: list[BaseException] = []

    def convert() -> None:
        try:
            run(converter, "hang")
        except ConversionCancelled as error:
            ended.append(error)

    thread = threading.Thread(target=convert)
    thread.start()
    time.sleep(1)
    converter.close()
    thread.join(50)  # it would hang for a minute
    assert len(ended) == 1
    with pytest.raises(ConversionCancelled):
        run(converter, "copy")


def test_a_child_outlives_the_thread_that_used_it_and_takes_several_items() -> None:
    converter = trial_converter(items_max=3)
    seen: list[object] = []
    for _ in range(4):
        thread = threading.Thread(
            target=lambda: seen.append(run(converter, "copy").facts["process"])
        )
        thread.start()
        thread.join()
    assert seen[0] == seen[1] == seen[2] != seen[3]
    converter.close()


def test_a_child_that_was_killed_while_idle_is_replaced() -> None:
    converter = trial_converter()
    before = set(_below())
    run(converter, "copy")
    child = [psutil.Process(pid) for pid in set(_below()) - before]
    for process in child:
        with contextlib.suppress(psutil.NoSuchProcess):  # it went with one before it
            process.kill()
    wait_until(lambda: not any(_runs(process) for process in child))
    assert run(converter, "copy").size
    converter.close()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_child_that_keeps_memory_or_processes_is_replaced() -> None:
    converter = trial_converter(idle_memory_bytes_max=100 * MEBIBYTE)
    first = run(converter, "copy").facts["process"]
    assert run(converter, "keep", 120 * MEBIBYTE).facts["process"] == first
    second = run(converter, "stay_behind").facts["process"]
    third = run(converter, "copy").facts["process"]
    assert len({first, second, third}) == 3
    converter.close()


def test_several_children_work_side_by_side() -> None:
    converter = trial_converter(children_max=2)
    begun = threading.Event()

    def hang() -> None:
        with pytest.raises(ConversionCancelled):
            run(converter, "hang", cancelled=begun.is_set)

    slow = threading.Thread(target=hang)
    slow.start()
    assert run(converter, "copy").size
    begun.set()
    slow.join(50)
    assert not slow.is_alive()
    converter.close()


HUB = """
import sys, threading
from tests.conversions.trials import run, trial_converter
converter = trial_converter()
run(converter, "copy")
threading.Thread(target=run, args=(converter, "hang"), daemon=True).start()
print("hanging", flush=True)
sys.stdin.read()
"""


def test_the_sandbox_dies_with_the_hub() -> None:
    """Kill -9 of the process that started it, in the middle of an item that hangs."""
    hub = subprocess.Popen(
        [sys.executable, "-c", HUB], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert hub.stdin is not None
    assert hub.stdout is not None
    assert hub.stdout.readline() == b"hanging\n"
    parent = psutil.Process(hub.pid)
    wait_until(lambda: len(parent.children(recursive=True)) >= 3)
    below = parent.children(recursive=True)
    hub.kill()
    hub.wait()
    hub.stdin.close()
    hub.stdout.close()
    _, alive = psutil.wait_procs(below, timeout=50)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


# --- what it can see and reach -----------------------------------------------------------------


def test_no_file_of_the_machine_can_be_read(converter: SandboxedConverter, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0")
    public = tmp_path / "link"
    public.symlink_to(secret)
    paths = [
        *map(str, (secret, public, tmp_path, Path.home() / ".bashrc", ROOT / "pyproject.toml")),
        f"/proc/1/root{secret}",
        f"/proc/self/root{secret}",
        f"/proc/self/cwd/../..{secret}",
        *("/etc/passwd", "/etc/shadow", "/etc/hostname", "/home", "/var/log", "/run", "/sys"),
        f"/proc/{os.getpid()}/environ",
    ]
    facts = run(converter, "look", paths).facts
    assert {path: facts[f"p{i}"] for i, path in enumerate(paths)} == dict.fromkeys(paths, "ENOENT")


def test_only_what_a_converter_needs_is_there(converter: SandboxedConverter) -> None:
    names = set(run(converter, "list_root").facts.values())
    needed = {"/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc", "/dev", "/proc", "/var"}
    # The interpreter and its packages may lie elsewhere: then the way to them is there.
    ways = {f"/{Path(path).parts[1]}" for path in (sys.prefix, sys.base_prefix, ROOT)}
    assert names <= needed | ways | {"/scratch"}
    assert run(converter, "see_processes").facts["processes"] == 2  # init and itself


def test_nothing_but_scratch_can_be_written(converter: SandboxedConverter) -> None:
    places = ["/", "/usr", "/etc", "/dev", "/dev/shm", "/lib", str(Path(sys.prefix)), "/var"]
    facts = run(converter, "write_at", places).facts
    assert set(facts.values()) <= {"EROFS", "ENOENT", "EACCES"}
    assert facts["p0"] == facts["p1"] == "EROFS"


def test_a_symbolic_link_leads_nowhere(converter: SandboxedConverter, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    assert run(converter, "link_to", str(tmp_path / "secret")).facts["read"] == "ENOENT"


def test_a_stored_file_cannot_be_changed(converter: SandboxedConverter, tmp_path: Path) -> None:
    stored = tmp_path / "object"
    stored.write_bytes(b"stored")
    stored.chmod(0o400)
    before = stored.stat()
    with stored.open("rb") as source, tempfile.TemporaryFile() as target:
        facts = dict(converter.convert(source, trial("spoil_source"), target).facts)
    assert facts.pop("write_given") == "EBADF"
    assert set(facts.values()) <= {"EACCES", "EPERM"}
    assert stored.read_bytes() == b"stored"
    after = stored.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_there_is_no_network(converter: SandboxedConverter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        facts = run(converter, "connect", server.getsockname()[1]).facts
        with pytest.raises(TimeoutError):
            server.accept()
    assert facts == {"tcp": "EPERM", "udp": "EPERM", "unix": "EPERM", "interfaces": 1}


def test_local_sockets_are_no_network() -> None:
    with_sockets = trial_converter(local_sockets=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = dict(run(with_sockets, "connect", server.getsockname()[1]).facts)
    column = ["x86_64", "aarch64"].index(platform.machine())
    calls = run(with_sockets, "call", {name: row[column] for name, row in CALLS.items()}).facts
    with_sockets.close()
    assert facts.pop("unix") not in ("EPERM", "EACCES")
    assert facts == {"tcp": "EPERM", "udp": "EPERM", "interfaces": 1}
    assert calls == dict.fromkeys(CALLS, "EPERM")


def test_it_has_no_privilege_and_no_environment(converter: SandboxedConverter) -> None:
    os.environ["ENTREPOT_TRIAL_SECRET"] = "for nobody"
    fresh = trial_converter()
    facts = run(fresh, "describe").facts
    fresh.close()
    del os.environ["ENTREPOT_TRIAL_SECRET"]
    for name in ("capeff", "capprm", "capbnd", "capamb"):
        assert int(str(facts[name]), 16) == 0
    assert (facts["nonewprivs"], facts["seccomp"], facts["uid"]) == ("1", "2", 1000)
    assert facts["host"] == "sandbox"
    assert "ENTREPOT" not in str(facts["environment"])
    assert "HOME" in str(facts["environment"])


CLONE_NEWUSER = 0x10000000
# name: number and arguments on x86_64, then on aarch64
CALLS = {
    "socket": ([41, 2, 1, 0], [198, 2, 1, 0]),
    "ptrace": ([101, 0, 0, 0, 0], [117, 0, 0, 0, 0]),
    "mount": ([165, 0, 0, 0, 0, 0], [40, 0, 0, 0, 0, 0]),
    "unshare": ([272, CLONE_NEWUSER], [97, CLONE_NEWUSER]),
    "clone": ([56, CLONE_NEWUSER | 17, 0, 0, 0, 0], [220, CLONE_NEWUSER | 17, 0, 0, 0, 0]),
    "bpf": ([321, 0, 0, 0], [280, 0, 0, 0]),
    "userfaultfd": ([323, 0], [282, 0]),
    "keyctl": ([250, 0, 0, 0, 0, 0], [219, 0, 0, 0, 0, 0]),
    "io_uring_setup": ([425, 1, 0], [425, 1, 0]),
    "memfd_create": ([319, 0, 0], [279, 0, 0]),
    "fchmod": ([91, 0, 0], [52, 0, 0]),
    "shmget": ([29, 0, 4096, 0o1600], [194, 0, 4096, 0o1600]),
    "perf_event_open": ([298, 0, 0, 0, 0, 0], [241, 0, 0, 0, 0, 0]),
}


def test_system_calls_without_business_there_are_refused(converter: SandboxedConverter) -> None:
    column = ["x86_64", "aarch64"].index(platform.machine())
    facts = run(converter, "call", {name: row[column] for name, row in CALLS.items()}).facts
    assert facts == dict.fromkeys(CALLS, "EPERM")


# --- where it cannot be had --------------------------------------------------------------------


def test_it_is_available_here() -> None:
    assert sandbox_available() == (True, "")


WITHOUT_PRIVILEGE = """
import ctypes, os, sys
for capability in set(range(64)) - {31}:  # CAP_SETFCAP: root maps itself only with it
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
check = "from entrepot.core.conversions.sandbox import sandbox_available as a; print(a())"
os.execv(sys.executable, [sys.executable, "-c", check])
"""


def test_it_needs_no_privilege() -> None:
    """What root may do is dropped for good before the program starts that uses the sandbox."""
    command = [sys.executable, "-c", WITHOUT_PRIVILEGE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(True, '')"


def test_without_namespaces_conversions_are_off_and_say_why(tmp_path: Path) -> None:
    denied = tmp_path / "bwrap"
    denied.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    denied.chmod(0o755)
    reason = "bwrap: No permissions to create new namespace"
    assert sandbox_available(str(denied)) == (False, reason)
    missing = str(tmp_path / "absent")
    assert sandbox_available(missing)[0] is False
    assert "\n" not in sandbox_available(missing)[1]
    converter = trial_converter(bwrap=str(denied))
    with pytest.raises(Unavailable) as off:
        run(converter, "copy")
    assert off.value.code == "conversions-off"
    assert reason in off.value.message
    assert off.value.remedy
    converter.close()
