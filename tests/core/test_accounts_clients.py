"""Registering programs: redirect URIs, what goes with what; and assertions."""

from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select

from entrepot.core import accounts
from entrepot.core.accounts import AssertionFault, NewClient
from entrepot.core.accounts.redirects import check_redirects, redirect_matches
from entrepot.core.accounts.tables import api_clients
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid
from tests import factories
from tests.core.grants_world import BOX
from tests.factories import NOW

JWT_BEARER = accounts.JWT_BEARER
TOKEN_URL = "https://hub.example.com/oauth/token"
GOOD = [
    "https://app.example.com/back",
    "https://app.example.com",
    "https://app.example.com:8443/a/b?c=d&e=%20",
    "http://127.0.0.1/back",
    "http://127.0.0.1:8000/back",
    "http://[::1]/back",
]
BAD = [
    "",
    "back",
    "http://app.example.com/back",
    "http://localhost/back",
    "http://127.0.0.1.example.com/back",
    "http://127.1/back",
    "http://127.0.0.1:123456/back",
    "https://app.example.com/back#part",
    "https://user@app.example.com/back",
    "https://app.example.com\\@evil.example/back",
    "https:///back",
    "https://app.example.com/b ack",
    "https://app.example.com/b\nack",
    "https://äpp.example.com/",
    "com.example.app:/back",
    "javascript:alert(1)",
    "https://app.example.com/" + "x" * 1000,
]


def add(tx: Tx, **values: Any) -> NewClient:
    given: dict[str, Any] = {
        "client_id": "program",
        "name": "Program",
        "organisation_id": factories.add_organisation(tx),
        "scopes": ["orders", "entitlements"],
        "box": BOX,
        "actor": "operator",
        "now": NOW,
    }
    return accounts.add_client(tx, **(given | values))


@pytest.mark.parametrize("address", GOOD)
def test_redirects_that_are_taken(address: str) -> None:
    assert check_redirects([address, address]) == [address]
    assert redirect_matches(address, [address])


@pytest.mark.parametrize("address", BAD)
def test_redirects_that_are_not(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_redirects([address])
    assert caught.value.field == "redirect_uris"
    assert not redirect_matches(address, GOOD)


def test_redirects_are_compared_as_written_but_for_ports_on_loopback() -> None:
    registered = ["https://app.example.com/back", "http://127.0.0.1/back?a=1", "http://[::1]:80/b"]
    fits = ["https://app.example.com/back", "http://127.0.0.1:49152/back?a=1", "http://[::1]:9/b"]
    assert all(redirect_matches(address, registered) for address in fits)
    others = [
        "https://app.example.com/back/",
        "https://app.example.com/back?x=1",
        "https://APP.example.com/back",
        "https://app.example.com:443/back",
        "https://app.example.com/back/../back",
        "http://127.0.0.1:49152/back",
        "http://127.0.0.1:49152/back?a=1&b=2",
        "http://[::1]:9/back?a=1",
        "https://127.0.0.1/back?a=1",
    ]
    assert not [address for address in others if redirect_matches(address, registered)]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"public": True, "grants": ["client_credentials"]}, "grants"),
        ({"public": True, "grants": [JWT_BEARER]}, "grants"),
        ({"grants": ["password"]}, "grants"),
        ({"grants": ["implicit"]}, "grants"),
        ({"grants": ["authorization_code"]}, "grants"),
        ({"grants": ["client_credentials"], "redirect_uris": GOOD}, "grants"),
        ({"grants": ["client_credentials", "refresh_token"]}, "grants"),
        ({"public": True, "redirect_uris": GOOD, "pkce": False}, "pkce"),
        ({"redirect_uris": [f"https://a.example.com/{n}" for n in range(21)]}, "redirect_uris"),
        ({"client_id": "Program"}, "client_id"),
    ],
)
def test_what_does_not_go_together_is_refused(tx: Tx, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, **values)
    assert caught.value.field == field


def test_grants_that_are_left_out_fit_the_rest(tx: Tx) -> None:
    organisation = factories.add_organisation(tx)

    def grants(client_id: str, **values: Any) -> list[str]:
        add(tx, client_id=client_id, organisation_id=organisation, **values)
        found: list[str] = accounts.find_client(tx, client_id).grants
        return found

    code = ["authorization_code", "client_credentials", "refresh_token"]
    assert grants("a") == ["client_credentials"]
    assert grants("b", redirect_uris=GOOD) == code
    assert grants("c", redirect_uris=GOOD, public=True) == ["authorization_code", "refresh_token"]
    assert grants("d", public=True) == ["refresh_token", accounts.DEVICE_CODE]


