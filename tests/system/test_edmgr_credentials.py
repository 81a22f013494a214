"""The unmodified edmgr signs in with user name and password (contract 1, section 4): through TLS,
because MSAL takes no other authority, and only where the operator allows it."""

import json
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.system.hubs import EDMGR, ENTREPOT, Customer, Hub, customer, free_port, running_hub

ADA = "ada@halden.example"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The certificate of the authority; beside it those of the hub, `hub.pem` and `hub.key`."""
    made = trustme.CA()
    issued = made.issue_cert("127.0.0.1")
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    issued.private_key_pem.write_to_path(tmp_path / "hub.key")
    (tmp_path / "hub.key").chmod(0o600)
    (tmp_path / "hub.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    return tmp_path / "authority.pem"


def serving(data: Path, authority: Path, **settings: str) -> Any:
    folder, port = authority.parent, free_port()
    return running_hub(
        data,
        port=port,
        tls=ssl.create_default_context(cafile=authority),
        tls_cert=str(folder / "hub.pem"),
        tls_key=str(folder / "hub.key"),
        public_url=f"https://127.0.0.1:{port}",
        web_processes="1",
        workers="0",
        **settings,
    )


def trusting(hub: Hub, authority: Path, home: str, command: list[str]) -> Customer:
    """A customer whose command trusts the authority: requests asks one variable, Python another."""
    someone = customer(hub, authority.parent / home, command)
    trust = {"REQUESTS_CA_BUNDLE": str(authority), "SSL_CERT_FILE": str(authority)}
    return replace(someone, environment={**someone.environment, **trust})


def test_a_password_is_enough_where_the_setting_is_on_and_never_where_it_is_off(
    data: Path, authority: Path
) -> None:
    with serving(data, authority, password_grant="on") as hub:
        password = hub.user(ADA)["password"]
        edmgr = trusting(hub, authority, "edmgr", EDMGR)
        wrong = edmgr.run("login", "credentials", "-u", ADA, "--password", "wrong")
        assert "The user name or the password is wrong." in wrong.out + wrong.err
        said = edmgr.run("login", "credentials", "-u", ADA, "--password", password)
        assert said.code == 0, said
        listed = edmgr.run("entitlements", "-f", "json").objects()
        assert {one["id"] for one in listed} >= {
            one["id"]
            for one in hub.world["entitlements"]
            if one["organisation"] == "Halden Microsystems"
        }
        assert "Token Owner: Ada Brandt" in edmgr.run("login", "show-token").out
        refresh_by_msal(edmgr)

        ours = trusting(hub, authority, "ours", ENTREPOT)
        signed_in = ours.run("login", "credentials", "-u", ADA, stdin=f"{password}\n")
        assert signed_in.code == 0, signed_in
        path = ours.home / ".entrepot" / "tokens.json"
        held = json.loads(path.read_text())
        first = held["prod"]["refresh_token"]
        held["prod"]["access_token"] = "x" + held["prod"]["access_token"][1:]
        path.write_text(json.dumps(held))
        assert ours.run("entitlements", "-f", "json").code == 0
        assert json.loads(path.read_text())["prod"]["refresh_token"] != first
        assert ours.run("logout").code == 0
        trust_by_option(hub, authority, password)

    with serving(data, authority) as hub:
        edmgr = trusting(hub, authority, "late", EDMGR)
        refused = edmgr.run("login", "credentials", "-u", ADA, "--password", password)
        assert "This hub offers the grants" in refused.out + refused.err, refused
        assert not (edmgr.home / ".edmgr" / "msal_cache").exists()
        ours = trusting(hub, authority, "later", ENTREPOT)
        said = ours.run("login", "credentials", "-u", ADA, stdin=f"{password}\n")
        assert said.code == 4
        assert "takes no user name and password" in said.err
        assert "This hub offers the grants" in said.err
        assert "(" not in said.err


def trust_by_option(hub: Hub, authority: Path, password: str) -> None:
    """A private authority by --cacert, which signing in remembers; without it nothing goes."""
    ours = customer(hub, authority.parent / "option", ENTREPOT)
    sign_in = ["login", "credentials", "-u", ADA]
    stranger = ours.run(*sign_in, stdin=f"{password}\n")
    assert stranger.code == 7, stranger
    assert "--cacert" in stranger.err
    said = ours.run(*sign_in, "--cacert", str(authority), stdin=f"{password}\n")
    assert said.code == 0, said
    assert ours.run("products", "-f", "json").objects()
    looked = ours.run("doctor", "--json")
    assert looked.code == 0, looked
    found = {one["check"]: one for one in json.loads(looked.out)}
    assert found["tls"]["protocol"] == "TLSv1.3"
    assert found["tls"]["verdict"] == "ok"


def refresh_by_msal(edmgr: Customer) -> None:
    """Where the access token is good no more, MSAL trades its refresh token for another."""
    (path,) = edmgr.home.rglob("msal_cache")
    cache = json.loads(path.read_text())
    (access,) = cache["AccessToken"].values()
    first = [one["secret"] for one in cache["RefreshToken"].values()]
    access["secret"] = access["secret"][:-8] + "AAAAAAAA"
    path.write_text(json.dumps(cache))
    said = edmgr.run("entitlements", "-f", "json")
    assert said.objects(), said
    again = json.loads(path.read_text())
    assert [one["secret"] for one in again["RefreshToken"].values()] != first
