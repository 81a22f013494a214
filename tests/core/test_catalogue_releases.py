"""Drafts, files, availability and withdrawal on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from entrepot.core import catalogue
from entrepot.core.catalogue import ArtifactSpec, ReleaseSpec
from entrepot.core.catalogue.releases import NewArtifact, add_artifacts, artifact_values
from entrepot.db import Database, Tx
from entrepot.errors import Conflict, EntrepotError, Invalid, NotFound
from tests import factories
from tests.factories import DAY, NOW, OPERATOR

NOBODY = "00000000-0000-4000-8000-000000000000"


def draft(tx: Tx, name: str = "1.0") -> str:
    product = catalogue.find_product(tx, factories.add_product(tx))
    return catalogue.create_release(tx, product.id, ReleaseSpec(name=name), actor=OPERATOR, now=NOW)


def add(tx: Tx, release_id: str, file_name: str, data: bytes = b"bytes", **values: Any) -> str:
    spec = ArtifactSpec(file_name=file_name, **values)
    digests = factories.digests_of(data)
    return catalogue.add_artifact(tx, release_id, spec, digests, actor=OPERATOR, now=NOW)


def test_a_release_goes_from_draft_to_available_to_withdrawn_and_back(tx: Tx) -> None:
    release_id = draft(tx)
    add(tx, release_id, "a.bin")
    assert catalogue.find_release(tx, release_id).state == catalogue.DRAFT
    catalogue.make_available(tx, release_id, actor=OPERATOR, now=NOW)
    row = catalogue.find_release(tx, release_id)
    assert (row.state, row.available_at) == (catalogue.AVAILABLE, NOW)
    with pytest.raises(Conflict) as caught:
        catalogue.make_available(tx, release_id, actor=OPERATOR, now=NOW)
    assert caught.value.code == "release-available"
    catalogue.withdraw_release(tx, release_id, actor=OPERATOR, now=NOW)
    assert catalogue.find_release(tx, release_id).state == catalogue.WITHDRAWN
    with pytest.raises(Conflict) as caught:
        catalogue.withdraw_release(tx, release_id, actor=OPERATOR, now=NOW)
    assert caught.value.code == "release-not-available"
    catalogue.make_available(tx, release_id, actor=OPERATOR, now=NOW + DAY)
    assert catalogue.find_release(tx, release_id).available_at == NOW, "the first date stays"


def test_a_release_needs_a_file(tx: Tx) -> None:
    release_id = draft(tx)
    with pytest.raises(Conflict) as caught:
        catalogue.make_available(tx, release_id, actor=OPERATOR, now=NOW)
    assert caught.value.code == "release-empty"


def test_files_are_added_to_and_removed_from_drafts_only(tx: Tx) -> None:
    release_id = draft(tx)
    first = add(tx, release_id, "a.bin")
    second = add(tx, release_id, "b.bin", b"other")
    removed = catalogue.remove_artifact(tx, release_id, first, actor=OPERATOR, now=NOW)
    assert removed == factories.digests_of(b"bytes").sha256
    third = add(tx, release_id, "a.bin", b"again")
    assert [row.id for row in catalogue.list_artifacts(tx, release_id)] == [second, third]
    catalogue.make_available(tx, release_id, actor=OPERATOR, now=NOW)
    for change in (
        lambda: add(tx, release_id, "c.bin"),
        lambda: catalogue.remove_artifact(tx, release_id, second, actor=OPERATOR, now=NOW),
        lambda: catalogue.discard_release(tx, release_id, actor=OPERATOR, now=NOW),
    ):
        with pytest.raises(Conflict) as caught:
            change()
        assert caught.value.code == "release-not-draft"


def test_a_draft_can_be_discarded_whole(tx: Tx) -> None:
    release_id = draft(tx)
    add(tx, release_id, "a.bin", b"one")
    add(tx, release_id, "b.bin", b"two")
    found = catalogue.discard_release(tx, release_id, actor=OPERATOR, now=NOW)
    assert set(found) == {factories.digests_of(data).sha256 for data in (b"one", b"two")}
    with pytest.raises(NotFound):
        catalogue.find_release(tx, release_id)


def test_an_artifact_is_found_in_its_own_release_only(tx: Tx) -> None:
    one, two = draft(tx), draft(tx)
    artifact_id = add(tx, one, "a.bin", b"12345")
    row = catalogue.find_artifact(tx, one, artifact_id)
    assert (row.file_name, row.size, row.position) == ("a.bin", 5, 1)
    for release_id, wanted in ((two, artifact_id), (one, NOBODY), ("x", artifact_id), (one, "x")):
        with pytest.raises(NotFound):
            catalogue.find_artifact(tx, release_id, wanted)


def test_a_release_name_is_taken_once_a_product(tx: Tx) -> None:
    product = catalogue.find_product(tx, factories.add_product(tx))
    spec = ReleaseSpec(name="1.0")
    catalogue.create_release(tx, product.id, spec, actor=OPERATOR, now=NOW)
    with pytest.raises(Conflict) as caught:
        catalogue.create_release(tx, product.id, spec, actor=OPERATOR, now=NOW)
    assert caught.value.code == "name-taken"
    draft(tx, "1.0")  # another product may have it as well
    assert catalogue.count_releases(tx, product.id) == 1


@pytest.mark.parametrize("other", ["cafe\u0301.bin", "CAF\u00c9.bin", "caf\u00e9.BIN"])
def test_a_file_name_is_taken_once_a_release_whatever_its_form_and_case(tx: Tx, other: str) -> None:
    release_id = draft(tx)
    add(tx, release_id, "caf\u00e9.bin")
    with pytest.raises(Conflict) as caught:
        add(tx, release_id, other)
    assert caught.value.code == "file-name-taken"
    assert len(catalogue.list_artifacts(tx, release_id)) == 1
    of_other = artifact_values(ArtifactSpec(other))
    twice = [NewArtifact(of_other, factories.digests_of(b"bytes"))] * 2
    with pytest.raises(Conflict) as caught:
        add_artifacts(tx, draft(tx), twice, actor=OPERATOR, now=NOW)
    assert caught.value.code == "file-name-taken"


@pytest.mark.parametrize(
    "file_name", ["", ".", "..", "a/b", "a\\b", "NUL.txt", "a\nb", "a.", " a", "\u202ea", "x" * 256]
)
def test_a_file_name_is_safe_everywhere(tx: Tx, file_name: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, draft(tx), file_name)
    assert (caught.value.field, caught.value.code) == ("file_name", "file-name")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "x" * 256}, "name"),
        ({"description": "a\tb"}, "description"),
        ({"type": ""}, "type"),
        ({"repository": ""}, "repository"),
        ({"content_type": "text/html; charset=utf-8"}, "content_type"),
        ({"content_type": "text"}, "content_type"),
    ],
)
def test_a_bad_field_of_a_file_is_named(tx: Tx, values: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(tx, draft(tx), "a.bin", b"bytes", **values)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (ReleaseSpec(name=""), "name"),
        (ReleaseSpec(name="1.0", quality="not one"), "quality"),
        (ReleaseSpec(name="1.0", quality=""), "quality"),
        (ReleaseSpec(name="1.0", revision="x" * 65), "revision"),
        (ReleaseSpec(name="1.0", patch="\n"), "patch"),
        (ReleaseSpec(name="1.0", major_version=""), "major_version"),
        (ReleaseSpec(name="1.0", minor_version="a\rb"), "minor_version"),
        (ReleaseSpec(name="1.0", type=""), "type"),
    ],
)
def test_a_bad_field_of_a_release_is_named(tx: Tx, spec: ReleaseSpec, field: str) -> None:
    product = catalogue.find_product(tx, factories.add_product(tx))
    with pytest.raises(Invalid) as caught:
        catalogue.create_release(tx, product.id, spec, actor=OPERATOR, now=NOW)
    assert caught.value.field == field


def test_quality_is_upper_case_and_types_are_guessed(tx: Tx) -> None:
    product = catalogue.find_product(tx, factories.add_product(tx))
    spec = ReleaseSpec(name="1.0", quality=" beta ")
    release_id = catalogue.create_release(tx, product.id, spec, actor=OPERATOR, now=NOW)
    assert catalogue.find_release(tx, release_id).quality == "BETA"
    for file_name, content_type in (
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ):
        row = catalogue.find_artifact(tx, release_id, add(tx, release_id, file_name))
        assert row.content_type == content_type


def test_a_repository_that_says_controlled_makes_a_file_controlled(tx: Tx) -> None:
    release_id = draft(tx)
    plain = add(tx, release_id, "a.bin")
    held = add(tx, release_id, "b.bin", repository="eu-controlled-1")
    assert catalogue.find_artifact(tx, release_id, plain).controlled is False
    assert catalogue.find_artifact(tx, release_id, held).controlled is True


@pytest.mark.parametrize(
    "name",
    ["controled", "eu_Controlled-2", "CONTROLLED", "contoled.eu", "export-control", "conrtolled9"],
)
def test_a_repository_that_nearly_says_controlled_is_refused_unless_meant(
    tx: Tx, name: str
) -> None:
    release_id = draft(tx)
    with pytest.raises(Invalid) as caught:
        add(tx, release_id, "a.bin", repository=name)
    assert (caught.value.field, caught.value.code) == ("repository", "repository-doubtful")
    assert "uncontrolled" in caught.value.remedy
    meant = add(tx, release_id, "a.bin", repository=name, uncontrolled=True)
    assert catalogue.find_artifact(tx, release_id, meant).controlled is False


@pytest.mark.parametrize("name", ["general", "contracts", "controls", "my-files", "zur-probe"])
def test_other_names_of_repositories_are_nobodys_slip(tx: Tx, name: str) -> None:
    release_id = draft(tx)
    row = catalogue.find_artifact(tx, release_id, add(tx, release_id, "a.bin", repository=name))
    assert (row.repository, row.controlled) == (name, False)


def test_a_group_has_no_releases_of_its_own(tx: Tx) -> None:
    code = factories.add_product(tx)
    group = catalogue.find_product(tx, factories.add_product(tx, members=[code]))
    with pytest.raises(Invalid) as caught:
        catalogue.create_release(tx, group.id, ReleaseSpec(name="1.0"), actor=OPERATOR, now=NOW)
    assert caught.value.field == "product"
    with pytest.raises(NotFound):
        catalogue.create_release(tx, 10**12, ReleaseSpec(name="1.0"), actor=OPERATOR, now=NOW)


def test_releases_come_newest_first_drafts_by_their_making(tx: Tx) -> None:
    product = factories.add_product(tx)
    number = catalogue.find_product(tx, product).id
    for name, age in (("old", 9), ("new", 1), ("mid", 5)):
        factories.add_release(tx, product, name=name, available_at=NOW - age * DAY)
    factories.add_release(tx, product, name="draft", draft=True)
    names = [row.name for row in catalogue.list_releases(tx, number)]
    assert names == ["draft", "new", "mid", "old"]
    assert [row.name for row in catalogue.list_releases(tx, number, skip=1, take=2)] == names[1:3]
    assert catalogue.count_releases(tx, number) == 4


def test_files_added_at_once_get_places_of_their_own(database: Database) -> None:
    with database.write() as tx:
        release_id = draft(tx)

    def add_one(number: int) -> str:
        with database.write() as tx:
            return add(tx, release_id, f"{number}.bin", b"the same bytes")

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(add_one, range(8)))
    with database.read() as tx:
        rows = catalogue.list_artifacts(tx, release_id)
    assert [row.position for row in rows] == list(range(1, 9))
    assert {row.id for row in rows} == set(made)


def test_no_file_slips_into_a_release_that_is_being_shown(database: Database) -> None:
    for _ in range(5):
        with database.write() as tx:
            release_id = draft(tx)
            add(tx, release_id, "a.bin")

        def show(release_id: str = release_id) -> None:
            with database.write() as tx:
                catalogue.make_available(
                    tx, release_id, actor=OPERATOR, now=NOW + timedelta(seconds=1)
                )

        def slip_in(release_id: str = release_id) -> bool:
            try:
                with database.write() as tx:
                    add(tx, release_id, "b.bin")
            except EntrepotError as error:
                assert error.code == "release-not-draft"
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            shown, slipped = threads.submit(show), threads.submit(slip_in)
            shown.result()
            added = slipped.result()
        with database.read() as tx:
            assert len(catalogue.list_artifacts(tx, release_id)) == 1 + added
