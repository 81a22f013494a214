"""The commands `order` and `select`: what is typed, what is printed, how they end."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from entrepot.cli.order_display import failures_text, report_text
from entrepot.cli.wishes import collect, parse_pipeline, read_json, request_of, split_group
from tests.client.conftest import Ran, clean_environment
from tests.client.orders_hub import (
    FILES,
    TOKEN,
    OrdersHub,
    event,
    packed,
    running_orders_hub,
)
from tests.client.terminal import run_on_terminal

Order = Callable[..., Ran]
RESIZE = {"type": "resize", "value": {"width": 800, "fit": "cover"}}
JPEG = {"type": "fileExtension", "value": "jpg"}


@pytest.fixture
def orders_hub() -> Iterator[OrdersHub]:
    with running_orders_hub() as hub:
        yield hub


@pytest.fixture
def order(run: Callable[..., Ran], orders_hub: OrdersHub) -> Order:
    """The command, at the hub of these tests."""

    def run_there(*arguments: str, stdin: str = "", **env: str) -> Ran:
        there = {"ENTREPOT_URL": orders_hub.url, "ENTREPOT_TOKEN": TOKEN, **env}
        return run(*arguments, stdin=stdin, env=there)

    return run_there


@pytest.mark.parametrize(
    ("typed", "steps"),
    [
        ("fileExtension=jpg", [JPEG]),
        ("resize.width=800, resize.fit=cover,fileExtension=jpg", [RESIZE, JPEG]),
        ('resize={"width": 800, "fit": "cover"},fileExtension=jpg', [RESIZE, JPEG]),
        (
            "ratio=16:9,dpi=72.5",
            [{"type": "ratio", "value": "16:9"}, {"type": "dpi", "value": 72.5}],
        ),
        ("rotate=-90", [{"type": "rotate", "value": -90}]),
        ("resize.upscale=true", [{"type": "resize", "value": {"upscale": True}}]),
        ("blur.a=1,blur.a=2", [{"type": "blur", "value": {"a": n}} for n in (1, 2)]),
        ("watermark.text=a=b", [{"type": "watermark", "value": {"text": "a=b"}}]),
    ],
)
def test_pipelines_as_they_are_typed(typed: str, steps: list[dict[str, Any]]) -> None:
    assert parse_pipeline(typed) == steps


@pytest.mark.parametrize("typed", ["", "jpg", "=jpg", "a=", "a b=c", "a=1,,b=2", "a={", 'a={"b"}'])
def test_what_is_no_pipeline_is_refused(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_pipeline(typed)


def test_a_group_before_a_name_is_told_from_a_name() -> None:
    assert split_group("images:web") == ("Images", "web")
    assert split_group("M.AssetMedia.Videos:small") == ("Videos", "small")
    assert split_group("ratio=16:9") == (None, "ratio=16:9")
    assert split_group("kept:12") == (None, "kept:12")
    file = io.StringIO(json.dumps({"Audio": [[{"type": "fileExtension", "value": "mp3"}]]}))
    every, groups = collect(["Original", "images:preview"], ["Images:web"], ["dpi=72"], file)
    assert every.configuration() == {
        "renditions": ["Original"],
        "conversions": [[{"type": "dpi", "value": 72}]],
    }
    assert groups["Images"].configuration() == {"renditions": ["preview"], "presets": ["web"]}
    assert groups.keys() == {"Images", "Audio"}


@pytest.mark.parametrize(
    ("presets", "pipelines"), [(["Bilder:web"], []), ([], ["Bilder:resize.width=8"])]
)
def test_a_group_that_is_none_is_told_with_those_that_are(
    presets: list[str], pipelines: list[str]
) -> None:
    with pytest.raises(click.BadParameter, match=r"'Bilder'; there are Images, .*Default"):
        collect([], presets, pipelines, None)
    with pytest.raises(click.BadParameter, match="type=value"):
        collect([], [], ["ratio:16"], None)


@pytest.mark.parametrize("told", ["[", "[1]", '{"Pictures": []}', '{"Images": [{}]}', "7"])
def test_files_that_are_no_conversions_are_refused(told: str) -> None:
    file = io.StringIO(told)
    file.name = "it.json"
    with pytest.raises(click.BadParameter):
        collect([], [], [], file)


def test_a_configuration_is_a_request_or_its_order() -> None:
    whole = {"name": "Kit", "order": {"individual": {"1": {}}}}
    assert request_of(whole) == whole
    assert request_of(whole["order"]) == {"order": whole["order"]}
    several: list[Any] = [[], {}, {"order": 1}, {"name": "Kit"}]
    for wrong in several:
        with pytest.raises(click.BadParameter):
            request_of(wrong)
    with pytest.raises(click.BadParameter, match="too large"):
        read_json(io.StringIO(" " * (9 << 20)), "--config")


def test_long_reports_are_shown_in_part() -> None:
    assert report_text("a\nb\n") == "a\nb"
    assert report_text("a\n" * 500).endswith("and more: see report.txt in the ZIP")
    many = failures_text([{"asset_id": n, "identifier": "x", "rendition": "r"} for n in range(30)])
    assert many.count("why:") == 20


def test_selecting(order: Order) -> None:
    added = order("select", "add", "dunes", "-", "--pool", "kit", stdin="5 6\n7\n")
    assert (added.code, added.out) == (0, "")
    assert "4 assets selected in kit" in added.err
    assert order("select", "remove", "6", "--pool", "kit").code == 0
    assert json.loads(order("select", "list", "--pool", "kit", "-f", "json").out) == [1, 5, 7]
    assert "│ 5  │" in order("select", "list", "--pool", "kit", "-o", "2", "-l", "1").out
    assert order("select", "clear", "--pool", "kit").code == 0
    assert order("select", "add").code == 2


def test_a_list_without_anything_is_no_error_whatever_its_form(
    order: Order, orders_hub: OrdersHub
) -> None:
    """The rule of all lists that edmgr does not have: nothing there is an answer too."""
    orders_hub.orders, orders_hub.assets = 0, {}
    for words in (("select", "list"), ("select", "assets"), ("order", "list")):
        for form in ("table", "json", "jsonpp"):
            ran = order(*words, "-f", form)
            assert (ran.code, ran.out) == (0, "" if form == "table" else "[]\n"), words
            assert ran.err.count("\n") == 1
        assert order(*words, "-o", "3").code == 0


def test_assets_are_listed_to_select_from(order: Order, orders_hub: OrdersHub) -> None:
    table = order("select", "assets").out
    assert ("dunes" in table, "film" in table) == (True, True)
    videos = json.loads(order("select", "assets", "--group", "videos", "-f", "json").out)
    assert [one["identifier"] for one in videos] == ["film"]
    second = json.loads(order("select", "assets", "-o", "2", "-l", "1", "-f", "json").out)
    assert [one["id"] for one in second] == [2]
    assert order("select", "assets", "-l", "101").code == 2


def test_what_is_not_there_is_named_with_the_list_to_look_at(
    order: Order, orders_hub: OrdersHub
) -> None:
    """However it is found out: here, by the hub's 404, or by a 400 of the order."""
    unknown = {
        "order.individual.nope": "There is no asset 'nope', or it is not yours.",
        "order.individual.9": "There is no asset '9', or it is not yours.",
    }
    header = {"X-Error-Code": "assets-unknown"}
    for words, faults in (
        (("select", "add", "dunes", "nope", "nay"), []),
        (("select", "add", "9"), [(400, header, {"[0].value": "There is no asset '9'."})]),
        (("order", "create", "nope", "9"), [(400, header, unknown)]),
        (("order", "create", "nope", "--preset", "Images:web"), []),
    ):
        orders_hub.faults = list(faults)
        ran = order(*words)
        assert (ran.code, ran.out) == (3, ""), words
        assert "`entrepot select assets`" in ran.err
        assert "order.individual" not in ran.err
        for named in set(words[2:4]) - {"dunes", "--preset"}:
            assert f"'{named}'" in ran.err, ran.err
    for verb in ("show", "watch", "cancel", "retry", "download"):
        orders_hub.faults = [(404, {}, {"Message": "No such object. See /api."})] * 2
        ran = order("order", verb, "999")
        assert (ran.code, ran.out) == (3, ""), ran.err
        assert "There is no order 999, or it is not yours." in ran.err
        assert "`entrepot order list`" in ran.err
        assert "/api" not in ran.err


