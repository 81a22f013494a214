"""The sample world: whole or not at all, made once, and described as it really is."""

import hashlib
import io
import json
import stat
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import pypdfium2  # type: ignore[import-untyped]
import pytest
from PIL import Image

from entrepot.assembly import assemble, prepare
from entrepot.core import accounts, catalogue
from entrepot.core.entitlements import permitted_asset
from entrepot.daemon.desk import Desk
from entrepot.daemon.sandbox import describe_world, load_world, render_text
from entrepot.daemon.sandbox._media import SAMPLE_FILES
from entrepot.errors import Conflict
from entrepot.settings import Settings, from_env
from tests.system.hubs import (
    ENTREPOTD,
    ROOT,
    Hub,
    clean_environment,
    describe,
    free_port,
    http_of,
    run,
    running_hub,
)

SHAPE = {
    "users": {"id", "email", "password", "organisation", "roles", "token"},
    "clients": {"client_id", "client_secret", "scopes"},
    "apps": {
        *("client_id", "client_secret", "scopes", "grants"),
        *("redirect_uris", "public", "pkce"),
    },
    "products": {"id", "code"},
    "entitlements": {"id", "product_code", "organisation", "kind"},
    "artifacts": {"entitlement_id", "release_id", "artifact_id", "file_name", "sha256"},
    "assets": {"id", "identifier", "group", "title", "sha256"},
    "product_downloads": {"id", "product_id", "product_code", "visibility", "file", "sha256"},
}
KINDS = {"plain", "lapsed", "grouped", "controlled", "licence"}


def test_the_description_has_the_promised_shape(hub: Hub) -> None:
    assert set(hub.world) == {"url", "jwks_url", *SHAPE}
    for name, keys in SHAPE.items():
        assert hub.world[name], name
        assert all(set(one) == keys for one in hub.world[name]), name
    assert {given["kind"] for given in hub.world["entitlements"]} == KINDS
    first = hub.world["users"][0]["organisation"]
    theirs = {g["kind"] for g in hub.world["entitlements"] if g["organisation"] == first}
    assert theirs == KINDS
    assert len({user["organisation"] for user in hub.world["users"]}) >= 3
    roles = {role for user in hub.world["users"] for role in user["roles"]}
    assert roles == set(accounts.ROLES)
    assert {scope for one in hub.world["clients"] for scope in one["scopes"]} == set(
        accounts.SCOPES
    )


def test_the_hub_agrees_with_the_description(hub: Hub) -> None:
    """Every token works, and lists exactly what the sandbox says of the organisation."""
    for user in hub.world["users"]:
        answer = hub.ask(ROOT, token=user["token"])
        assert answer.status == 200, answer
        assert answer.headers["entrepot-sandbox"] == "true"
        listed = {one["id"]: one["product"]["id"] for one in answer.json()["items"]}
        given = [
            one for one in hub.world["entitlements"] if one["organisation"] == user["organisation"]
        ]
        assert listed.items() >= {(one["id"], one["product_code"]) for one in given}
    keys = hub.ask(hub.world["jwks_url"].removeprefix(hub.url)).json()["keys"]
    assert [key["alg"] for key in keys] == ["RS256"]


def test_each_kind_of_entitlement_is_what_it_says(hub: Hub) -> None:
    user = hub.world["users"][0]
    wanted = {"plain": 200, "lapsed": 200, "controlled": 403, "licence": 403}
    for kind, status in wanted.items():
        number = hub.entitlement(kind, user["organisation"])["id"]
        if kind == "licence":
            user = hub.user("ben@halden.example")  # Ada accepts it in another test
        answer = hub.ask(http_of(hub.artifacts(number)[0]), token=user["token"])
        assert answer.status == status, (kind, answer)
    grouped = hub.entitlement("grouped", user["organisation"])["id"]
    children = {one["entitlement_id"] for one in hub.world["artifacts"]} - {
        one["id"] for one in hub.world["entitlements"]
    }
    assert sum(child.startswith(grouped) for child in children) == 2


def test_the_files_are_real_and_versions_differ(hub: Hub) -> None:
    user = hub.world["users"][0]
    listed = hub.artifacts(hub.entitlement("plain", user["organisation"])["id"])
    assert len({one["release_id"] for one in listed}) == 3
    assert len({one["sha256"] for one in listed}) == len(listed)
    for artifact in listed[:2]:
        body = hub.ask(hub.link(artifact, user["token"])).body
        assert hashlib.sha256(body).hexdigest() == artifact["sha256"]
        assert len(body) > 10_000


def test_three_products_show_a_file_of_each_visibility(hub: Hub) -> None:
    shown = hub.world["product_downloads"]
    kinds = Counter((one["product_code"], one["visibility"]) for one in shown)
    assert len({code for code, _ in kinds}) == 3
    assert set(kinds.values()) == {1}
    assert len(kinds) == 9
    halden, vega = (
        hub.user(mail)["token"] for mail in ("ada@halden.example", "dieter@vega.example")
    )
    for one in shown:
        path = one["file"].removeprefix(hub.url)
        answer = hub.ask(path, token=halden)
        assert answer.status == 302, answer
        body = hub.ask(answer.headers["location"].removeprefix(hub.url)).body
        assert hashlib.sha256(body).hexdigest() == one["sha256"]
        bought = one["product_code"] == "EP100" or one["visibility"] != "purchase"
        assert hub.ask(path, token=vega).status == (302 if bought else 403)
        nobody = {"public": 302, "contact": 401, "purchase": 401}
        assert hub.ask(path).status == nobody[one["visibility"]]


