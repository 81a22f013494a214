"""`entrepot select` and `entrepot order` at a real hub, with real conversions."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from entrepot.client.errors import ExitCode
from tests.client.terminal import run_on_terminal
from tests.system.hubs import ENTREPOT, Customer, Hub, Ran, customer
from tests.system.media_orders import add_assets

ADA = "ada@halden.example"
# Long enough to be cancelled on any machine.
SLOW = "video.codec=av1,video.crf=15,resize.height=1440,resize.upscale=true,fileExtension=webm"


@pytest.fixture
def ada(media_hub: Hub, tmp_path: Path) -> Customer:
    who = customer(media_hub, tmp_path / "home", ENTREPOT)
    token = media_hub.user(ADA)["token"]
    return replace(who, environment={**who.environment, "ENTREPOT_TOKEN": token})


def asset(hub: Hub, identifier: str) -> int:
    return next(int(one["id"]) for one in hub.world["assets"] if one["identifier"] == identifier)


def lines(ran: Ran) -> list[tuple[str, Any]]:
    """(kind, object) of each line of --json."""
    return [next(iter(json.loads(line).items())) for line in ran.out.splitlines()]


def test_a_selection_becomes_a_package(ada: Customer) -> None:
    """Selected, converted, watched, downloaded, checked; then the same at once, in parts."""
    dunes, brochure = asset(ada.hub, "sample-dunes"), asset(ada.hub, "sample-brochure")
    said = ada.run("select", "add", "sample-dunes", "-", stdin=f"{brochure}\n")
    assert "2 assets selected in default" in said.err
    assert ada.run("select", "list", "-f", "json").objects() == [dunes, brochure]
    wishes = (
        *("--preset", "Images:web", "--rendition", "Images:Original"),
        *(
            "--convert",
            "Images:resize.width=80,resize.height=60,resize.fit=cover,fileExtension=png",
        ),
        *("--name", "Kit", "--zip-name", "kit.zip", "--resolver", "by-group"),
    )
    ran = ada.run(
        "order", "create", "--selection", "default", *wishes, "--json", "--download", "got"
    )
    assert ran.code == 0, ran
    told = lines(ran)
    assert (told[0][0], told[-1][0]) == ("order", "file")
    events = [value for kind, value in told if kind == "event"]
    assert (events[-1]["status"], events[-1]["files_completed"]) == ("Completed", 4)
    assert events[-1]["generation"] == 1, "by the stream"
    path = Path(told[-1][1]["path"])
    assert (path, told[-1][1]["verified"]) == (ada.home / "got" / "kit.zip", "sha256")
    with zipfile.ZipFile(path) as opened:
        names = {name.rpartition("_")[2] for name in opened.namelist() if "/" in name}
        assert names == {
            "downloadOriginal.jpg",
            "web.webp",
            "conversion.png",
            "downloadOriginal.pdf",
        }
        png = next(name for name in opened.namelist() if name.endswith(".png"))
        assert Image.open(io.BytesIO(opened.read(png))).size == (80, 60)
    number = str(told[0][1]["order_id"])
    again = ada.run("order", "download", number, "-d", "got")
    assert (again.code, "already complete" in again.err) == (0, True), again
    assert ada.run("order", "retry", number).code == ExitCode.DENIED
    shown = ada.run("order", "show", number, "-f", "json").objects()
    assert (shown["name"], shown["status"], shown["target_count"]) == ("Kit", "Completed", 2)
    assert number in {
        str(one["order_id"]) for one in ada.run("order", "list", "-f", "json").objects()
    }
    refused = ada.run("order", "cancel", number)
    assert refused.code == 2
    assert "add --yes" in refused.err
    assert ada.run("order", "cancel", number, "--yes").code == 0
    assert ada.run("order", "download", number).code == ExitCode.ORDER_ENDED
    assert ada.run("select", "clear").code == 0


def test_a_file_that_cannot_be_made_is_told_of(ada: Customer, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    picture = io.BytesIO()
    Image.effect_noise((400, 400), 80).save(picture, "JPEG")
    torn.write_bytes(picture.getvalue()[: len(picture.getvalue()) // 2])
    number = str(add_assets(ada.hub, [torn])[torn.name])
    said = ada.run("order", "create", number, "sample-bay", "--convert", "rotate=90", "--watch")
    assert said.code == ExitCode.INCOMPLETE, said
    order_id = said.out.strip()
    assert f"asset {number}" in said.err
    assert "[media-damaged]" in said.err
    assert "entrepot order retry" not in said.err  # it would be as damaged the next time
    again = ada.run("order", "retry", order_id, "--watch")
    assert again.code == ExitCode.INCOMPLETE, again
    fetched = ada.run("order", "download", order_id, "-d", "got")
    assert fetched.code == ExitCode.INCOMPLETE, fetched
    assert "what to do: Replace the file by an undamaged one" in fetched.err
    with zipfile.ZipFile(fetched.out.strip()) as opened:
        assert "report.txt" in opened.namelist()
    refused = ada.run("order", "create", "sample-chime", "--convert", "width=10,fileExtension=mp3")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert "order.individual.sample-chime.conversions[0]" in refused.err
    listed = ada.run("select", "assets", "--group", "Audio", "-f", "json")
    assert [one["identifier"] for one in listed.objects()] == ["sample-chime"]
    for words in (("order", "create"), ("select", "add")):
        missing = ada.run(*words, "no-such-asset", "999999")
        assert missing.code == ExitCode.NOT_FOUND
        assert "'no-such-asset'" in missing.err
        assert "entrepot select assets" in missing.err
    assert ada.run("order", "show", "1").code == ExitCode.NOT_FOUND


def test_ctrl_c_stops_the_watching_and_cancel_the_order(ada: Customer) -> None:
    # Several, so that not all are done before it is cancelled, however busy the machine is.
    slow = [f"{SLOW},fps={rate}" for rate in (12, 16, 20, 24, 28)]
    wishes = [word for each in slow for word in ("--convert", each)]
    said = ada.run("order", "create", "sample-film", *wishes)
    assert said.code == 0, said
    order_id = said.out.strip()
    code, shown = run_on_terminal(
        ["order", "watch", order_id],
        [],
        env=ada.environment,
        cwd=ada.home,
        interrupt_at="0 of 5 files",
    )
    assert code == ExitCode.INTERRUPTED, shown
    assert f"entrepot order watch {order_id}" in shown
    running = ada.run("order", "download", order_id)
    assert running.code == ExitCode.DENIED, running
    assert "Cancelled" in ada.run("order", "cancel", order_id).err
    assert ada.run("order", "watch", order_id).code == ExitCode.ORDER_ENDED
    [(_, retried)] = lines(ada.run("order", "retry", order_id, "--json"))
    assert retried["status"] in ("Pending", "InProgress")
    assert ada.run("order", "cancel", order_id, "--yes").code == 0
