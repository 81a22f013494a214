"""`entrepot login` against the running hub: a person types the code on the real page, and the
command renews its sign-in by itself until the person signs out."""

import json
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrepot.client import Client, Times
from entrepot.client.auth import SavedToken
from entrepot.client.connections import parse_hub_address
from entrepot.client.token_store import TokenStore
from entrepot.core.accounts import find_user, make_personal_token
from entrepot.daemon.desk import Desk
from tests.system.hubs import Customer, Hub
from tests.system.person import Person

CHIYO = "chiyo@okabe.example"


@pytest.fixture
def chiyo(entrepot: Customer) -> Customer:
    """Her command, without a keyring of whoever runs the tests."""
    environment = {**entrepot.environment, "ENTREPOT_KEYRING": "off"}
    return replace(entrepot, environment=environment)


@pytest.fixture
def page(hub: Hub) -> Iterator[Person]:
    person = Person(hub, CHIYO)
    yield person
    person.http.close()


def sign_in(customer: Customer, page: Person) -> Path:
    """Start the command, type the code that it shows, and wait for it; where the tokens are."""
    process = subprocess.Popen(
        [*customer.command, "login"],
        env=customer.environment,
        cwd=customer.home,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    shown = ""
    while (found := re.search(r"code: ([A-Z]{4}-[A-Z]{4})", shown)) is None:
        line = process.stderr.readline()
        assert line, shown
        shown += line
    assert f"{customer.hub.url}/device" in shown
    page.decide(found[1])
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "Signed in" in rest
    return customer.home / ".entrepot" / "tokens.json"


def swap_access_token(path: Path, token: str) -> str:
    """Put another access token beside the refresh token, which is returned."""
    held = json.loads(path.read_text())
    held["prod"]["access_token"] = token
    path.write_text(json.dumps(held))
    return str(held["prod"]["refresh_token"])


def refresh_token_of(path: Path) -> str:
    return str(json.loads(path.read_text())["prod"]["refresh_token"])


def refresh(hub: Hub, token: str) -> Any:
    form = {"grant_type": "refresh_token", "client_id": "entrepot-cli", "refresh_token": token}
    return httpx.post(f"{hub.url}/oauth/token", data=form, trust_env=False).json()


def test_a_sign_in_by_code_lives_until_it_is_ended(
    hub: Hub, chiyo: Customer, page: Person, minted: Callable[..., str], tmp_path: Path
) -> None:
    path = sign_in(chiyo, page)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert chiyo.run("entitlements", "-f", "json").objects()

    # In the middle of a batch the access token ends: the next file is fetched all the same.
    first = refresh_token_of(path)
    address = parse_hub_address(hub.url)
    source = SavedToken(TokenStore(path.parent, "prod", address), address, Times())
    entitlement = hub.entitlement("plain", "Okabe Robotics")["id"]
    one, two = hub.artifacts(entitlement)[:2]
    with Client(hub.url, source) as client:
        client.download(entitlement, one["release_id"], one["artifact_id"], tmp_path / "one")
        assert refresh_token_of(path) == first
        assert swap_access_token(path, minted(CHIYO, seconds=-5)) == first
        source._held = None  # what it read before would be as old
        client.download(entitlement, two["release_id"], two["artifact_id"], tmp_path / "two")
    second = refresh_token_of(path)
    assert second != first

    # Commands that find it ended at the same time renew it once: twice would end the sign-in.
    swap_access_token(path, minted(CHIYO, seconds=-5))
    command = [*chiyo.command, "entitlements", "-f", "json"]
    running = [
        subprocess.Popen(
            command, env=chiyo.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in running]
    assert [code for _, _, code in ended] == [0] * 4, ended
    third = refresh_token_of(path)
    assert third not in (first, second)

    assert chiyo.run("logout").code == 0
    assert not path.exists()
    assert refresh(hub, third)["error"] == "invalid_grant"
    assert chiyo.run("entitlements").code == 6


def test_a_sign_in_that_was_stolen_ends_for_both(
    hub: Hub, chiyo: Customer, page: Person, minted: Callable[..., str]
) -> None:
    path = sign_in(chiyo, page)
    stolen = refresh(hub, refresh_token_of(path))
    assert hub.ask("/oauth/userinfo", token=stolen["access_token"]).status in (200, 403)
    swap_access_token(path, minted(CHIYO, seconds=-5))
    ran = chiyo.run("entitlements")
    assert ran.code == 6
    assert "Your sign-in has ended." in ran.err
    assert "entrepot login" in ran.err
    assert refresh(hub, stolen["refresh_token"])["error"] == "invalid_grant"


def test_a_personal_token_signs_in_as_others_do(hub: Hub, chiyo: Customer) -> None:
    with Desk({"data": str(hub.data)}).hub() as inside, inside.database.write() as tx:
        made = make_personal_token(
            tx,
            find_user(tx, CHIYO).id,
            name="a build",
            scopes=["entitlements"],
            actor="operator",
            now=inside.now(),
        )
    assert chiyo.run("login", "token", "-", stdin=f"{made.value}\n").code == 0
    listed = chiyo.run("entitlements", "-f", "json").objects()
    assert listed
    assert chiyo.run("logout").code == 0
    for name in ("ENTREPOT_TOKEN", "EDM_ACCESS_TOKEN"):
        assert chiyo.run("entitlements", "-f", "json", **{name: made.value}).objects() == listed
