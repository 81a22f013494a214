"""Signed links: whatever is changed is refused, and only a genuine link learns that it is over."""

import base64
import string
from datetime import timedelta
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.core.accounts import LinkKey
from entrepot.core.delivery import SignedLink, key_id_of, sign_link, verify_link
from entrepot.errors import Denied, Gone
from tests.factories import NOW

ALPHABET = (string.ascii_letters + string.digits + "-_").encode()
KEY = LinkKey("00c0ffee", bytes(range(32)), NOW)
OTHER = LinkKey("decafbad", bytes(range(32, 64)), NOW)
SAME_ID = LinkKey("00c0ffee", bytes(range(64, 96)), NOW)
KEYS = {KEY.kid: KEY, OTHER.kid: OTHER}
LEASE = "00112233445566778899aabbccddeeff"
EXPIRY = NOW + timedelta(seconds=600)
NAME = "Cortex-M0 r1p0 (docs).tar.gz"


def segments(link: str) -> tuple[bytes, bytes]:
    """Token and name, as the raw path spells them."""
    token, _, name = link.encode().partition(b"/")
    return token, name


TOKEN, SPELLED = segments(sign_link(KEY, lease_id=LEASE, expires_at=EXPIRY, file_name=NAME))


def refused(token: bytes, name: bytes = SPELLED) -> bool:
    """Whether the link is refused as no link of ours, and with nothing else said."""
    try:
        verify_link(KEYS, token, name, now=NOW)
    except Denied as error:
        return error.code == "link-invalid" and bool(error.remedy)
    return False


@given(
    lease=st.binary(min_size=16, max_size=16).map(bytes.hex),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
    life=st.timedeltas(timedelta(milliseconds=1), timedelta(seconds=600)),
    key=st.sampled_from([KEY, OTHER]),
)
def test_a_link_says_what_was_signed(lease: str, name: str, life: timedelta, key: LinkKey) -> None:
    expires_at = NOW + timedelta(milliseconds=max(1, life // timedelta(milliseconds=1)))
    link = sign_link(key, lease_id=lease, expires_at=expires_at, file_name=name)
    token, spelled = segments(link)
    assert len(token) == 80
    assert set(token) <= set(ALPHABET)
    assert spelled == quote(name, safe="").encode()
    assert key_id_of(token) == key.kid
    assert verify_link(KEYS, token, spelled, now=NOW) == SignedLink(lease, expires_at)


def test_any_changed_character_of_the_token_is_refused() -> None:
    assert not refused(TOKEN)
    spellings = bytes(set(range(33, 127)) - {ord("/")})  # what a path segment can carry at all
    for at, kept in enumerate(TOKEN):
        for other in spellings:
            if other != kept:
                changed = TOKEN[:at] + bytes([other]) + TOKEN[at + 1 :]
                assert refused(changed), (at, chr(other))


def test_any_changed_bit_of_the_signed_bytes_is_refused() -> None:
    raw = base64.urlsafe_b64decode(TOKEN)
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        assert refused(base64.urlsafe_b64encode(changed)), bit


@pytest.mark.parametrize("lease", [LEASE, "ff" * 16, "fb" * 16])
def test_a_link_has_one_spelling(lease: str) -> None:
    token, name = segments(sign_link(KEY, lease_id=lease, expires_at=EXPIRY, file_name=NAME))
    assert not refused(token, name)
    plain = token.replace(b"-", b"+").replace(b"_", b"/")
    for other in (
        plain,
        token.replace(b"-", b"+"),
        token + b"=",
        token + b"==",
        token[:-1] + b"=",
        b" " + token,
        token + b"\n",
        token[:40] + b"\n" + token[40:],
        token.swapcase(),
        quote(token[:1], safe="").encode() + token[1:],
        b"%" + token[:1].hex().encode() + token[1:],
    ):
        assert other == token or refused(other, name), other


@given(
    name=st.binary(max_size=60)
    | st.builds(
        lambda at, byte: SPELLED[:at] + bytes([byte]) + SPELLED[at + 1 :],
        st.integers(0, len(SPELLED) - 1),
        st.integers(0, 255),
    )
)
@example(name=b"")
@example(name=SPELLED + b"/")
@example(name=b"/" + SPELLED)
@example(name=SPELLED.upper())
@example(name=SPELLED.replace(b"%28", b"("))
@example(name=SPELLED.replace(b"%20", b"+"))
@example(name=SPELLED.replace(b"%20", b" "))
@example(name=SPELLED + b"%00")
@example(name=SPELLED + b";x")
def test_any_other_name_is_refused(name: bytes) -> None:
    assert refused(TOKEN, name) == (name != SPELLED)


def test_the_name_counts_as_it_is_spelled() -> None:
    token, name = segments(sign_link(KEY, lease_id=LEASE, expires_at=EXPIRY, file_name="a/b ü.bin"))
    assert name == b"a%2Fb%20%C3%BC.bin"
    assert not refused(token, name)
    for other in (b"a%2fb%20%C3%BC.bin", b"a/b%20%C3%BC.bin", "a%2Fb%20ü.bin".encode()):
        assert refused(token, other)


def test_another_key_is_refused() -> None:
    for keys in ({}, {OTHER.kid: OTHER}, {SAME_ID.kid: SAME_ID}, {KEY.kid: OTHER}):
        with pytest.raises(Denied, match="not a valid link"):
            verify_link(keys, TOKEN, SPELLED, now=NOW)


@pytest.mark.parametrize("length", [0, 1, 40, 79, 81, 84, 160])
def test_another_length_is_refused(length: int) -> None:
    assert refused((TOKEN * 2)[:length])


@given(token=st.binary(max_size=200) | st.text(max_size=90).map(str.encode), name=st.binary())
@example(token=b"A" * 80, name=b"x")
@example(token=b"=" * 80, name=b"x")
@example(token=b"\xff" * 80, name=b"x")
def test_arbitrary_bytes_are_refused_and_nothing_breaks(token: bytes, name: bytes) -> None:
    assert refused(token, name)
    assert (key_id_of(token) is None) or len(token) == 80


@given(st.lists(st.sampled_from(ALPHABET), min_size=80, max_size=80).map(bytes))
def test_whatever_looks_like_a_token_is_refused(token: bytes) -> None:
    assert refused(token)


def test_a_link_lives_to_its_last_millisecond() -> None:
    last = EXPIRY - timedelta(milliseconds=1)
    assert verify_link(KEYS, TOKEN, SPELLED, now=last).expires_at == EXPIRY
    for moment in (EXPIRY, EXPIRY + timedelta(days=400)):
        with pytest.raises(Gone) as caught:
            verify_link(KEYS, TOKEN, SPELLED, now=moment)
        assert caught.value.code == "link-expired"
        assert "new link" in caught.value.remedy


def test_a_forged_link_is_never_told_that_it_is_over() -> None:
    late = EXPIRY + timedelta(days=1)
    raw = bytearray(base64.urlsafe_b64decode(TOKEN))
    raw[11] ^= 1  # the expiry
    for token, name in ((base64.urlsafe_b64encode(raw), SPELLED), (TOKEN, b"other")):
        with pytest.raises(Denied) as caught:
            verify_link(KEYS, token, name, now=late)
        assert caught.value.code == "link-invalid"