def test_an_order_is_placed_watched_and_downloaded(
    order: Order, orders_hub: OrdersHub, home: Path
) -> None:
    orders_hub.archive = packed(FILES)
    orders_hub.streams = [[event(2, "InProgress", 2, at=2), event(3, "Completed", 4, at=3)]]
    orders_hub.looks = [{}, {"status": "Completed", "done": 4}]
    ran = order("order", "create", "dunes", "--preset", "images:web", "--download", "got")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == ["7", str(home / "got" / "kit.zip")]
    for words in ("Pending, 0 of 4 files", "InProgress, 2 of 4", "Completed, 4 of 4", "sha256"):
        assert words in ran.err
    [seen] = orders_hub.asked("POST", "/downloadorders")
    assert json.loads(seen.body)["order"]["individual"] == {"dunes": {"presets": ["web"]}}


def test_json_lines_tell_all(order: Order, orders_hub: OrdersHub, home: Path) -> None:
    orders_hub.archive, orders_hub.status = packed(FILES), "Completed"
    config = home / "order.json"
    config.write_text(json.dumps({"individual": {"1": {"presets": ["web"]}}}))
    ran = order(
        *("order", "create", "2", "--config", str(config), "--name", "Kit", "--custom"),
        *("--json", "--download", "got"),
    )
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [next(iter(line)) for line in lines] == ["order", "event", "file"]
    assert (lines[1]["event"]["kind"], lines[2]["file"]["verified"]) == ("completed", "sha256")
    [seen] = orders_hub.asked("POST", "/downloadorders")
    assert json.loads(seen.body) == {
        "order": {"individual": {"1": {"presets": ["web"]}, "2": {}}},
        "name": "Kit",
        "download_order_type": "Custom",
    }
    both = order("order", "create", "--config", str(config), "--preset", "web")
    assert (both.code, both.out) == (2, "")


