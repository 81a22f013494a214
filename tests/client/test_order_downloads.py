"""The ZIP of an order: fetched, gone on with after a stop, checked by its manifest."""

import fcntl
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.client import Backoff, Client, Corrupt, LocalFileError, Times, Unreachable, Watcher
from entrepot.client.order_zips import OrderZipCheck, read_papers, verify_folder
from entrepot.client.stop import Stop
from tests.client.orders_hub import FILES, TOKEN, OrdersHub, packed, running_orders_hub

PART, STATE = ".kit.zip.order-7.part", ".kit.zip.order-7.state"


@pytest.fixture
def orders_hub() -> Iterator[OrdersHub]:
    with running_orders_hub() as hub:
        hub.status, hub.archive = "Completed", packed(FILES)
        yield hub


@pytest.fixture
def client(orders_hub: OrdersHub) -> Iterator[Client]:
    """One that gives up at the first cut, as if it were killed there."""
    times = Times(connect_seconds=5, stall_seconds=5, call_seconds=10)
    once = Backoff(attempts=1)
    with Client(orders_hub.url, TOKEN, times=times, transfer_backoff=once) as client:
        yield client


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fetch_in_part(client: Client, hub: OrdersHub, folder: Path, at: int = 150_000) -> None:
    hub.cut_at = [at]
    with pytest.raises(Unreachable):
        client.orders.download(7, folder)
    assert names(folder) == [PART, STATE]
    hub.seen.clear()


def ranges(hub: OrdersHub) -> list[str | None]:
    return [seen.headers.get("range") for seen in hub.asked("GET", "/kit.zip")]


def test_a_package_is_checked_put_in_place_and_not_fetched_again(
    client: Client, orders_hub: OrdersHub, tmp_path: Path
) -> None:
    done = client.orders.download(7, tmp_path / "got")
    assert (done.path.name, done.verified, done.skipped) == ("kit.zip", "sha256", False)
    assert done.path.read_bytes() == orders_hub.archive
    assert names(tmp_path / "got") == ["kit.zip"]
    assert client.orders.download(7, tmp_path / "got").skipped
    assert len(ranges(orders_hub)) == 1
    assert all("authorization" not in one.headers for one in orders_hub.asked("GET", "/kit.zip"))
    named = client.orders.download(7, tmp_path, name="../mine.zip", verify=False)
    assert (named.path.parent, named.verified) == (tmp_path, "size")


def test_a_later_run_goes_on_where_the_first_was_cut(
    client: Client, orders_hub: OrdersHub, tmp_path: Path
) -> None:
    fetch_in_part(client, orders_hub, tmp_path)
    done = client.orders.download(7, tmp_path)
    assert ranges(orders_hub) == ["bytes=150000-"]
    assert done.path.read_bytes() == orders_hub.archive
    assert names(tmp_path) == ["kit.zip"]


def test_a_package_that_is_another_by_now_is_fetched_from_the_start(
    client: Client, orders_hub: OrdersHub, tmp_path: Path
) -> None:
    fetch_in_part(client, orders_hub, tmp_path)
    orders_hub.archive = packed({**FILES, "Images/c.jpg": b"retried"})
    done = client.orders.download(7, tmp_path)
    assert ranges(orders_hub) == ["bytes=150000-"]
    assert done.path.read_bytes() == orders_hub.archive


def test_stopped_before_the_rename_one_byte_is_asked_for(
    client: Client, orders_hub: OrdersHub, tmp_path: Path
) -> None:
    whole = len(orders_hub.archive)
    fetch_in_part(client, orders_hub, tmp_path)
    (tmp_path / PART).write_bytes(orders_hub.archive)
    state = json.loads((tmp_path / STATE).read_text())
    (tmp_path / STATE).write_text(json.dumps(state | {"held": [[0, whole]]}))
    assert client.orders.download(7, tmp_path).path.read_bytes() == orders_hub.archive
    assert ranges(orders_hub) == [f"bytes={whole - 1}-"]


RIGHT = {"version": 1, "content": "", "etag": '"a"', "boot": "", "held": [[0, 9]], "flushed": []}
WRONG_STATES: dict[str, object] = {
    "of another version": RIGHT | {"version": 0},
    "no object": [],
    "no ETag": RIGHT | {"etag": 7},
    "weak ETag": RIGHT | {"etag": 'W/"a"'},
    "of other content": RIGHT | {"content": "sha256:00"},
    "of another boot": RIGHT | {"boot": "earlier"},
    "spans that are none": RIGHT | {"held": [[9, 0]]},
    "spans of words": RIGHT | {"held": [["", 9]]},
}


