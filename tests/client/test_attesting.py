"""What a hub lists, held against what the publisher signed."""

import hashlib
from typing import Any

import pytest

from entrepot.client.answers import parse_json
from entrepot.client.attesting import attest
from entrepot.client.errors import BadAnswer, Untrusted
from entrepot.client.finding import match_artifacts
from entrepot.client.layouts import Layout
from entrepot.client.manifests import Manifest, ManifestFile

FILES = {"a": b"one", "b": b"two"}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


SIGNED = Manifest(
    "DS000B",
    "d2650553-3806-4c0e-92d7-2e46fd468074",
    "2022.2",
    "The publisher",
    None,
    tuple(
        ManifestFile(identity, f"{identity}.zip", len(data), digest(data), (b"\1" * 32,))
        for identity, data in FILES.items()
    ),
    b"{}",
)


def listed(identity: str, **changed: Any) -> dict[str, Any]:
    data = FILES.get(identity, b"")
    told = {
        "id": identity,
        "fileName": f"{identity}.zip",
        "fileSize": len(data),
        "sha256": digest(data),
    }
    return {key: value for key, value in (told | changed).items() if value is not None}


def test_what_is_listed_as_it_was_signed_is_expected_by_its_chunks() -> None:
    expected = attest(SIGNED, [listed("a"), listed("b")])
    assert {one: (each.size, each.digest) for one, each in expected.items()} == {
        one: (len(data), digest(data)) for one, data in FILES.items()
    }
    assert expected["a"].chunks == (b"\1" * 32,)
    assert set(attest(SIGNED, [listed("b")], whole=False)) == {"b"}
    # A hub that tells no SHA-256 is held to the signed one all the same.
    assert attest(SIGNED, [listed("a", sha256=None), listed("b")])["a"].digest == digest(b"one")


@pytest.mark.parametrize(
    "found",
    [
        [listed("a"), listed("b", fileName="../b.zip")],
        [listed("a"), listed("b", fileSize=4)],
        [listed("a"), listed("b", sha256="0" * 64)],
        [listed("a"), listed("b", fileSize=None)],
        [listed("a"), listed("b"), listed("c")],
        [listed("a")],
        [],
    ],
)
def test_what_is_listed_otherwise_added_or_hidden_is_refused(found: list[dict[str, Any]]) -> None:
    with pytest.raises(Untrusted):
        attest(SIGNED, found)


def test_a_code_that_is_made_a_plain_name_does_not_look_like_another() -> None:
    """A hub cannot put unsigned files where those of a signed product are looked for."""
    first = Layout().place("DS000B.", "r", "1.0", "a", "tool.bin").split("/")[0]
    assert first.startswith("DS000B-")
    assert Layout().place("DS000B", "r", "1.0", "a", "tool.bin") == "DS000B/1.0/tool.bin"


@pytest.mark.parametrize(
    "body",
    [
        rb'{"id": "\ud800"}',
        rb'["\uDFFF\ud83d"]',
        b'{"id": "\xed\xa0\x80"}',
        '["\ud800"]'.encode("utf-16-le", "surrogatepass"),
    ],
)
def test_text_that_cannot_be_written_is_no_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_json(body)


def test_text_that_can_be_written_is_one() -> None:
    assert parse_json(rb'["\ud83d\ude00", "\u00e9", "\\ud800"]') == [
        "\U0001f600",
        "\u00e9",
        "\\ud800",
    ]


@pytest.mark.parametrize("listed", [["a"], [None], [[]]])
def test_what_is_no_artifact_is_refused(listed: list[Any]) -> None:
    with pytest.raises(BadAnswer):
        match_artifacts(listed, [])
    with pytest.raises(Untrusted):
        attest(SIGNED, listed)
