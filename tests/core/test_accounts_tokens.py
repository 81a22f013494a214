"""Access tokens: what is signed, and everything that must not pass for one (RFC 8725)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey

from entrepot.core.accounts import (
    SCOPES,
    Keyring,
    Principal,
    SecretBox,
    disable_client,
    disable_user,
    ensure_keys,
    issue_token,
    load_keyring,
    principal_of,
    verify_token,
)
from entrepot.core.accounts.keyring import TokenKey
from entrepot.core.accounts.tokens import TOKEN_LENGTH_MAX
from entrepot.db import Tx
from entrepot.errors import Unauthenticated
from tests import factories

ISSUER = "https://hub.example.com"
NOW = factories.NOW
SECOND = timedelta(seconds=1)


@pytest.fixture
def keyring(tx: Tx) -> Keyring:
    box = SecretBox("s" * 32)
    ensure_keys(tx, box, now=NOW)
    return load_keyring(tx, box, now=NOW)


@pytest.fixture
def who(tx: Tx) -> Principal:
    return factories.add_user(tx, factories.add_organisation(tx, country="FR"))


def issue(tx: Tx, keyring: Keyring, who: Principal, **given: Any) -> str:
    return issue_token(tx, keyring, who, issuer=ISSUER, now=NOW, **given).value


def verify(keyring: Keyring, token: str, at: datetime = NOW) -> dict[str, Any] | None:
    return verify_token(keyring, token, issuer=ISSUER, now=at)


def claims_of(**changed: Any) -> dict[str, Any]:
    """Claims that hold; None leaves one out."""
    second = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": "1",
        "kind": "user",
        "iat": second,
        "exp": second + 60,
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


def sign(key: TokenKey, claims: dict[str, Any], **header: Any) -> str:
    """A token signed with the hub's own key, whatever it says."""
    fields = {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"} | header
    kept = {name: value for name, value in fields.items() if value is not None}
    return jwt.encode(kept, claims, key.key, algorithms=[fields["alg"]])


def encode(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def key(keyring: Keyring) -> TokenKey:
    return keyring.signing_token_key(NOW)


def test_a_persons_token_says_what_the_contract_asks_for(
    tx: Tx, keyring: Keyring, who: Principal
) -> None:
    claims = verify(keyring, issue(tx, keyring, who))
    assert claims is not None
    jti = claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": str(who.id),
        "client_id": "entrepot-portal",
        "kind": "user",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
        "scope": "entitlements orders products products.readonly publish admin",
        "ip_country": "FR",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "emails": [who.email],
    }
    other = verify(keyring, issue(tx, keyring, who))
    assert other is not None
    assert other["jti"] != jti
    assert principal_of(tx, claims) == who


def test_a_machines_token_carries_only_its_scopes(tx: Tx, keyring: Keyring) -> None:
    machine, _ = factories.add_client(tx, factories.add_organisation(tx), scopes=("publish",))
    claims = verify(keyring, issue(tx, keyring, machine))
    assert claims is not None
    assert claims["scope"] == "publish"
    assert claims["sub"] == claims["client_id"] == machine.label.removeprefix("client:")
    assert "emails" not in claims
    assert principal_of(tx, claims) == machine
    # What a token claims beyond the registration does not count.
    assert principal_of(tx, claims | {"scope": "publish admin"}).scopes == {"publish"}


def test_a_persons_scopes_are_those_of_the_token(tx: Tx, keyring: Keyring, who: Principal) -> None:
    claims = verify(keyring, issue(tx, keyring, who, scopes=("entitlements",)))
    assert claims is not None
    assert principal_of(tx, claims).scopes == {"entitlements"}
    assert principal_of(tx, {**claims, "scope": ""}).scopes == set()
    assert who.scopes == set(SCOPES)


def test_a_token_ends(tx: Tx, keyring: Keyring, who: Principal) -> None:
    token = issue(tx, keyring, who, seconds=60)
    assert verify(keyring, token, NOW + 59 * SECOND)
    with pytest.raises(Unauthenticated) as caught:
        verify(keyring, token, NOW + 61 * SECOND)
    assert caught.value.code == "token-expired"


def test_the_base_of_the_forgeries_is_itself_good(keyring: Keyring, key: TokenKey) -> None:
    assert verify(keyring, sign(key, claims_of()))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": None},
        {"iss": "https://other.example.com"},
        {"iss": ISSUER + "/"},
        {"aud": None},
        {"aud": "https://other.example.com"},
        {"aud": ["https://other.example.com"]},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 0},
        {"exp": -1},
        {"sub": None},
        {"nbf": int(NOW.timestamp()) + 30},
        {"iat": int(NOW.timestamp()) + 30},
    ],
    ids=str,
)
def test_claims_that_do_not_hold_are_refused(
    keyring: Keyring, key: TokenKey, changed: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        verify(keyring, sign(key, claims_of(**changed)))


def test_the_clock_of_the_node_that_issued_may_be_five_seconds_ahead(
    keyring: Keyring, key: TokenKey
) -> None:
    assert verify(keyring, sign(key, claims_of(iat=int(NOW.timestamp()) + 5)))
    with pytest.raises(Unauthenticated):
        verify(keyring, sign(key, claims_of(iat=int(NOW.timestamp()) + 6)))


@pytest.mark.parametrize(
    "header",
    [{"typ": None}, {"typ": "JWT"}, {"typ": "AT+JWT "}, {"alg": "RS384"}, {"alg": "PS256"}],
)
def test_another_type_or_algorithm_is_refused(
    keyring: Keyring, key: TokenKey, header: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        verify(keyring, sign(key, claims_of(), **header))
    assert caught.value.code == "token-invalid"


def test_no_signature_is_no_token(keyring: Keyring, key: TokenKey) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        header = encode({"alg": algorithm, "kid": key.kid, "typ": "at+jwt"})
        for signature in ("", "AA"):
            with pytest.raises(Unauthenticated):
                verify(keyring, f"{header}.{encode(claims_of())}.{signature}")


def test_the_public_key_is_no_shared_secret(keyring: Keyring, key: TokenKey) -> None:
    public = key.key.public_key
    assert isinstance(public, RSAPublicKey)
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(dict(key.public)).encode(),
        str(key.public["n"]).encode(),
        b"",
    ]
    for secret in secrets:
        header = encode({"alg": "HS256", "kid": key.kid, "typ": "at+jwt"})
        signed = f"{header}.{encode(claims_of())}"
        mac = encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())
        with pytest.raises(Unauthenticated):
            verify(keyring, f"{signed}.{mac}")