def settings_of(data: Path) -> Settings:
    return from_env(
        {
            "ENTREPOT_DATA": str(data),
            "ENTREPOT_SECRET_KEY": "T3st-0nly-secret.T3st-0nly-secret.42",
            "ENTREPOT_RESERVE_BYTES": "1 MiB",
            "ENTREPOT_SANDBOX": "on",
        },
        cores=1,
    )


def test_every_organisation_may_have_every_asset_that_is_listed(hub: Hub) -> None:
    listed = hub.world["assets"]
    assert {one["group"] for one in listed} >= {"Images", "Videos", "Documents", "Audio"}
    assert len({one["sha256"] for one in listed}) == len(listed)
    with Desk({"data": str(hub.data)}).hub() as opened, opened.database.read() as tx:
        for user in hub.world["users"]:
            who = accounts.load_user(tx, user["id"])
            for one in listed:
                found = permitted_asset(tx, who, one["identifier"], now=opened.now())
                assert (found.asset_id, found.sha256) == (one["id"], one["sha256"])
                assert found.title["en-US"] == one["title"]
                assert opened.blobs.size(found.sha256) == found.size
        kinds = {permitted_asset(tx, who, one["id"], now=opened.now()).product_id for one in listed}
    assert len(kinds) == 2  # public ones, and ones of a product


def test_the_media_are_the_same_each_time_and_what_is_said_of_them() -> None:
    """By the decoders themselves, not by what wrote them."""
    for sample in SAMPLE_FILES:
        data = sample.make()
        assert data == sample.make(), sample.file_name
        group = catalogue.media_group_of(catalogue.sniff(data, sample.file_name))
        if group == "Images":
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
                assert dict(zip(("width", "height"), picture.size, strict=True)) == sample.facts
        elif group == "Documents":
            document = pypdfium2.PdfDocument(data)
            assert len(document) == sample.facts["pages"]
            assert "Sample brochure" in document[0].get_textpage().get_text_range()
            document.close()
        else:
            with av.open(io.BytesIO(data), mode="r") as film:
                assert film.duration is not None
                seconds = film.duration / av.time_base
                assert abs(seconds - sample.facts["duration_seconds"]) < 0.1


def test_loading_is_done_once_and_its_secrets_are_private(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    prepare(settings)
    hub = assemble(settings)
    try:
        assert load_world(hub, settings.data)
        path = settings.data / "sandbox.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = path.read_bytes()
        assert not load_world(hub, settings.data)
        assert path.read_bytes() == before
        world = describe_world(hub, settings.data)
        text = render_text(world)
        assert all(user.password in text and user.token not in text for user in world.users)
        assert len({user.password for user in world.users}) == len(world.users)
        count = Counter(given.kind for given in world.entitlements)
        assert count["plain"] > 3
    finally:
        hub.close()


@pytest.mark.soak
def test_a_kill_while_loading_leaves_nothing_or_all(tmp_path: Path, hub: Hub) -> None:
    """Killed as its secrets reach the disk, just before the rows are committed or just after."""
    data = tmp_path / "data"
    bind = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [*ENTREPOTD, "serve", "--sandbox", "--data", str(data), "--bind", bind],
        env=clean_environment() | {"ENTREPOT_RESERVE_BYTES": "1 MiB"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    try:
        while not (data / "sandbox.json").exists() and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert (data / "sandbox.json").exists()
    with running_hub(data) as again:
        for name in SHAPE:
            assert len(again.world[name]) == len(hub.world[name]), name
        user = again.world["users"][0]
        assert again.ask(ROOT, token=user["token"]).json()["totalNumberOfItems"] == 5


def test_a_hub_with_data_is_left_as_it_is(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    prepare(settings)
    hub = assemble(settings)
    try:
        with hub.database.write() as tx:
            accounts.add_organisation(
                tx, name="A real one", country="NL", actor="operator", now=hub.now()
            )
        assert not load_world(hub, settings.data)
        assert not (settings.data / "sandbox.json").exists()
        try:
            describe_world(hub, settings.data)
        except Conflict as error:
            assert error.code == "not-a-sandbox"
        else:
            raise AssertionError("a real hub was taken for a sandbox")
    finally:
        hub.close()


def test_the_command_works_when_the_hub_does_not_run(hub: Hub, tmp_path: Path) -> None:
    described = hub.operate("sandbox", "--json").objects()
    # Not `hub.world`: other tests have added products since.
    assert _without_tokens(described) == _without_tokens(dict(describe(hub.data)))
    table = hub.operate("sandbox")
    assert (table.code, hub.world["users"][0]["password"] in table.out) == (0, True)
    made = run([*ENTREPOTD, "init", "--data", str(tmp_path / "real")], env=clean_environment())
    assert made.code == 0, made
    refused = run([*ENTREPOTD, "sandbox", "--data", str(tmp_path / "real")], env=hub.environment)
    assert refused.code != 0
    assert "is not the folder of a sandbox" in refused.err, refused


def _without_tokens(world: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(world))
    for user in plain["users"]:
        assert user.pop("token")
    return plain
