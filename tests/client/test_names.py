"""File names from a hub: safe on every system, unchanged where they are ordinary."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.batch import check_room_for_all, plan_names
from entrepot.client.errors import BadAnswer, DiskFull
from entrepot.client.layouts import Layout
from entrepot.client.names import NAME_BYTES_MAX, name_key, printable, safe_name

NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from('./\\:*?<>|" \x00\n\r\t\u202e\u2066\u200d\ud800'),
        st.sampled_from("conauxnul.COM1"),
    ),
    max_size=400,
)


@given(NASTY)
def test_a_safe_name_is_one_plain_component(raw: str) -> None:
    if not raw.strip():
        with pytest.raises(BadAnswer):
            safe_name(raw)
        return
    name = safe_name(raw)
    assert 0 < len(name.encode()) <= NAME_BYTES_MAX
    assert not set(name) & set('/\\:<>"|?*')
    assert name not in (".", "..")
    assert not name.startswith((".", " "))
    assert not name.endswith((".", " "))
    assert not {unicodedata.category(char) for char in name} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["installer.tar.gz", "DS000B-2022.2 (Linux).tgz", "名前-é.zip", "a", "x.y.z-1.10", "_con.txt"],
)
def test_an_ordinary_name_stays(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("../../etc/passwd", "__.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("..\\x", "__x"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM¹.log", "_COM¹.log"),
        (".bashrc", "_bashrc"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        ("a\x00b\nc", "a_b_c"),
        ("..", "artifact"),
        ("x. . ", "x"),
    ],
)
def test_known_tricks(raw: str, safe: str) -> None:
    assert safe_name(raw) == safe


def test_a_long_name_keeps_its_ending_and_whole_characters() -> None:
    name = safe_name("é" * 300 + ".tar.gz")
    assert name.endswith(".gz")
    assert len(name.encode()) <= NAME_BYTES_MAX


def test_artifacts_of_one_name_get_distinct_files() -> None:
    artifacts = [
        {"id": "aaaaaaaa-1", "fileName": "x.zip"},
        {"id": "bbbbbbbb-2", "fileName": "X.ZIP"},
        {"id": "bbbbbbbb-3", "fileName": "x.zip"},
        {"id": "cccccccc-4"},
    ]
    items = plan_names(artifacts)
    assert [item.name for item in items[:2]] == ["x.zip", "X-bbbbbbbb.ZIP"]
    assert len({name_key(item.name) for item in items}) == 4
    assert isinstance(items[3].error, BadAnswer)


def test_thousands_of_one_name_are_told_apart_at_once() -> None:
    items = plan_names([{"id": f"aaaaaaaa-{n}", "fileName": "x.zip"} for n in range(5000)])
    names = [item.name for item in items]
    assert names[:4] == ["x.zip", "x-aaaaaaaa.zip", "x-aaaaaaaa-2.zip", "x-aaaaaaaa-2-3.zip"]
    assert len({name_key(name) for name in names}) == 5000
    layout = Layout()
    places = [layout.place("P", "r", "1", f"aaaaaaaa-{n}", "x.zip") for n in range(5000)]
    assert places[1:3] == ["P/1/x-aaaaaaaa.zip", "P/1/x-aaaaaaaa-2.zip"]
    assert len({name_key(place) for place in places}) == 5000


@pytest.mark.parametrize("identity", ["/", "a\0b", "x" * 5000])
def test_an_artifact_without_a_name_is_looked_for_nowhere(tmp_path: Path, identity: str) -> None:
    check_room_for_all(plan_names([{"id": identity, "fileSize": 1}]), tmp_path)


def test_room_is_made_inside_of_the_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    theirs = tmp_path / ".other.0123456789abcdef.part"
    theirs.write_bytes(b"half of it")
    huge = {"id": "1", "fileName": "huge", "fileSize": 1 << 60}
    nameless = {"id": "../other", "fileSize": 1 << 60}
    with pytest.raises(DiskFull):
        check_room_for_all(plan_names([huge, nameless]), folder)
    assert theirs.exists()


def test_terminal_tricks_are_shown_not_obeyed() -> None:
    assert printable("a\x1b[31mb\u202e") == "a\\x1b[31mb\\u202e"


def test_of_ascii_only_what_is_printable_stays_as_it_is() -> None:
    """The short way that nearly every text takes gives what the long way would."""
    for code in range(128):
        shown = printable(chr(code))
        assert (shown == chr(code)) == (0x20 <= code < 0x7F), code
        assert printable(chr(code) + "\u00e9") == shown + "\u00e9"
        kept = safe_name(f"a{chr(code)}b")
        assert (kept == f"a{chr(code)}b") == (0x20 <= code < 0x7F and chr(code) not in '/\\:<>"|?*')
        assert safe_name(f"a{chr(code)}b\u00e9") == kept + "\u00e9"
