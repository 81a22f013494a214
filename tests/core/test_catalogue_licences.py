"""Licences and their revisions on both databases."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrepot.core import catalogue
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, Invalid, NotFound
from tests.factories import DAY, NOW, OPERATOR


def add(tx: Tx, code: str = "EULA-1", text: str = "First text") -> int:
    return catalogue.add_licence(tx, code=code, name="Licence", text=text, actor=OPERATOR, now=NOW)


def test_a_new_text_is_a_new_revision(tx: Tx) -> None:
    add(tx)
    later = NOW + DAY
    assert (
        catalogue.revise_licence(tx, code="EULA-1", text="Second\ntext", actor="user:1", now=later)
        == 2
    )
    newest = catalogue.find_revision(tx, "EULA-1")
    assert (newest.revision, newest.text, newest.published_at) == (2, "Second\ntext", later)
    assert newest.sha256 == hashlib.sha256(b"Second\ntext").hexdigest()
    assert catalogue.find_revision(tx, "EULA-1", 1).text == "First text"
    [row] = [row for row in catalogue.list_licences(tx) if row.code == "EULA-1"]
    assert row.revision == 2


def test_a_code_is_taken_once(tx: Tx) -> None:
    before = catalogue.count_licences(tx)
    add(tx)
    with pytest.raises(Conflict) as caught:
        add(tx)
    assert caught.value.code == "code-taken"
    assert catalogue.count_licences(tx) == before + 1


@pytest.mark.parametrize("code", ["", "a b", "-a", "ä", "a" * 65])
def test_a_code_is_plain(tx: Tx, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, code=code)
    assert caught.value.field == "code"


@pytest.mark.parametrize("text", ["", " \n", "x" * 1_000_001, "nul \0", "half \udc00"])
def test_a_text_can_be_read_and_stored(tx: Tx, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, text=text)
    assert caught.value.field == "text"


def test_what_is_not_there_is_not_found(tx: Tx) -> None:
    add(tx)
    for code, revision in (("EULA-2", None), ("EULA-1", 2), ("a\0b", None), ("\ud800", 1)):
        with pytest.raises(NotFound):
            catalogue.find_revision(tx, code, revision)
    with pytest.raises(NotFound):
        catalogue.revise_licence(tx, code="a\0b", text="text", actor=OPERATOR, now=NOW)


def test_two_revisions_at_once_get_numbers_of_their_own(database: Database) -> None:
    with database.write() as tx:
        add(tx)

    def revise(text: str) -> int:
        try:
            with database.write() as tx:
                return catalogue.revise_licence(
                    tx, code="EULA-1", text=text, actor=OPERATOR, now=NOW
                )
        except Conflict:
            return 0

    with ThreadPoolExecutor(4) as threads:
        numbers = [n for n in threads.map(revise, map(str, range(4))) if n]
    assert sorted(numbers) == list(range(2, 2 + len(numbers)))
    assert len(numbers) >= 1
