"""OAuth clients that others wrote walk every grant against the running hub: openid-client and
oauth4webapi on node, Authlib's httpx client and requests-oauthlib here. The person who signs in
and consents fills in the forms of the real pages."""

import json
import re
import shutil
import subprocess
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey
from oauthlib.oauth2 import (  # type: ignore[import-untyped]
    BackendApplicationClient,
    DeviceClient,
    OAuth2Error,
)
from requests_oauthlib import OAuth2Session  # type: ignore[import-untyped]

from tests.system.hubs import ROOT, Hub
from tests.system.person import Person

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a part of it that is not used here speaks of its own end
    from authlib.integrations.httpx_client import OAuth2Client

NODE = Path(__file__).parents[1] / "node"
REDIRECT = "http://127.0.0.1:49152/callback"
DIETER = "dieter@vega.example"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def app(hub: Hub, client_id: str) -> dict[str, Any]:
    return next(one for one in hub.world["apps"] if one["client_id"] == client_id)


def machine(hub: Hub) -> dict[str, Any]:
    return next(one for one in hub.world["clients"] if one["client_id"] == "halden-ci")


def metadata_of(hub: Hub) -> dict[str, Any]:
    answer = hub.ask("/.well-known/openid-configuration")
    found: dict[str, Any] = answer.json()
    assert found["issuer"] == hub.url
    return found


def assertion_of(hub: Hub, client: dict[str, Any], scope: str) -> str:
    """A JWT, HS256 by the client's secret, as the contract has it."""
    now, name = int(time.time()), client["client_id"]
    claims = {"iss": name, "sub": name, "aud": f"{hub.url}/oauth/token", "scope": scope}
    claims |= {"iat": now, "exp": now + 60, "jti": uuid.uuid4().hex}
    key = OctKey.import_key(client["client_secret"])
    return jwt.encode({"alg": "HS256"}, claims, key, algorithms=["HS256"])


def check_access_token(hub: Hub, token: str, client_id: str) -> dict[str, Any]:
    """RFC 9068 section 4, with the keys that the hub publishes; and the hub takes it itself."""
    keys = KeySet.import_key_set(hub.ask("/.well-known/jwks.json").json())
    decoded = jwt.decode(token, keys, algorithms=["RS256"])
    assert decoded.header["typ"] == "at+jwt"
    assert (decoded.claims["iss"], decoded.claims["aud"]) == (hub.url, hub.url)
    assert decoded.claims["client_id"] == client_id
    assert decoded.claims["exp"] > time.time()
    if "entitlements" in decoded.claims["scope"].split():
        assert hub.ask(ROOT, token=token).status == 200
    return decoded.claims


