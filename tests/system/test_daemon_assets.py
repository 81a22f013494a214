"""`entrepotd assets` and `sweep`, in this process, on a hub in a folder of its own."""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from entrepot.daemon.desk import Desk
from tests.system.hubs import ENTREPOTD, clean_environment
from tests.system.test_daemon_commands import (  # noqa: F401 - fixtures
    Run,
    bare,
    data,
    entrepotd,
    made_once,
)
from tests.system.test_publish_kill import kill_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with pictures, texts, and what is to be left out."""
    root = tmp_path / "media"
    (root / "inner" / "deep").mkdir(parents=True)
    Image.effect_noise((60, 40), 80).save(root / "noise.jpg")
    Image.new("RGB", (8, 6), "navy").save(root / "inner" / "blue.png")
    (root / "inner" / "deep" / "table.csv").write_text("a,b\n1,2\n")
    (root / ".hidden").write_text("hidden")
    (root / "link.jpg").symlink_to(root / "noise.jpg")
    return root


def test_a_folder_is_added_with_what_lies_below(entrepotd: Run, folder: Path) -> None:  # noqa: F811
    ended = entrepotd("assets", "add", folder, "--public", "--folder", "spring", "--no-facts")
    assert ended.code == 9
    assert "hidden" in ended.err
    assert "a link" in ended.err
    assert "3 added, 0 there already, 2 left out." in ended.err
    listed = entrepotd("assets", "list", "--json").json()
    assert {(row["folder"], row["file_name"], row["media_group"]) for row in listed} == {
        ("spring", "noise.jpg", "Images"),
        ("spring/inner", "blue.png", "Images"),
        ("spring/inner/deep", "table.csv", "Documents"),
    }
    assert all(row["visibility"] == "public" and row["product_code"] is None for row in listed)
    again = entrepotd("assets", "add", folder, "--public", "--folder", "spring", "--no-facts")
    assert "0 added, 3 there already, 2 left out." in again.err
    below = entrepotd("assets", "list", "--folder", "spring/inner", "--json").json()
    assert len(below) == 2
    assert len(entrepotd("assets", "list", "--group", "documents", "--json").json()) == 1
    assert "of 3 shown" in entrepotd("assets", "list", "--take", "2").err


def test_pictures_are_measured(entrepotd: Run, folder: Path) -> None:  # noqa: F811
    ended = entrepotd("assets", "add", folder / "noise.jpg", "--public", "--json")
    if "not measured" in ended.err:  # no sandbox here: then that is said, and the file is added
        return
    [added] = ended.json()["assets"]
    shown = entrepotd("assets", "show", added["id"], "--json").json()
    assert (shown["facts"]["width"], shown["facts"]["height"]) == (60, 40)


def test_one_asset_from_its_adding_to_its_end(
    entrepotd: Run,  # noqa: F811
    folder: Path,
    data: Path,  # noqa: F811
) -> None:
    entrepotd("product", "add", "P1")
    path = folder / "noise.jpg"
    described = ("--product", "P1", "--title", "Rauschen", "--culture", "de", "--identifier", "n1")
    ended = entrepotd("asset", "add", path, *described, "--no-facts", "--json")
    [added] = ended.json()["assets"]
    assert added["outcome"] == "added"
    shown = entrepotd("assets", "show", "n1", "--json").json()
    assert shown["id"] == added["id"]
    ended = entrepotd("asset", "add", path, *described, "--no-facts", "--json")
    assert ended.json()["assets"][0]["outcome"] == "there"
    other = folder / "inner" / "blue.png"
    assert entrepotd("assets", "add", other, *described, "--no-facts").code == 6
    assert (shown["title"], shown["product_code"]) == ({"de": "Rauschen"}, "P1")
    assert entrepotd("assets", "change", "n1", "--title", "Noise").code == 0
    assert entrepotd("assets", "change", "n1", "--public", "--folder", "x/y").code == 0
    assert entrepotd("assets", "change", "n1", "--title", "", "--culture", "de").code == 0
    shown = entrepotd("assets", "show", added["id"], "--json").json()
    assert shown["title"] == {"en-US": "Noise"}
    assert (shown["visibility"], shown["folder"]) == ("public", "x/y")
    assert entrepotd("assets", "delete", "n1").code == 0
    assert entrepotd("assets", "show", "n1").code == 3
    assert entrepotd("assets", "list", "--json").json() == []
    swept = entrepotd("sweep", "--older-than", "0", "--json").json()
    # Its bytes stay for another hour: an order may be freezing it at this moment.
    assert swept == {"assets": 1, "files": 0, "bytes": 0, "temporary_files": 0}
    assert entrepotd("assets", "add", path, "--public", "--no-facts").code == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 5),
        (("--public", "--product", "P1"), 5),
        (("--product", "NONE"), 5),
        (("--public", "--identifier", "12"), 5),
        (("--public", "--folder", "a/../b"), 5),
        (("--public", "--unknown"), 2),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_stored(
    entrepotd: Run,  # noqa: F811
    folder: Path,
    data: Path,  # noqa: F811
    options: tuple[str, ...],
    code: int,
) -> None:
    ended = entrepotd("assets", "add", folder / "noise.jpg", *options, "--no-facts")
    assert ended.code == code
    assert ended.err.strip()
    assert not [each for each in (data / "blobs" / "objects").rglob("*") if each.is_file()]


def test_what_is_done_by_halves_or_not_at_all_is_said(
    entrepotd: Run,  # noqa: F811
    folder: Path,
) -> None:
    empty = folder / "empty.txt"
    empty.touch()
    added = entrepotd("assets", "add", empty, "--public", "--identifier", "e1", "--no-facts")
    assert f"Empty: {empty}" in added.err
    there = entrepotd("assets", "add", empty, "--public", "--no-facts")
    assert "`entrepotd assets change`" in there.err
    assert "Empty" not in there.err
    twice = entrepotd("assets", "add", empty, "--public", "--product", "P1")
    assert "said twice" in twice.err
    unknown = entrepotd("assets", "add", empty, "--product", "NOPE")
    assert "There is no product 'NOPE'. `entrepotd product list`" in unknown.err
    assert "`entrepotd assets list`" in entrepotd("assets", "show", "99").err
    assert "--title, --folder" in entrepotd("assets", "change", "e1").err
    deleted = entrepotd("assets", "delete", "e1", "20999")
    assert (deleted.code, "Nothing was deleted." in deleted.err) == (3, True)
    shown = entrepotd("assets", "show", "e1").out
    assert "\ntitle en-US   empty\n" in shown
    assert "There is no such asset." in entrepotd("assets", "list", "--folder", "nosuch").err


def test_a_title_is_for_one_file(entrepotd: Run, folder: Path) -> None:  # noqa: F811
    assert entrepotd("assets", "add", folder, "--public", "--title", "x").code == 5
    assert entrepotd("assets", "add", folder / "none", "--public").code == 9


def test_what_is_no_plain_file_is_left_out(entrepotd: Run, folder: Path) -> None:  # noqa: F811
    os.mkfifo(folder / "pipe.jpg")
    ended = entrepotd("assets", "add", folder, "--public", "--no-facts")
    assert ended.code == 9
    assert "pipe.jpg: no plain file" in ended.err
    assert "3 added" in ended.err


def test_a_sweep_takes_what_a_killed_publisher_left_and_nothing_else(
    entrepotd: Run,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    environment = clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB"}
    entrepotd("product", "add", "P1")
    files = []
    for number in range(3):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(random.randbytes(12 << 20))
        files.append(path)
    assert entrepotd("publish", "P1", "1.0", files[0]).code == 0
    command = [*ENTREPOTD, "publish", "P1", "2.0", *map(str, files), "--data", str(data)]
    # Killed with a file stored, or half stored, and no row yet.
    assert kill_at(command, data, environment, delay=0.05)
    young = entrepotd("sweep", "--json").json()
    assert young == {"assets": 0, "files": 0, "bytes": 0, "temporary_files": 0}
    left = stored(data)
    counted = entrepotd("sweep", "--older-than", "0", "--dry-run", "--json").json()
    assert stored(data) == left
    assert entrepotd("sweep", "--older-than", "0", "--json").json() == counted
    assert counted["files"] + counted["temporary_files"] == len(left) - 1
    assert len(stored(data)) == 1
    with Desk({"data": str(data)}).hub() as hub:
        [kept] = hub.blobs.listing()
        assert hub.blobs.verify(kept)
    assert entrepotd("publish", "P1", "2.0", *files).code == 0


def stored(data: Path) -> set[Path]:  # noqa: F811
    return {path for path in (data / "blobs").rglob("*") if path.is_file()}


def test_an_interrupted_adding_is_simply_repeated(
    entrepotd: Run,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(230):
        (folder / f"{number:03d}.txt").write_text(f"text {number}")
    options = ["--public", "--no-facts", "--data", str(data)]
    command = [*ENTREPOTD, "assets", "add", str(folder), *options]
    environment = clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "200 of 230" in process.stderr.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    ended = entrepotd("assets", "add", folder, "--public", "--no-facts")
    assert ended.code == 0
    assert "there already" in ended.err
    assert len(entrepotd("assets", "list", "--json").json()) == 230
    assert entrepotd("sweep", "--older-than", "0", "--json").json()["files"] == 0
