"""Identifiers: what is taken as one, and what is not."""

import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.kit.ids import INT64_MAX, new_secret, new_uuid, parse_number, parse_uuid

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@given(st.uuids())
def test_a_uuid_is_taken_in_any_case_and_kept_in_lower(given_: uuid.UUID) -> None:
    assert parse_uuid(str(given_)) == str(given_)
    assert parse_uuid(str(given_).upper()) == str(given_)


@pytest.mark.parametrize(
    "text",
    [
        "",
        UUID[:-1],
        UUID + "0",
        UUID.replace("-", ""),
        "{" + UUID[:-2] + "}",
        "urn:uuid:" + UUID,
        UUID.replace("-", "_"),
        " " + UUID[1:],
        UUID[:-1] + "\n",
        UUID + "\n",
        UUID[:-1] + "g",
        UUID.replace("5", "٥"),  # an Arabic five, which int() takes
        UUID.replace("f", "ſ"),
        "0f8fad5bd-9cb-469f-a165-70867728950e",
        "../../../../../../../../etc/passwd-x",
    ],
)
def test_what_is_no_uuid_in_canonical_form_is_none(text: str) -> None:
    assert parse_uuid(text) is None


@given(st.text(max_size=60))
def test_parsing_a_uuid_never_breaks(text: str) -> None:
    found = parse_uuid(text)
    assert found is None or str(uuid.UUID(found)) == found == text.lower()


@given(st.integers(1, INT64_MAX))
@example(INT64_MAX)
def test_a_number_comes_back(number: int) -> None:
    assert parse_number(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "01", "-1", "+1", "1.0", "1e3", " 1", "1\n", "1_000", "0x1", "٣", "²", "①"),
        *(str(INT64_MAX + 1), "9" * 19, "9" * 20, "1" * 5000),
    ],
)
def test_what_is_no_number_of_64_bits_is_none(text: str) -> None:
    assert parse_number(text) is None


def test_new_ids_and_secrets_differ_and_fit() -> None:
    ids = {new_uuid() for _ in range(200)}
    assert len(ids) == 200
    assert all(parse_uuid(each) == each and uuid.UUID(each).version == 4 for each in ids)
    secrets = {new_secret() for _ in range(200)}
    assert len(secrets) == 200
    assert all(len(each) == 43 for each in secrets)
