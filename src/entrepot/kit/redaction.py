"""Take credentials out of text that is about to be written down.

It is the last line of defence: code should not log a secret in the first place. It errs on
the side of hiding too much. Every pattern is linear in the length of the text.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

HIDDEN = "[redacted]"

_NAMES = (
    r"passwords?|passwd|secrets?|tokens?|assertion|signature|code_verifier|device_code|"
    r"api[_-]?key|private[_-]?key"
)
# A value in quotes, also in those of a text that was quoted before.
_QUOTED = r"""b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|\\+["'][^"'\\]*\\+["']"""
_SEPARATOR = r"""(?:\\*["'])?\s{0,8}[:=]\s{0,8}|["']\s{0,8},\s{0,8}"""
# The key of a field whose whole value is a credential, however the key's parts are joined.
_SECRET_FIELD = re.compile(rf"(?:{_NAMES}|cookies?|authorization)$", re.IGNORECASE)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


# Each with its marks: one of them, in lower case, is in every text that the pattern changes.
# Looking for them is many times cheaper than the pattern, and most texts have none.
_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    # Our links authorise themselves: /dl/<token>/<file name>, also inside another URL.
    (
        ("/dl/", "dl%2f"),
        _pattern(r"((?:/|%2f)dl(?:/|%2f))(?:[^/\s\"'?#&<>%\\]++|%(?!2f))+"),
        rf"\1{HIDDEN}",
    ),
    (
        ("private key",),
        _pattern(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*(?:-----END[A-Z ]{0,48}-----)?"),
        HIDDEN,
    ),
    # Headers whose whole value is a credential: to the closing quote or the end of the line.
    (
        ("cookie", "authorization"),
        _pattern(rf"(cookies?|authorization)({_SEPARATOR})(?:{_QUOTED}|[^\r\n]+)"),
        rf"\1\2{HIDDEN}",
    ),
    (
        ("bearer", "dpop"),
        _pattern(r"\b(bearer|dpop)((?:\s|%20|\+){1,8})[A-Za-z0-9._~+/=-]+"),
        rf"\1\2{HIDDEN}",
    ),
    (("ept_",), re.compile(r"ept_[A-Za-z0-9_-]{16,}"), HIDDEN),
    (("eyj",), re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*"), HIDDEN),
    (
        (
            *("passw", "secret", "token", "assertion", "signature", "verifier", "device_code"),
            *("apikey", "api_key", "api-key", "privatekey", "private_key", "private-key"),
        ),
        _pattern(rf"({_NAMES})({_SEPARATOR}|%3d)(?:{_QUOTED}|[^\s&]+)"),
        rf"\1\2{HIDDEN}",
    ),
    (("code=",), _pattern(r"([?&]code=)[^\s&\"'#]+"), rf"\1{HIDDEN}"),
    # A URL with a password, such as that of a database.
    (("://",), _pattern(r"(://[^/\s:@]*:)[^@\s/]+(?=@)"), rf"\1{HIDDEN}"),
)
_MARKS = tuple(mark for marks, _, _ in _RULES for mark in marks)


def may_hold_secret(text: str) -> bool:
    """Whether `redact` could change `text`; False is certain, True is not."""
    return _holds_one(text.lower(), _MARKS)


def _holds_one(lowered: str, marks: tuple[str, ...]) -> bool:
    for mark in marks:  # noqa: SIM110 - half the price of any() over a generator
        if mark in lowered:
            return True
    return False


def redact(text: str) -> str:
    """`text` with signed links, tokens, passwords, cookies and keys replaced."""
    lowered = text.lower()
    if not _holds_one(lowered, _MARKS):
        return text
    for marks, pattern, replacement in _RULES:
        if _holds_one(lowered, marks):
            text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=1024)
def _names_secret(name: str) -> bool:
    return _SECRET_FIELD.search(name) is not None


def redact_value(value: object, *, name: str = "") -> object:
    """`value` for a record: text redacted, containers gone through, the rest as its text.

    Where `name`, the key it is filed under, says that it is a credential, all of it goes.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if _names_secret(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {redact(str(key)): redact_value(each, name=str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(each) for each in value]
    return redact(str(value))
