"""Choosing, laying out, planning and pinning, as properties over hubs drawn at random."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.client.choices import (
    EVERYTHING,
    Choice,
    Chosen,
    choose,
    parse_choices,
    takes_product,
)
from entrepot.client.errors import Denied, InvalidUse, LocalFileError, Unreachable
from entrepot.client.layouts import check_folders, check_path
from entrepot.client.lock_files import (
    LockFile,
    differences,
    lock_of,
    parse_lock,
    read_lock,
    save_lock,
    write_lock,
)
from entrepot.client.mirror_state import (
    HeldFile,
    MirrorState,
    Seen,
    holding,
    load_state,
    parse_state,
    save_state,
    write_state,
)
from entrepot.client.names import name_key
from entrepot.client.offers import OfferedFile, OfferedRelease, Withheld
from entrepot.client.sync_plans import REMOVABLE, Fate, Plan, plan_sync

CODES = ("DS000B", "ds000b", "entrepot.lock", "CON", "../up")
NAMES = ("1.0", "1.0 ", "2022.2", "..", "a/b", "latest")
FILES = ("a.tgz", "A.tgz", "b.zip", "nul.txt", ".hidden", "x/../../y")


@st.composite
def hubs(draw: st.DrawFn) -> list[OfferedRelease]:
    """Up to six releases; ids are theirs alone, names are not."""
    found = []
    for at in range(draw(st.integers(0, 6))):
        files = tuple(
            OfferedFile(
                f"{at}{number}000000-artifact",
                draw(st.sampled_from(FILES)),
                draw(st.integers(0, 9)),
                draw(st.sampled_from("ab")) * 64,
            )
            for number in range(draw(st.integers(1, 3)))
        )
        found.append(
            OfferedRelease(
                draw(st.sampled_from(CODES)),
                f"{at}0000000-release",
                draw(st.sampled_from(NAMES)),
                draw(st.sampled_from(["2022-01-01", "2023-01-01", "2024-01-01"])),
                ("1",),
                files,
            )
        )
    return found


choices_drawn = st.lists(
    st.builds(
        Choice,
        product=st.sampled_from([*CODES, "*", "DS*"]),
        versions=st.sampled_from([(), ("2022.*",), ("1.0", "LATEST")]),
        artifacts=st.sampled_from([(), ("*.tgz",)]),
        newest=st.sampled_from([None, 1, 2]),
    ),
    min_size=1,
    max_size=3,
)


def held_of(chosen: Sequence[Chosen], plan: Plan) -> dict[str, HeldFile]:
    """What is known once everything of a plan is done."""
    return {
        step.path: HeldFile(
            step.release.product,
            step.release.id,
            step.release.name,
            step.file.artifact_id,
            "1",
            step.file.size,
            step.file.sha256,
            7,
        )
        for step in plan.steps
    }


def plan_for(
    hub: Sequence[OfferedRelease],
    choices: Sequence[Choice],
    files: Mapping[str, HeldFile],
    *,
    withheld: Sequence[Withheld] = (),
    spoiled: str = "",
) -> tuple[list[Chosen], Plan]:
    chosen, _ = choose(choices, hub)

    def look(path: str) -> Seen | None:
        held = files.get(path)
        return None if held is None or path == spoiled else Seen(held.size, held.mtime_ns, True)

    return chosen, plan_sync(chosen, hub, withheld, takes_product(choices), files, look)


@settings(max_examples=80)
@given(hub=hubs(), later=hubs(), choices=choices_drawn)
def test_what_is_done_is_done_and_only_what_differs_is_fetched(
    hub: list[OfferedRelease], later: list[OfferedRelease], choices: list[Choice]
) -> None:
    chosen, plan = plan_for(hub, choices, {})
    wanted = {file.artifact_id for one in chosen for file in one.files}
    assert {step.file.artifact_id for step in plan.steps} == wanted
    assert {step.why for step in plan.steps} <= {"new"}
    keys = [name_key(step.path) for step in plan.steps]
    assert len(set(keys)) == len(keys), "no two files in one place"
    for step in plan.steps:
        assert check_path(step.path) == step.path
        assert name_key(step.path.split("/")[0]) not in ("entrepot.toml", "entrepot.lock")

    files = held_of(chosen, plan)
    _, again = plan_for(hub, choices, files)
    assert {step.path: step.why for step in again.steps} == dict.fromkeys(files, "complete")
    assert again.leftovers == ()

    _, changed = plan_for(later, choices, files)
    planned = {step.path for step in changed.steps}
    assert not planned & {one.path for one in changed.leftovers}
    assert planned | {one.path for one in changed.leftovers} >= set(files), "nothing is forgotten"
    for step in changed.steps:
        before = files.get(step.path)
        if before is not None:
            assert before.artifact_id == step.file.artifact_id, "what has a place keeps it"
            same = (before.sha256, before.size) == (step.file.sha256, step.file.size)
            assert step.why == ("complete" if same else "changed")


@settings(max_examples=40)
@given(hub=hubs().filter(bool), data=st.data())
def test_what_is_missing_is_looked_at_and_what_is_unsure_stays(
    hub: list[OfferedRelease], data: st.DataObject
) -> None:
    chosen, plan = plan_for(hub, EVERYTHING, {})
    files = held_of(chosen, plan)
    spoiled = data.draw(st.sampled_from(sorted(files)))
    _, again = plan_for(hub, EVERYTHING, files, spoiled=spoiled)
    assert [step.path for step in again.to_fetch()] == [spoiled]
    error = Unreachable("no answer")
    withheld = [Withheld("1", release.product, error) for release in hub]
    _, cut_off = plan_for([], EVERYTHING, files, withheld=withheld)
    assert {one.fate for one in cut_off.leftovers} == {"unsure"}
    over_now = Denied("ended", reason="entitlement-expired")
    ended = [Withheld("1", release.product, over_now) for release in hub]
    _, known = plan_for([], EVERYTHING, files, withheld=ended)
    assert {one.fate for one in known.leftovers} == {"ended"}
    for reason in ("", "entitlement-suspended", "entitlement-blocked", "licence-required"):
        for_now = [Withheld("1", release.product, Denied("no", reason=reason)) for release in hub]
        _, unsure = plan_for([], EVERYTHING, files, withheld=for_now)
        assert {one.fate for one in unsure.leftovers} == {"unsure"}
    ended = [Withheld("another", release.product, over_now) for release in hub]
    _, over = plan_for([], EVERYTHING, files, withheld=ended)
    assert {one.fate for one in over.leftovers} == {"missing"}
    first = next(iter(over.missing_releases()))
    fates: dict[str, Fate] = dict.fromkeys(over.missing_releases(), "withdrawn")
    told = over.with_fates({**fates, first: "unsure"})
    assert {one.fate for one in told.leftovers} <= {"withdrawn", "unsure"}
    assert all((one.fate in REMOVABLE) == (one.held.release_id != first) for one in told.leftovers)


@settings(max_examples=60)
@given(hub=hubs(), choices=choices_drawn)
def test_choices_take_the_newest_that_match_and_tell_which_mean_nothing(
    hub: list[OfferedRelease], choices: list[Choice]
) -> None:
    chosen, empty = choose(choices, hub)
    for one in chosen:
        assert any(choice.takes_product(one.release.product) for choice in choices)
        assert set(one.files) <= set(one.release.files)
    assert chosen == choose(choices, list(reversed(hub)))[0], "whatever order the hub has"
    for choice in choices:
        alone, nothing = choose([choice], hub)
        assert bool(nothing) == (not alone) == (choice in empty)
        if choice.newest is not None:
            by_product = [one.release.product for one in alone]
            assert all(by_product.count(code) <= choice.newest for code in by_product)


@settings(max_examples=60)
@given(hub=hubs())
def test_a_lock_is_the_same_bytes_however_often_it_is_written(hub: list[OfferedRelease]) -> None:
    chosen, _ = choose(EVERYTHING, hub)
    lock = lock_of("https://hub.example.com", chosen, manifests={"00000000-release": "c" * 64})
    raw = write_lock(lock)
    assert parse_lock(raw) == lock
    assert write_lock(parse_lock(raw)) == raw
    shuffled = LockFile(lock.hub, tuple(reversed(lock.releases)))
    assert write_lock(shuffled) == raw
    assert lock_of(lock.hub, chosen, manifests={"00000000-release": "c" * 64}, before=lock) == lock
    offered = {(one.product, one.id): one for one in hub}
    for release in lock.releases:
        found = offered[release.product, release.id]
        assert differences(release, found, found.files) == []
        spoiled = [
            OfferedFile(file.artifact_id, file.name, file.size, "c" * 64) for file in found.files
        ]
        other = OfferedRelease(*_with_files(found, spoiled))
        assert len(differences(release, other, other.files)) == len(release.files)
        fewer = OfferedRelease(*_with_files(found, spoiled[:0]))
        assert len(differences(release, fewer, ())) == len(release.files)
        added = [*found.files, OfferedFile("new", "new.bin", 1, "d" * 64)]
        more = OfferedRelease(*_with_files(found, added))
        assert len(differences(release, more, more.files)) == 1


def _with_files(
    release: OfferedRelease, files: Sequence[OfferedFile]
) -> tuple[str, str, str, str, tuple[str, ...], tuple[OfferedFile, ...]]:
    return (
        release.product,
        release.id,
        release.name,
        release.available_at,
        release.entitlements,
        tuple(files),
    )


@settings(max_examples=30)
@given(hub=hubs())
def test_the_state_is_read_as_it_was_written(hub: list[OfferedRelease]) -> None:
    chosen, plan = plan_for(hub, EVERYTHING, {})
    state = MirrorState("https://hub.example.com", held_of(chosen, plan), {"r": "gone"})
    assert parse_state(write_state(state)) == state


GOOD = {
    "format": "entrepot-lock",
    "version": 1,
    "hub": "https://hub.example.com",
    "releases": [
        {
            "product": "P",
            "id": "r",
            "name": "1.0",
            "requested": [{"releases": "all"}],
            "files": [{"path": "P/1.0/a", "id": "f", "size": 1, "sha256": "a" * 64}],
        }
    ],
}


def _spoilt(**file: object) -> dict[str, object]:
    told = json.loads(json.dumps(GOOD))
    told["releases"][0]["files"][0] |= file
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize(
    "told",
    [
        [],
        GOOD | {"version": 2},
        GOOD | {"format": "other"},
        {key: value for key, value in GOOD.items() if key != "hub"},
        GOOD | {"releases": [GOOD["releases"][0], GOOD["releases"][0]]},  # type: ignore[index]
        _spoilt(path="../../etc/passwd"),
        _spoilt(path="/P/1.0"),
        _spoilt(path="P/1.0/.."),
        _spoilt(path="P\\1.0\\a"),
        _spoilt(path="P/1.0/a/b"),
        _spoilt(path=".entrepot/x/y"),
        _spoilt(size=-1),
        _spoilt(size=True),
        _spoilt(sha256="A" * 64),
        _spoilt(id=""),
    ],
)
def test_a_lock_file_that_somebody_has_meddled_with_is_refused(told: object) -> None:
    parse_lock(json.dumps(GOOD).encode())
    with pytest.raises(InvalidUse):
        parse_lock(json.dumps(told).encode())


def test_a_lock_file_is_replaced_only_where_it_differs(tmp_path: Path) -> None:
    path, lock = tmp_path / "entrepot.lock", parse_lock(json.dumps(GOOD).encode())
    assert (save_lock(path, lock), save_lock(path, lock)) == (True, False)
    assert read_lock(path) == lock
    with pytest.raises(InvalidUse, match="no"):
        read_lock(tmp_path / "none")


def test_the_file_of_choices_is_read_and_its_faults_are_named() -> None:
    text = """
    releases = "latest"
    [[product]]
    code = "DS000B"
    versions = ["2022.*"]
    releases = 3
    [[product]]
    code = "DS*"
    artifacts = "*.tgz"
    """
    assert parse_choices(text) == (
        Choice("DS000B", ("2022.*",), (), 3),
        Choice("DS*", (), ("*.tgz",), 1),
    )
    assert parse_choices("") == EVERYTHING
    faults = {
        "= 1": "TOML",
        "release = 1": "'release'",
        "releases = 0": "releases",
        "releases = true": "releases",
        "product = 1": "list",
        "product = [1]": "product 1",
        "[[product]]": "code",
        '[[product]]\ncode = "A"\nversion = "1"': "'version'",
        '[[product]]\ncode = "A"\nversions = ["latest"]': "releases = ",
        '[[product]]\ncode = "A"\nversions = [1]': "versions",
        '[[product]]\ncode = "A"\nreleases = "newest"': "releases",
    }
    for wrong, named in faults.items():
        with pytest.raises(InvalidUse) as caught:
            parse_choices(wrong)
        assert named in caught.value.message


def test_a_folder_belongs_to_one_hub_and_one_command(tmp_path: Path) -> None:
    save_state(tmp_path, MirrorState("https://one.example.com"))
    assert load_state(tmp_path, "https://one.example.com").files == {}
    with pytest.raises(InvalidUse, match="in step with"):
        load_state(tmp_path, "https://two.example.com")
    with holding(tmp_path), pytest.raises(LocalFileError, match="Another"), holding(tmp_path):
        pass
    with holding(tmp_path):
        pass
    (tmp_path / ".entrepot" / "state.json").write_text('{"format": "entrepot-sync"}')
    with pytest.raises(LocalFileError, match="damaged"):
        load_state(tmp_path, None)


def test_nothing_is_written_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "P").mkdir()
    check_folders(tmp_path, ["P/1.0/a"])
    (tmp_path / "P" / "1.0").symlink_to(tmp_path)
    with pytest.raises(LocalFileError, match="symbolic link"):
        check_folders(tmp_path, ["P/1.0/a"])
