"""The key ring: sealed at rest, rotated without a gap."""

from datetime import timedelta

import pytest

from entrepot.core.accounts import (
    PURPOSES,
    Keyring,
    LinkKey,
    SecretBox,
    ensure_keys,
    issue_token,
    load_keyring,
    rotate_keys,
    verify_token,
)
from entrepot.core.accounts.tables import keys
from entrepot.core.delivery import sign_link, verify_link
from entrepot.db import Database, Tx
from entrepot.errors import Denied, Unavailable
from tests import factories

NOW = factories.NOW
SECOND = timedelta(seconds=1)
ISSUER = "https://hub.example.com"
BOX = SecretBox("a secret key of thirty-two characters")


@pytest.fixture
def ring(tx: Tx) -> Keyring:
    ensure_keys(tx, BOX, now=NOW)
    return load_keyring(tx, BOX, now=NOW)


def test_the_first_keys_are_made_once(tx: Tx, ring: Keyring) -> None:
    ensure_keys(tx, BOX, now=NOW + SECOND)
    again = load_keyring(tx, BOX, now=NOW + SECOND)
    assert list(again.token_keys) == list(ring.token_keys)
    assert list(again.link_keys) == list(ring.link_keys)
    assert len(ring.token_keys) == len(ring.link_keys) == 1
    assert ring.signing_link_key(NOW).secret == again.signing_link_key(NOW).secret


def test_what_is_sealed_opens_only_with_its_own_secret_key(tx: Tx, ring: Keyring) -> None:
    sealed = BOX.seal(b"secret")
    assert SecretBox("a secret key of thirty-two characters").unseal(sealed) == b"secret"
    assert BOX.seal(b"secret") != sealed
    for wrong in (sealed[:-4] + "AAAA", "", "x", sealed.swapcase()):
        with pytest.raises(Unavailable):
            BOX.unseal(wrong)
    other = SecretBox("another secret key of 32 characters..")
    with pytest.raises(Unavailable) as caught:
        load_keyring(tx, other, now=NOW)
    assert caught.value.code == "secret-key-wrong"
    assert "ENTREPOT_SECRET_KEY" in caught.value.remedy


def test_the_database_holds_no_key_in_the_open(tx: Tx, ring: Keyring) -> None:
    rows = tx.execute(keys.select()).all()
    private = ring.signing_token_key(NOW).key.as_dict(private=True)
    secret = ring.signing_link_key(NOW).secret
    for row in rows:
        text = repr(row)
        assert "PRIVATE KEY" not in text
        assert secret.hex() not in text
        assert all(str(private[part]) not in text for part in ("d", "p", "q"))


def test_the_public_set_holds_no_private_part(ring: Keyring) -> None:
    (key,) = ring.jwks()["keys"]
    assert set(key) == {"kty", "kid", "use", "alg", "n", "e"}
    assert (key["kid"], key["use"], key["alg"]) == (next(iter(ring.token_keys)), "sig", "RS256")


def test_before_its_time_a_key_does_not_sign(ring: Keyring) -> None:
    for sign in (ring.signing_token_key, ring.signing_link_key):
        with pytest.raises(Unavailable) as caught:
            sign(NOW - SECOND)
        assert caught.value.code == "keys-missing"


def test_an_empty_ring_says_what_to_do() -> None:
    with pytest.raises(Unavailable) as caught:
        Keyring({}, {}).signing_token_key(NOW)
    assert "entrepotd migrate" in caught.value.remedy


def test_tokens_outlive_a_rotation(tx: Tx, ring: Keyring) -> None:
    who = factories.add_user(tx, factories.add_organisation(tx))
    old = ring.signing_token_key(NOW).kid
    new = rotate_keys(tx, BOX, "token", actor="operator", now=NOW)

    # For five minutes the new key is published and does not sign.
    after = load_keyring(tx, BOX, now=NOW)
    assert [entry["kid"] for entry in after.jwks()["keys"]] == [old, new]
    last = NOW + 300 * SECOND
    assert after.signing_token_key(last - SECOND).kid == old
    assert after.signing_token_key(last).kid == new

    # A process that learns of it some seconds late still signs what will be verified.
    late = last + 30 * SECOND
    token = issue_token(tx, ring, who, issuer=ISSUER, now=late).value
    end = late + 3599 * SECOND
    assert verify_token(load_keyring(tx, BOX, now=end), token, issuer=ISSUER, now=end)

    # Then the old one is gone, and the new one alone is published.
    gone = last + 3661 * SECOND
    rest = load_keyring(tx, BOX, now=gone)
    assert list(rest.token_keys) == [new]
    assert verify_token(rest, token, issuer=ISSUER, now=gone) is None


def test_links_outlive_a_rotation(tx: Tx, ring: Keyring) -> None:
    old = ring.signing_link_key(NOW)
    new = rotate_keys(tx, BOX, "link", actor="operator", now=NOW)
    after = load_keyring(tx, BOX, now=NOW)
    assert after.signing_link_key(NOW + 9 * SECOND).kid == old.kid
    assert after.signing_link_key(NOW + 10 * SECOND).kid == new
    assert after.signing_link_key(NOW + 10 * SECOND).secret != old.secret

    signed_at = NOW + 30 * SECOND
    path = sign_link(old, lease_id="00" * 16, expires_at=signed_at + 600 * SECOND, file_name="a b")
    token, name = path.encode().split(b"/")
    end = signed_at + 599 * SECOND
    held = load_keyring(tx, BOX, now=end).link_keys
    assert verify_link(held, token, name, now=end).lease_id == "00" * 16
    rest = load_keyring(tx, BOX, now=NOW + 671 * SECOND).link_keys
    assert list(rest) == [new]
    with pytest.raises(Denied):
        verify_link(rest, token, name, now=end)


def test_a_link_key_of_the_same_name_with_another_secret_verifies_nothing(ring: Keyring) -> None:
    key = ring.signing_link_key(NOW)
    path = sign_link(key, lease_id="00" * 16, expires_at=NOW + SECOND, file_name="a")
    token, name = path.encode().split(b"/")
    with pytest.raises(Denied):
        verify_link({key.kid: LinkKey(key.kid, b"x" * 32, NOW)}, token, name, now=NOW)


def test_rotations_in_a_row_keep_every_key_that_may_have_signed(tx: Tx, ring: Keyring) -> None:
    first = ring.signing_token_key(NOW).kid
    second = rotate_keys(tx, BOX, "token", actor="operator", now=NOW)
    third = rotate_keys(tx, BOX, "token", actor="operator", now=NOW + SECOND)
    held = load_keyring(tx, BOX, now=NOW + 600 * SECOND)
    assert set(held.token_keys) == {first, second, third}
    assert held.signing_token_key(NOW + 600 * SECOND).kid == third
    assert list(load_keyring(tx, BOX, now=NOW + timedelta(days=1)).token_keys) == [third]


def test_a_rotation_leaves_the_other_purpose_alone(tx: Tx, ring: Keyring) -> None:
    rotate_keys(tx, BOX, "link", actor="operator", now=NOW)
    later = load_keyring(tx, BOX, now=NOW + timedelta(days=1))
    assert list(later.token_keys) == list(ring.token_keys)
    assert set(PURPOSES) == {"token", "link"}


def test_two_processes_that_start_at_once_agree(database: Database) -> None:
    for _ in range(2):
        with database.write() as tx:
            ensure_keys(tx, BOX, now=NOW)
    with database.read() as tx:
        assert len(load_keyring(tx, BOX, now=NOW).token_keys) == 1