@pytest.mark.parametrize("told", [*WRONG_STATES, "empty", "missing"])
def test_a_part_that_nobody_knows_is_not_gone_on_with(
    client: Client, orders_hub: OrdersHub, tmp_path: Path, told: str
) -> None:
    (tmp_path / PART).write_bytes(b"of something else")
    state = WRONG_STATES.get(told)
    if isinstance(state, dict):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state = state | {"boot": state["boot"] or boot}
    if told != "missing":
        (tmp_path / STATE).write_text("" if told == "empty" else json.dumps(state))
    assert client.orders.download(7, tmp_path).path.read_bytes() == orders_hub.archive
    assert ranges(orders_hub) == [None]
    assert names(tmp_path) == ["kit.zip"]


def test_a_damaged_part_is_found_out_and_the_package_fetched_anew(
    client: Client, orders_hub: OrdersHub, tmp_path: Path
) -> None:
    fetch_in_part(client, orders_hub, tmp_path)
    (tmp_path / PART).write_bytes(b"\0" * 150_000)
    assert client.orders.download(7, tmp_path).path.read_bytes() == orders_hub.archive
    assert ranges(orders_hub) == ["bytes=150000-", None]


def test_without_a_strong_etag_no_part_is_kept(
    client: Client, orders_hub: OrdersHub, tmp_path: Path
) -> None:
    orders_hub.weak, orders_hub.cut_at = True, [150_000]
    with pytest.raises(Unreachable):
        client.orders.download(7, tmp_path)
    assert names(tmp_path) == []


def test_two_commands_do_not_write_one_part(
    client: Client, orders_hub: OrdersHub, tmp_path: Path
) -> None:
    fetch_in_part(client, orders_hub, tmp_path)
    with (tmp_path / PART).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LocalFileError, match="another command"):
            client.orders.download(7, tmp_path)
    assert names(tmp_path) == [PART, STATE]


class Impatient(Watcher):
    """Somebody who presses Ctrl-C once something has arrived."""

    def at(self, name: str, done: int) -> None:
        if done:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_the_part(client: Client, orders_hub: OrdersHub, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        client.orders.download(7, tmp_path, watcher=Impatient())
    kept = (tmp_path / PART).read_bytes()
    assert kept == orders_hub.archive[: len(kept)]
    assert client.orders.download(7, tmp_path).path.read_bytes() == orders_hub.archive
    assert ranges(orders_hub) == [None, f"bytes={min(len(kept), len(orders_hub.archive) - 1)}-"]


WRONG: dict[str, Any] = {
    "a file is missing": packed({"Images/a.jpg": b"x"}, listed=FILES),
    "a file too many": packed({**FILES, "extra": b""}, listed=FILES),
    "other bytes": packed({**FILES, "Images/a.jpg": b"b" * 70_000}, listed=FILES),
    "another size": packed({**FILES, "Images/a.jpg": b"a"}, listed=FILES),
    "another order": packed(FILES, order_id=8),
    "cut": packed(FILES)[:-1],
    "no ZIP": b"<html>",
    "empty": b"",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_the_order_is_never_put_in_place(
    client: Client, orders_hub: OrdersHub, tmp_path: Path, wrong: str
) -> None:
    orders_hub.archive = WRONG[wrong]
    with pytest.raises(Corrupt):
        client.orders.download(7, tmp_path)
    assert names(tmp_path) == []
    assert ranges(orders_hub) == [None, None], "it is tried once more from the start"


def test_a_flipped_bit_anywhere_is_found(tmp_path: Path) -> None:
    whole, path = packed(FILES, report="torn"), tmp_path / "it.zip"
    check = OrderZipCheck(7, Stop())
    path.write_bytes(whole)
    check(path)
    for at in range(200, len(whole) - 1200, 9973):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Corrupt):
            check(path)
    with pytest.raises(LocalFileError):
        check(tmp_path)


def test_papers_are_read_and_what_was_unpacked_is_checked(tmp_path: Path) -> None:
    missing = [{"asset_id": 1, "reason": "Torn."}]
    path, folder = tmp_path / "it.zip", tmp_path / "unpacked"
    path.write_bytes(packed(FILES, missing=missing, report="Order 7\r\n\r\nwhy: Torn."))
    papers = read_papers(path)
    assert (papers.order_id, len(papers.files), papers.missing) == (7, 2, missing)
    assert papers.report == "Order 7\n\nwhy: Torn."
    with zipfile.ZipFile(path) as opened:
        opened.extractall(folder)
    assert verify_folder(folder).missing == missing
    (folder / "Images/a.jpg").write_bytes(b"other")
    with pytest.raises(Corrupt, match=r"Images/a\.jpg"):
        verify_folder(folder)
    (folder / "Images/a.jpg").unlink()
    with pytest.raises(Corrupt, match="not there"):
        verify_folder(folder)
    (folder / "manifest.json").write_text('{"order_id": 7, "files": [{"name": "../it.zip"}]}')
    with pytest.raises(Corrupt):
        verify_folder(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(LocalFileError):
        verify_folder(folder)
