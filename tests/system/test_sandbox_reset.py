"""A sandbox is emptied and loaded anew; what is no sandbox, or is being served, never is."""

from pathlib import Path
from typing import Any

import pytest

from entrepot.assembly import Hub, assemble, prepare
from entrepot.core import accounts
from entrepot.daemon.desk import Desk
from entrepot.daemon.sandbox import load_world, reset_world
from entrepot.errors import Conflict
from entrepot.settings import from_env
from tests.system.hubs import ENTREPOTD, ROOT, Ran, clean_environment, run, running_hub


def _operate(*arguments: str, **settings: str) -> Ran:
    environment = clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB", **settings}
    return run([*ENTREPOTD, *arguments], env=environment)


def _numbers(world: dict[str, Any]) -> list[Any]:
    """What people may have written down: it is the same after a reset."""
    return [
        [(one["id"], one["email"]) for one in world["users"]],
        [one["client_id"] for one in world["clients"]],
        world["products"],
        world["entitlements"],
        [(one["entitlement_id"], one["file_name"]) for one in world["artifacts"]],
        world["assets"],
    ]


def _secrets(world: dict[str, Any]) -> set[str]:
    found = {one["password"] for one in world["users"]} | {one["token"] for one in world["users"]}
    machines = [*world["clients"], *world["apps"]]
    return found | {one["client_secret"] for one in machines if one["client_secret"]}


def _holds(hub: Hub, token: str) -> bool:
    """Whether the hub takes a token for one of its own."""
    found = accounts.verify_token(
        hub.keys.current, token, issuer=hub.policy.public_url, now=hub.now()
    )
    return found is not None


def test_a_reset_gives_the_first_day_back_with_new_secrets(data: Path) -> None:
    with running_hub(data, web_processes="1", workers="0") as hub:
        before = dict(hub.world)
        added = hub.operate("organisation", "add", "Left behind", "--country", "NL")
        assert added.code == 0, added
        refused = hub.operate("sandbox", "--reset")
        assert (refused.code, hub.url in refused.err) == (6, True), refused
        # Nothing was touched: it goes on serving.
        token = before["users"][0]["token"]
        assert hub.ask(ROOT, token=token).json()["totalNumberOfItems"] == 5
        bind = hub.bind
    mine = data / "notes.txt"
    mine.write_text("not the hub's")
    after = _operate("sandbox", "--reset", "--json", "--data", str(data)).objects()
    assert _numbers(after) == _numbers(before)
    assert after["url"] == before["url"]
    assert not _secrets(after) & _secrets(before)
    assert mine.read_text() == "not the hub's"
    with Desk({"data": str(data)}).hub() as again:
        assert not _holds(again, before["users"][0]["token"])
        assert _holds(again, after["users"][0]["token"])
        with again.database.read() as tx:
            names = [row.name for row in accounts.list_organisations(tx)[0]]
        assert "Left behind" not in names
        assert len(names) == 4
    plain = _operate("serve", "--data", str(data), "--bind", bind)
    assert (plain.code, "is the folder of a sandbox" in plain.err) == (6, True), plain


def test_only_a_sandbox_is_reset_or_served_as_one(tmp_path: Path) -> None:
    data = tmp_path / "real"
    assert _operate("init", "--data", str(data)).code == 0
    made = _operate("organisation", "add", "A real one", "--country", "NL", "--data", str(data))
    assert made.code == 0, made
    refused = _operate("sandbox", "--reset", "--data", str(data))
    assert (refused.code, "is not the folder of a sandbox" in refused.err) == (6, True), refused
    served = _operate("serve", "--sandbox", "--data", str(data), "--bind", "127.0.0.1:0")
    assert (served.code, "is not a sandbox" in served.err) == (6, True), served
    listed = _operate("organisation", "list", "--json", "--data", str(data)).objects()
    assert [one["name"] for one in listed] == ["A real one"]


def test_nothing_outside_of_the_folder_is_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "files"
    settings = from_env(
        {
            "ENTREPOT_DATA": str(tmp_path / "data"),
            "ENTREPOT_BLOBS_DIR": str(elsewhere),
            "ENTREPOT_SECRET_KEY": "T3st-0nly-secret.T3st-0nly-secret.42",
            "ENTREPOT_RESERVE_BYTES": "1 MiB",
            "ENTREPOT_SANDBOX": "on",
        },
        cores=1,
    )
    prepare(settings)
    hub = assemble(settings)
    try:
        assert load_world(hub, settings.data)
    finally:
        hub.close()
    before = sorted(path for path in elsewhere.rglob("*") if path.is_file())
    assert before
    with pytest.raises(Conflict) as refused:
        reset_world(settings)
    assert refused.value.code == "sandbox-elsewhere"
    assert sorted(path for path in elsewhere.rglob("*") if path.is_file()) == before
