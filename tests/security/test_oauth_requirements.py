"""RFC 9700 and RFC 8725, requirement by requirement: docs/explanation/oauth.md lists the tests.

The list is checked here, and what no other file of tests is about is held here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from entrepot.assembly import Hub
from entrepot.errors import Invalid
from tests.doors.oauth_world import CALLBACK, ISSUER, World, claims_of, oauth_world

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "explanation" / "oauth.md"
# Sections with requirements for an authorization server. Left out: those for clients and
# resource servers elsewhere, and what is about features that this hub does not have.
SECTIONS_9700 = """2.1 2.1.1 2.1.2 2.2.1 2.2.2 2.3 2.4 2.5 2.6 4.1 4.2 4.3 4.5 4.7 4.8 4.9 4.11 4.12
4.13 4.14 4.15 4.16 4.17"""
SECTIONS_8725 = "3.1 3.2 3.3 3.5 3.6 3.7 3.8 3.9 3.10 3.11 3.12"


def rows() -> list[tuple[str, str, str]]:
    """Section, requirement and tests of each row of the page's two tables."""
    table = PAGE.read_text().partition("## Requirements and their tests")[2]
    return re.findall(r"^\| ([\d.]+) \| (.+?) \| (.+) \|$", table, re.MULTILINE)


def test_every_requirement_names_tests_that_exist() -> None:
    defined = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(rows()) > 35
    for section, requirement, tests in rows():
        named = set(re.findall(r"`(test_\w+)`", tests))
        assert named, f"{section}: {requirement}"
        assert named <= defined, f"{section}: {sorted(named - defined)}"


def test_no_section_is_left_out() -> None:
    sections = {section for section, _, _ in rows()}
    assert sections == {*SECTIONS_9700.split(), *SECTIONS_8725.split()}


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    with oauth_world(hub) as made:
        made.enter()
        yield made


def test_every_answer_to_a_client_names_the_hub(world: World) -> None:
    form = world.browser.form_on(world.request(), "/oauth/authorize")
    answers = [
        world.browser.submit(form, decision="allow"),
        world.browser.submit(form, decision="deny"),
        world.browser.get(world.request()),  # consented by now
        world.browser.get(world.request(scope="nothing")),
        world.browser.get(world.request(prompt="none", redirect_uri="http://127.0.0.1/callback")),
    ]
    for answer in answers:
        assert answer.status_code == 303  # never 307, which would post the form on
        told = parse_qs(urlsplit(answer.headers["location"]).query)
        assert told["iss"] == [ISSUER]
        assert told["state"] == ["st ate"]
        assert ("code" in told) is not ("error" in told)
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
    kept = parse_qs(urlsplit(answers[0].headers["location"]).query)
    assert kept["x"] == ["1"]  # what the registered address had stays
    page = world.browser.get(world.request(prompt="consent"))
    assert page.headers["referrer-policy"] == "same-origin"


def test_the_metadata_says_what_is_safe(world: World) -> None:
    body = world.browser.http.get("/.well-known/oauth-authorization-server").json()
    assert body["response_types_supported"] == ["code"]
    assert body["response_modes_supported"] == ["query"]
    assert body["code_challenge_methods_supported"] == ["S256"]
    assert body["authorization_response_iss_parameter_supported"] is True
    assert "implicit" not in body["grant_types_supported"]
    assert "password" not in body["grant_types_supported"]
    assert body["id_token_signing_alg_values_supported"] == ["RS256"]
    for name, value in body.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(f"{ISSUER}/")
            assert world.browser.http.get(value).status_code in {200, 400, 401, 405}


def test_a_machine_cannot_pass_for_a_person(world: World) -> None:
    """RFC 9700 section 4.15: `sub` of a machine is its client id, of a person a number."""
    with pytest.raises(Invalid):
        world.add_client(str(world.who.id))
    token = world.ask(grant_type="client_credentials").json()["access_token"]
    claims = claims_of(token)
    assert (claims["sub"], claims["kind"]) == ("web-shop", "client")
    told = world.ask(path="/oauth/introspect", token=token).json()
    assert "username" not in told
    headers = {"authorization": f"Bearer {token}"}
    assert world.browser.http.get("/oauth/userinfo", headers=headers).status_code == 403


def test_keys_and_secrets_are_strong(world: World) -> None:
    for key in world.hub.keys.current.token_keys.values():
        assert key.key.raw_value.key_size >= 2048
    assert len(world.web.secret) == 43  # 256 bits
    code = world.code()
    assert len(code) == 43
    assert world.code() != code


def test_what_a_program_calls_itself_is_text_on_the_page(world: World) -> None:
    name = "<script>alert(1)</script>\"'{{7*7}}"
    world.add_client("rude", name=name, redirect_uris=[CALLBACK])
    shown = world.browser.read(world.request(client_id="rude"))
    assert name in shown.text
    assert "script" not in shown.tags