def test_what_lacks_files_and_what_has_ended_have_codes_of_their_own(
    order: Order, orders_hub: OrdersHub, home: Path
) -> None:
    orders_hub.status = "CompletedWithErrors"
    orders_hub.archive = packed(FILES, missing=[{"asset_id": 1}], report="Order 7\r\nwhy: Torn.")
    watched = order("order", "watch", "7")
    assert watched.code == 10
    assert "why: Torn. [x]" in watched.err
    fetched = order("order", "download", "7", "-d", "got")
    assert (fetched.code, fetched.out.strip()) == (10, str(home / "got" / "kit.zip"))
    assert "Order 7\nwhy: Torn." in fetched.err
    # A retry is told of only where it can help.
    for ran in (watched, fetched):
        assert "entrepot order retry 7" in ran.err
    orders_hub.failure = "media-damaged"
    missing = [{"asset_id": 1, "code": "media-damaged"}]
    orders_hub.archive = packed(FILES, missing=missing, report="why: Torn.")
    for words in (("watch", "7"), ("download", "7", "-d", "again")):
        damaged = order("order", *words)
        assert damaged.code == 10
        assert "order retry" not in damaged.err
        assert "would fail again" in damaged.err
    assert "what to do: Mend it." in order("order", "watch", "7").err
    for status in ("Failed", "Cancelled", "Expired"):
        orders_hub.status = status
        assert order("order", "watch", "7").code == 11
    assert order("order", "download", "7").code == 11
    orders_hub.status = "Pending"
    waiting = order("order", "download", "7")
    assert (waiting.code, "entrepot order watch 7" in waiting.err) == (4, True)


def test_orders_are_listed_and_shown(order: Order, orders_hub: OrdersHub) -> None:
    orders_hub.status = "Completed"
    table = order("order", "list").out
    assert ("Kit \\x1b[31m" in table, "0/4" in table) == (True, True)
    assert [one["order_id"] for one in json.loads(order("order", "list", "-f", "json").out)] == [1]
    assert "/dl/x/kit.zip" in order("order", "show", "7").out
    assert json.loads(order("order", "show", "7", "-f", "jsonpp").out) == orders_hub.order()
    kept = order("order", "cancel", "7")
    assert (kept.code, "add --yes" in kept.err) == (2, True)
    cancelled = order("order", "cancel", "7", "--json", "--yes")
    assert json.loads(cancelled.out)["order"]["status"] == "Cancelled"
    orders_hub.faults = [(409, {}, {"Message": "Nothing to try again."})]
    refused = order("order", "retry", "7")
    assert (refused.code, "Nothing to try again." in refused.err) == (4, True)
    orders_hub.faults = [(400, {}, {"order.global.Audio.presets[0]": "A sound."})]
    taught = order("order", "create", "--selection", "kit", "--preset", "web")
    assert (taught.code, "--preset Images:web" in taught.err) == (2, True)
    assert order("order", "show", "seven").code == 2


def test_numbers_and_identifiers_complete(order: Order) -> None:
    found = order(
        _ENTREPOT_COMPLETE="bash_complete", COMP_WORDS="entrepot order show ", COMP_CWORD="3"
    )
    assert found.out == "plain,1\n", found
    nothing = order(
        _ENTREPOT_COMPLETE="bash_complete",
        COMP_WORDS="entrepot order watch ",
        COMP_CWORD="3",
        ENTREPOT_URL="http://127.0.0.1:1",
    )
    assert (nothing.out, nothing.err) == ("\n", "")


def test_ctrl_c_leaves_the_order_running(orders_hub: OrdersHub, home: Path) -> None:
    """On a terminal, with a bar."""
    working = event(2, "InProgress", 2, at=2)
    orders_hub.streams = [[working, *[b": still here\n\n"] * 2000]]
    env = clean_environment(home, None) | {"ENTREPOT_URL": orders_hub.url, "ENTREPOT_TOKEN": TOKEN}
    code, shown = run_on_terminal(
        ["order", "watch", "7"], [], env=env, cwd=home, interrupt_at="2 of 4 files"
    )
    assert code == 130, shown
    assert "entrepot order watch 7" in shown
    assert orders_hub.asked("DELETE", "/7") == []
