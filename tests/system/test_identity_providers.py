"""The operator's file of identity providers, from the setting to a person who is signed in; and a
program that asks for consent meanwhile."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.openid_provider import ADA, CLIENT_ID, CLIENT_SECRET, running_provider
from tests.system.hubs import ENTREPOTD, free_port, run, running_hub
from tests.system.person import Person

FILE = """
[[provider]]
name = "vega"
title = "Vega"
issuer = "{issuer}"
client_id = "{client_id}"
client_secret_file = "{secret}"
private_network = true
members = [{{ domain = "vega.example", organisation = "Vega Aerodata" }}]
"""


def test_a_person_comes_by_the_provider_to_a_programs_request(data: Path, tmp_path: Path) -> None:
    port = free_port()
    hub_url = f"http://127.0.0.1:{port}"
    secret, path = tmp_path / "vega.secret", tmp_path / "providers.toml"
    secret.touch(0o600)
    secret.write_text(CLIENT_SECRET)
    with running_provider(f"{hub_url}/sign-in/vega/callback") as provider:
        path.write_text(FILE.format(issuer=provider.issuer, client_id=CLIENT_ID, secret=secret))
        provider.person = ADA | {"email": "ada@vega.example"}
        with running_hub(
            data,
            port=port,
            web_processes="1",
            workers="0",
            identity_providers=str(path),
        ) as hub:
            person = Person(hub, "dieter@vega.example")
            asked = httpx.URL(
                f"{hub.url}/oauth/authorize",
                params={
                    "response_type": "code",
                    "client_id": "vega-desktop",
                    "redirect_uri": "http://127.0.0.1:1/callback",
                    "scope": "openid entitlements",
                    "code_challenge": "x" * 43,
                    "code_challenge_method": "S256",
                    "state": "s" * 1000,
                },
            )
            page = person.open(str(asked))
            assert "Sign in with <bdi>Vega</bdi>" in page.text
            (button,) = page.text.split('<a class="button wide" href="')[1:]
            away = person.open(button.partition('"')[0].replace("&amp;", "&"))
            back = httpx.get(away.headers["location"], trust_env=False)
            consent = person.open(str(back.headers["location"]))
            assert "ada@vega.example" in consent.text
            done = person.submit(consent, "/oauth/authorize", decision="allow")
            told = dict(parse_qsl(urlsplit(done.headers["location"]).query))
            assert told["state"] == "s" * 1000
            assert told["code"]
            person.http.close()
            check = hub.operate("check")
            assert "identity providers  ok vega" in check.out, check
        path.write_text(path.read_text().replace("Vega Aerodata", "Vega Aerodatta"))
        assert (
            "There is no organisation 'Vega Aerodatta'."
            in run([*ENTREPOTD, "check", "--data", str(hub.data)], env=hub.environment).out
        )
        path.write_text(path.read_text().replace("domain", "domian"))
        refused = run(
            [*ENTREPOTD, "serve", "--sandbox", "--data", str(hub.data), "--bind", hub.bind],
            env=hub.environment,
        )
        assert refused.code != 0
        assert "provider[1].members[1].domian: Unknown" in refused.err
