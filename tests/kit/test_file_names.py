"""File names that every customer's machine can take."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.errors import Invalid
from entrepot.kit.file_names import FILE_NAME_BYTES_MAX, check_file_name

GOOD = [
    "a",
    ".hidden",
    "file.tar.gz",
    "Cortex-M0 r1p0-00rel0 (docs).pdf",
    "naïve café.txt",
    "日本語.zip",
    "emoji 🎉.bin",
    "a" * 255,
    "ü" * 127,
    "console.txt",
    "com10.txt",
    "nul-and-void",
    "aux_file",
    "%2e%2e",
    "-rf",
    "$(reboot)",
    "a;b&c'd`e",
    "~",
    "...x",
]
NAUGHTY = [
    "",
    ".",
    "..",
    "...",
    "../x",
    "..\\x",
    "/etc/passwd",
    "\\\\server\\share",
    "C:x",
    "C:\\x",
    "x:stream",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x7fb",
    "a\x85b",
    "what?",
    "*",
    'quo"te',
    "<a>",
    "a|b",
    " lead",
    "trail ",
    "trail.",
    "trail. ",
    "\u3000wide",
    "nbsp\u00a0",
    "CON",
    "con",
    "Con.txt",
    "NUL",
    "nul.tar.gz",
    "NUL .txt",
    "PRN",
    "AUX",
    "COM1",
    "com9.log",
    "COM¹",
    "LPT³.x",
    "lpt0",
    "CONIN$",
    "conout$.x",
    "CLOCK$",
    "gpj.\u202eexe",
    "\u200eleft",
    "zero\u200bwidth",
    "\ufeffbom",
    "line\u2028separator",
    "paragraph\u2029separator",
    "lone\ud800surrogate",
    "private\ue000use",
    "un\U000e0fffassigned",
    "a" * 256,
    "ü" * 128,
    "é" * 200,
    "x" * 100_000,
]


@pytest.mark.parametrize("name", GOOD)
def test_good_names_are_kept(name: str) -> None:
    assert check_file_name(name, field="file_name") == name


@pytest.mark.parametrize("name", NAUGHTY, ids=ascii)
def test_naughty_names_are_refused_and_the_refusal_is_short_and_printable(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_file_name(name, field="file_name")
    assert caught.value.field == "file_name"
    assert caught.value.code == "file-name"
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1100


def test_names_are_composed() -> None:
    assert check_file_name("u\u0308.txt", field="f") == "ü.txt"
    # Composed, 85 * 3 bytes fit; as they came, 85 * 5 would not.
    assert check_file_name("e\u0302\u0301" * 85, field="f") == "\u1ebf" * 85


@given(st.text(max_size=300))
@example("\u037e")  # its normal form is ';'
@example("<\u0338")  # composed it is one harmless character
@example("\u1fef")
@example("K\u212a")
def test_what_passes_is_one_safe_component(name: str) -> None:
    try:
        checked = check_file_name(name, field="f")
    except Invalid:
        return
    assert checked == unicodedata.normalize("NFC", name)
    assert Path(checked).name == checked
    assert 1 <= len(checked.encode()) <= FILE_NAME_BYTES_MAX
    assert not set(checked) & set('/\\:*?"<>|\0')
    assert checked == checked.strip()
    assert not checked.endswith(".")
    assert check_file_name(checked, field="f") == checked
