"""Authorization code with PKCE, consent, refresh: a person lets a program act for them."""

from collections.abc import Iterator

import pytest

from entrepot.assembly import Hub
from tests.doors.oauth_world import World, oauth_world, sent_back


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with oauth_world(hub) as made:
        yield made


def test_a_person_lets_a_program_in(world: World) -> None:
    world.enter()
    told = world.decide(world.request(nonce="n1"))
    assert told["state"] == "st ate"
    answer = world.redeem(told["code"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["scope"] == "entitlements openid"
    assert world.works(body["access_token"])
    again = world.refresh(body["refresh_token"])
    assert again.status_code == 200, again.text
    assert world.works(again.json()["access_token"])
    # asked once: the next request is answered at once
    told = sent_back(world.browser.get(world.request()))
    assert "code" in told
