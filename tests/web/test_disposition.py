import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from entrepot.web.http.disposition import FILE_NAME_BYTES_MAX, attachment, safe_file_name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool-1.2.tar.gz", 'attachment; filename="tool-1.2.tar.gz"'),
        ("a b;c.zip", 'attachment; filename="a b;c.zip"'),
        (
            'say "hi".txt',
            "attachment; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt",
        ),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        (
            "Übergröße.pdf",
            "attachment; filename=\"Ubergro_e.pdf\"; filename*=UTF-8''%C3%9Cbergr%C3%B6%C3%9Fe.pdf",
        ),
        ("日本.zip", "attachment; filename=\"__.zip\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.zip"),
        ("../../etc/passwd", 'attachment; filename=".._.._etc_passwd"'),
        ("a\r\nSet-Cookie: b=c", 'attachment; filename="aSet-Cookie: b=c"'),
        ("invoice\u202efdp.exe", 'attachment; filename="invoicefdp.exe"'),
        ("", 'attachment; filename="download"'),
        ("..", 'attachment; filename="download"'),
        ("\x00\u200b\u2066", 'attachment; filename="download"'),
        ("\ud800a", 'attachment; filename="a"'),
    ],
)
def test_known_names(name: str, value: str) -> None:
    assert attachment(name) == value.encode()


def test_a_long_name_keeps_its_extension() -> None:
    assert safe_file_name("é" * 300 + ".tar.gz") == "é" * 126 + ".gz"
    assert safe_file_name("é" * 300) == "é" * 127
    assert safe_file_name("." + "x" * 300) == "." + "x" * 254


def test_joiners_stay_because_scripts_and_emoji_need_them() -> None:
    assert safe_file_name("👩\u200d💻.txt") == "👩\u200d💻.txt"


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_any_name_gives_one_safe_header_that_a_client_reads_back(name: str) -> None:
    value = attachment(name).decode("ascii")
    assert all(" " <= char <= "~" for char in value)
    safe = safe_file_name(name)
    assert 0 < len(safe.encode()) <= FILE_NAME_BYTES_MAX
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in safe)
    assert not set(safe) & set("/\\\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e")
    kind, options = parse_options_header(value)
    assert kind == "attachment"
    assert options["filename"] == safe
    quoted = re.fullmatch(
        r'attachment; filename="([^"\\%]*)"(?:; filename\*=UTF-8\'\'(\S+))?', value
    )
    assert quoted
    assert unquote(quoted[2] or quoted[1]) == safe