def test_only_a_client_that_signs_has_its_secret_kept_and_that_is_sealed(tx: Tx) -> None:
    organisation = factories.add_organisation(tx)
    plain = add(tx, client_id="plain", organisation_id=organisation)
    signing = add(tx, client_id="signing", organisation_id=organisation, grants=[JWT_BEARER])
    kept = repr(tx.execute(select(api_clients)).all())
    assert plain.secret not in kept
    assert signing.secret not in kept
    assert accounts.find_client(tx, "plain").assertion_key is None
    sealed = accounts.find_client(tx, "signing").assertion_key
    assert BOX.unseal(sealed).decode() == signing.secret


@pytest.fixture
def signing(tx: Tx) -> NewClient:
    return add(tx, grants=[JWT_BEARER])


def assertion(secret: str, *, key: Any = None, header: Any = None, **changed: Any) -> str:
    """An assertion of the client `program`; None leaves a claim out."""
    second = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": "program",
        "sub": "program",
        "aud": TOKEN_URL,
        "exp": second + 300,
    }
    kept = {name: value for name, value in (claims | changed).items() if value is not None}
    fields = {"alg": "HS256", "typ": "JWT"} | (header or {})
    algorithms = [fields["alg"]]
    return jwt.encode(fields, kept, key or OctKey.import_key(secret), algorithms=algorithms)


def use(tx: Tx, text: str, now: Any = NOW) -> accounts.Asserted:
    return accounts.use_assertion(tx, BOX, text, audiences=[TOKEN_URL], now=now)


def test_an_assertion_proves_its_client(tx: Tx, signing: NewClient) -> None:
    text = assertion(signing.secret, scope="orders", jti="one", aud=[TOKEN_URL])
    asserted = use(tx, text)
    assert (asserted.client.client_id, asserted.scope) == ("program", "orders")
    assert accounts.claimed_issuer(text) == "program"
    with pytest.raises(AssertionFault, match="used before"):
        use(tx, text)
    # Without an id it holds until it ends.
    twice = assertion(signing.secret)
    assert use(tx, twice).scope == ""
    assert use(tx, twice).scope == ""


SECOND = int(NOW.timestamp())


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": "other"},
        {"sub": None},
        {"aud": "https://other.example.com/oauth/token"},
        {"aud": [TOKEN_URL, "https://other.example.com"]},
        {"aud": None},
        {"exp": None},
        {"exp": SECOND - 6},
        {"exp": SECOND + 3700},
        {"exp": "soon"},
        {"exp": True},
        {"iat": SECOND + 60},
        {"nbf": SECOND + 60},
        {"jti": ""},
        {"jti": 7},
        {"jti": "a\x00b"},
        {"jti": "x" * 256},
        {"scope": ["orders"]},
        {"iss": "nobody"},
        {"iss": None},
        {"iss": 7},
    ],
)
def test_an_assertion_with_a_wrong_claim_proves_nothing(
    tx: Tx, signing: NewClient, changed: dict[str, Any]
) -> None:
    with pytest.raises(AssertionFault):
        use(tx, assertion(signing.secret, **changed))


def test_an_assertion_that_the_client_did_not_sign_proves_nothing(
    tx: Tx, signing: NewClient
) -> None:
    key = RSAKey.generate_key(2048)
    text = assertion(signing.secret)
    head, body, _ = text.split(".")
    wrong = [
        assertion("x" * 43),
        assertion(signing.secret, header={"alg": "HS512"}),
        assertion(signing.secret, header={"typ": "at+jwt"}),
        assertion(signing.secret, key=key, header={"alg": "RS256"}),
        f"{head}.{body}.",
        f"{head}.{body}",
        "",
        "a.b.c",
        text + "=",
        text + "x" * 9000,
    ]
    for each in wrong:
        with pytest.raises(AssertionFault, match="not signed by a client"):
            use(tx, each)


def test_a_client_that_may_not_sign_proves_nothing(tx: Tx, signing: NewClient) -> None:
    text = assertion(signing.secret)
    accounts.disable_client(tx, "program", actor="operator", now=NOW)
    with pytest.raises(AssertionFault, match="not signed by a client"):
        use(tx, text)
    accounts.disable_client(tx, "program", disabled=False, actor="operator", now=NOW)
    with pytest.raises(AssertionFault, match="over"):
        use(tx, text, now=NOW + timedelta(hours=1))


def test_a_new_secret_ends_the_former_one(tx: Tx) -> None:
    former = add(tx, grants=["client_credentials", JWT_BEARER])
    sealed = select(api_clients.c.assertion_key).where(api_clients.c.client_id == former.client_id)
    new = accounts.rotate_client_secret(tx, former.client_id, box=BOX, actor="operator", now=NOW)
    assert accounts.check_client(tx, client_id=new.client_id, secret=former.secret) is None
    assert accounts.check_client(tx, client_id=new.client_id, secret=new.secret)
    # It signs assertions by the new one.
    assert BOX.unseal(tx.execute(sealed).scalar_one()).decode() == new.secret
    public = add(tx, client_id="public", public=True)
    with pytest.raises(Conflict):
        accounts.rotate_client_secret(tx, public.client_id, box=BOX, actor="operator", now=NOW)