def test_a_key_that_comes_with_the_token_is_not_used(keyring: Keyring, key: TokenKey) -> None:
    own = RSAKey.generate_key(2048)
    entry = TokenKey(key.kid, own.as_pem(private=True), own.as_dict(private=False), NOW)
    for header in ({}, {"jwk": own.as_dict(private=False)}, {"x5u": "https://evil.example/c"}):
        with pytest.raises(Unauthenticated):
            verify(keyring, sign(entry, claims_of(), **header))


def test_an_unknown_key_is_said_to_be_unknown(keyring: Keyring, key: TokenKey) -> None:
    for kid in ("00000000", "../../etc/passwd", "", None):
        assert verify(keyring, sign(key, claims_of(), kid=kid)) is None


def test_what_is_no_token_is_refused(keyring: Keyring, key: TokenKey) -> None:
    good = sign(key, claims_of())
    crit = {"alg": "RS256", "kid": key.kid, "typ": "at+jwt", "crit": ["x"]}
    head, body, signature = good.split(".")
    for wrong in (
        "",
        "..",
        "a.b",
        "a.b.c.d",
        f"{good}.",
        f"{good}\n",
        f"{head}.{body}",
        f"{head}.{body}.{signature}=",
        f"{head}.{body}.",
        f"{encode(None)}.{body}.{signature}",
        f"{encode(b'{')}.{body}.{signature}",
        f"{encode(crit)}.{body}.{signature}",
        "é.é.é",
        "\ud800.a.b",
    ):
        with pytest.raises(Unauthenticated):
            verify(keyring, wrong)
    for header in (["alg"], "alg", {"alg": "RS256", "kid": [key.kid]}, {"alg": "RS256"}):
        assert verify(keyring, f"{encode(header)}.{body}.{signature}") is None


def test_claims_that_are_no_object_are_refused(keyring: Keyring, key: TokenKey) -> None:
    from joserfc import jws

    header = {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}
    for payload in (b"[]", b"1", b"null", b'"x"', b"{", b"\xff", b""):
        token = jws.serialize_compact(header, payload, key.key, algorithms=["RS256"])
        with pytest.raises(Unauthenticated):
            verify(keyring, token)


def test_a_token_has_a_longest_length(tx: Tx, keyring: Keyring, key: TokenKey) -> None:
    long = sign(key, claims_of(padding="x" * TOKEN_LENGTH_MAX))
    with pytest.raises(Unauthenticated):
        verify(keyring, long)
    # The longest names and address that an account can have still fit.
    longest = {"given_name": "Ü" * 200, "family_name": "Ü" * 200, "emails": ["ü" * 254]}
    assert verify(keyring, sign(key, claims_of(**longest)))


@pytest.fixture(scope="module")
def signed() -> Iterator[tuple[Keyring, str]]:
    """A key ring without a database, and a token signed by it."""
    generated = RSAKey.generate_key(2048, {"kid": "0a0b0c0d"})
    entry = TokenKey(
        "0a0b0c0d", generated.as_pem(private=True), generated.as_dict(private=False), NOW
    )
    yield Keyring({entry.kid: entry}, {}), sign(entry, claims_of())


@given(data=st.data())
def test_any_changed_character_is_refused(signed: tuple[Keyring, str], data: st.DataObject) -> None:
    keyring, token = signed
    # The very last character has bits to spare, which belong to no byte of the signature.
    at = data.draw(st.integers(0, len(token) - 2))
    new = data.draw(st.characters(codec="ascii").filter(lambda char: char != token[at]))
    changed = token[:at] + new + token[at + 1 :]
    try:
        claims = verify(keyring, changed)
    except Unauthenticated:
        return
    assert claims is None


def test_who_is_disabled_or_gone_is_nobody(tx: Tx, keyring: Keyring, who: Principal) -> None:
    machine, _ = factories.add_client(tx, who.organisation_id)
    claims = [verify(keyring, issue(tx, keyring, one)) or {} for one in (who, machine)]
    assert [principal_of(tx, each).id for each in claims] == [who.id, machine.id]
    disable_user(tx, who.id, actor="operator", now=NOW)
    disable_client(tx, machine.label.removeprefix("client:"), actor="operator", now=NOW)
    claims += [{**claims[0], "sub": "999999999"}, {**claims[1], "sub": "nobody"}]
    for each in claims:
        with pytest.raises(Unauthenticated) as caught:
            principal_of(tx, each)
        assert caught.value.code == "account-disabled"
    disable_user(tx, who.id, disabled=False, actor="operator", now=NOW)
    assert principal_of(tx, claims[0]) == who