@pytest.mark.needs("node-packages")
@pytest.mark.parametrize("script", ["openid_client.mjs", "oauth4webapi.mjs"])
def test_node_clients_walk_every_grant(hub: Hub, script: str) -> None:
    node = shutil.which("node")
    assert node
    told = {name: hub.world[name] for name in ("url", "clients", "apps")}
    ended = subprocess.run(
        [node, script],
        cwd=NODE,
        input=json.dumps(told | {"user": hub.user(DIETER)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    steps = re.findall(r"^  async ('[^']+'|\w+)\(\)", (NODE / script).read_text(), re.MULTILINE)
    assert ended.stdout.splitlines() == [step.strip("'") for step in steps]


@pytest.fixture
def person(hub: Hub) -> Iterator[Person]:
    someone = Person(hub, DIETER)
    yield someone
    someone.http.close()


def test_authlib_walks_every_grant(hub: Hub, person: Person) -> None:
    meta, public = metadata_of(hub), app(hub, "vega-desktop")
    token_url, ci = meta["token_endpoint"], machine(hub)
    for method in ("client_secret_basic", "client_secret_post"):
        with OAuth2Client(ci["client_id"], ci["client_secret"], method) as client:
            token = client.fetch_token(token_url, grant_type="client_credentials")
            claims = check_access_token(hub, token["access_token"], ci["client_id"])
            assert set(claims["scope"].split()) == set(ci["scopes"])
            told = client.introspect_token(meta["introspection_endpoint"], token["access_token"])
            assert told.json()["active"] is True
            client.revoke_token(meta["revocation_endpoint"], token["access_token"])
            told = client.introspect_token(meta["introspection_endpoint"], token["access_token"])
            assert told.json() == {"active": False}

    scope = "openid offline_access entitlements"
    with OAuth2Client(
        public["client_id"],
        token_endpoint_auth_method="none",
        scope=scope,
        redirect_uri=REDIRECT,
        code_challenge_method="S256",
    ) as client:
        verifier = uuid.uuid4().hex * 2
        asked, state = client.create_authorization_url(
            meta["authorization_endpoint"], code_verifier=verifier
        )
        back = person.authorize(asked)
        assert dict(parse_qsl(urlsplit(back).query))["iss"] == hub.url
        token = client.fetch_token(
            token_url, authorization_response=back, state=state, code_verifier=verifier
        )
        check_access_token(hub, token["access_token"], public["client_id"])
        first = token["refresh_token"]
        second = client.refresh_token(token_url, first)["refresh_token"]
        assert second != first
        for used_up in (first, second):
            with pytest.raises(Exception, match="invalid_grant"):
                client.refresh_token(token_url, used_up)

        begun = httpx.post(
            meta["device_authorization_endpoint"],
            data={"client_id": public["client_id"], "scope": "entitlements"},
            trust_env=False,
        ).json()
        person.decide(begun["user_code"])
        token = client.fetch_token(token_url, grant_type=DEVICE, device_code=begun["device_code"])
        check_access_token(hub, token["access_token"], public["client_id"])

    signer = app(hub, "harbour-signer")
    with OAuth2Client(signer["client_id"], token_endpoint_auth_method="none") as client:
        assertion = assertion_of(hub, signer, "products.readonly")
        token = client.fetch_token(token_url, grant_type=JWT_BEARER, assertion=assertion)
        claims = check_access_token(hub, token["access_token"], signer["client_id"])
        assert claims["scope"] == "products.readonly"


def test_requests_oauthlib_walks_every_grant(
    hub: Hub, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # loopback
    meta, ci = metadata_of(hub), machine(hub)
    public, legacy = app(hub, "vega-desktop"), app(hub, "harbour-legacy")
    token_url = meta["token_endpoint"]
    with OAuth2Session(client=BackendApplicationClient(ci["client_id"])) as session:
        token = session.fetch_token(token_url, client_secret=ci["client_secret"])
        check_access_token(hub, token["access_token"], ci["client_id"])
        assert session.get(hub.url + ROOT).status_code == 200

    scope = ["openid", "offline_access", "entitlements"]
    with OAuth2Session(
        public["client_id"], redirect_uri=REDIRECT, scope=scope, pkce="S256"
    ) as session:
        asked, _ = session.authorization_url(meta["authorization_endpoint"])
        token = session.fetch_token(
            token_url, authorization_response=person.authorize(asked), include_client_id=True
        )
        check_access_token(hub, token["access_token"], public["client_id"])
        first, named = token["refresh_token"], {"client_id": public["client_id"]}
        second = session.refresh_token(token_url, first, **named)["refresh_token"]
        for used_up in (first, second):
            with pytest.raises(OAuth2Error, match="invalid_grant"):
                session.refresh_token(token_url, used_up, **named)

    with OAuth2Session(legacy["client_id"], redirect_uri=REDIRECT, scope=["products"]) as session:
        asked, _ = session.authorization_url(f"{hub.url}/admin/oauth/authorize")
        token = session.fetch_token(
            f"{hub.url}/admin/oauth/token.json",
            authorization_response=person.authorize(asked),
            client_secret=legacy["client_secret"],
        )
        check_access_token(hub, token["access_token"], legacy["client_id"])

    device = DeviceClient(public["client_id"], scope=["entitlements"])
    with OAuth2Session(client=device) as session:
        data = {"client_id": public["client_id"], "scope": "entitlements"}
        begun = session.post(
            meta["device_authorization_endpoint"], data, withhold_token=True
        ).json()
        person.decide(begun["user_code"])
        token = session.fetch_token(
            token_url, device_code=begun["device_code"], include_client_id=True
        )
        check_access_token(hub, token["access_token"], public["client_id"])
