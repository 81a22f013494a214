"""Keeping a folder in step with a hub that fails, lists nonsense, or cannot say why."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.client import Client, sync_folder
from entrepot.client.batch import Outcome
from entrepot.client.choices import Choice
from entrepot.client.errors import (
    BadAnswer,
    Corrupt,
    InvalidUse,
    LicenceNeeded,
    NotFound,
    Unreachable,
)
from entrepot.client.kept_answers import Answers, owner_of, read_answers, write_answers
from entrepot.client.locking import make_lock
from entrepot.client.mirror_state import MirrorState, load_state
from entrepot.client.mirroring import Synced
from entrepot.client.sync_plans import Leftover, Plan
from entrepot.client.syncing import (
    Manner,
    Prepared,
    Proofs,
    ask_for_fates,
    fetch,
    first_failure,
    prepare,
    remove_leftovers,
)
from entrepot.client.trust import Trust
from tests.client.hub import ENTITLEMENT, LICENSED, Fault, File, Hub, make_token

BOTH = (Choice("DS000B"), Choice("LIC1"))
INSTALLER = "DS000B/2022.2/installer.tar.gz"


@dataclass
class Mirror:
    """A folder, and what is known of it from one sync to the next."""

    client: Client
    root: Path
    folder: Path
    last: Prepared | None = None

    @property
    def state(self) -> MirrorState:
        return load_state(self.folder, self.client.api.base.url)

    def sync(self, *choices: Choice, manner: Manner | None = None) -> list[Outcome]:
        state = self.state
        self.last = prepare(self.client, self.folder, choices or BOTH, state, jobs=1)
        proofs = Proofs(self.client, Trust(self.root, self.client.api.base.url), self.folder)
        return fetch(self.client, self.folder, self.last, state, proofs, manner or Manner(jobs=1))

    def failure(self, outcomes: list[Outcome]) -> Exception | None:
        assert self.last is not None
        return first_failure(self.last, outcomes)


@pytest.fixture
def mirror(client: Client, tmp_path: Path) -> Mirror:
    return Mirror(client, tmp_path / "root", tmp_path / "mirror")


def test_what_could_not_be_listed_is_never_removed(hub: Hub, mirror: Mirror) -> None:
    hub.licence_accepted = True
    assert mirror.failure(mirror.sync()) is None
    held = set(mirror.state.files)
    assert held == {INSTALLER, "LIC1/2022.2/installer.tar.gz"}
    # The entitlements are listed, the first list of releases is, and the second is not.
    hub.api_faults = [Fault("none"), Fault("none"), *[Fault("status", status=503)] * 4]
    outcomes = mirror.sync()
    assert outcomes == []
    assert isinstance(mirror.failure(outcomes), Unreachable)
    assert mirror.last is not None
    assert {one.path: one.fate for one in mirror.last.plan.leftovers} == {
        "LIC1/2022.2/installer.tar.gz": "unsure"
    }
    leftovers = mirror.last.plan.leftovers
    kept = remove_leftovers(mirror.folder, leftovers, mirror.state, mirror.client)
    assert set(kept.values()) == {"kept"}
    assert (mirror.folder / "LIC1/2022.2/installer.tar.gz").exists()


def lose_a_file(hub: Hub, mirror: Mirror) -> tuple[Plan, Leftover]:
    """The hub forgets a file that was fetched: the plan and what it says of that."""
    hub.files.append(File("extra.bin", b"extra"))
    mirror.sync(Choice("DS000B"))
    hub.files.pop()
    assert mirror.failure(mirror.sync(Choice("DS000B"))) is None
    assert mirror.last is not None
    [left] = mirror.last.plan.leftovers
    return mirror.last.plan, left


def test_a_hub_that_cannot_say_why_something_is_gone_is_no_failure(
    hub: Hub, mirror: Mirror
) -> None:
    _, left = lose_a_file(hub, mirror)
    assert (left.path, left.fate) == ("DS000B/2022.2/extra.bin", "gone")
    state = mirror.state
    removed = remove_leftovers(mirror.folder, [left], state, mirror.client)
    assert removed == {left.path: "removed"}
    assert set(mirror.state.files) == {INSTALLER}


def test_a_404_that_is_not_the_hubs_and_another_organisation_prove_nothing(
    hub: Hub, mirror: Mirror
) -> None:
    told, left = lose_a_file(hub, mirror)
    plan = replace(told, leftovers=(replace(left, fate="missing"),))
    ours = {left.held.entitlement}
    assert ask_for_fates(mirror.client, plan, {}, held=ours) == {left.held.release_id: "gone"}
    assert ask_for_fates(mirror.client, plan, {}, held=()) == {left.held.release_id: "unsure"}
    hub.api_faults = [Fault("status", status=404)]
    assert ask_for_fates(mirror.client, plan, {}, held=ours) == {left.held.release_id: "unsure"}


def test_a_changed_file_is_fetched_and_a_corrupt_one_stops_no_other(
    hub: Hub, mirror: Mirror
) -> None:
    mirror.sync(Choice("DS000B"))
    hub.files = [File("installer.tar.gz", b"another"), File("liar.bin", b"1", sha256="0" * 64)]
    outcomes = mirror.sync(Choice("DS000B"))
    assert mirror.last is not None
    assert {step.path: step.why for step in mirror.last.plan.steps} == {
        INSTALLER: "changed",
        "DS000B/2022.2/liar.bin": "new",
    }
    assert isinstance(mirror.failure(outcomes), Corrupt)
    assert (mirror.folder / INSTALLER).read_bytes() == b"another"
    assert set(mirror.state.files) == {INSTALLER}


def test_a_file_without_a_digest_is_not_taken_on_trust(hub: Hub, mirror: Mirror) -> None:
    hub.files = [File("no-digest.bin", b"1", sha256=None)]
    assert isinstance(mirror.failure(mirror.sync(Choice("DS000B"))), BadAnswer)


def test_a_licence_is_accepted_once_where_that_was_asked_for(hub: Hub, mirror: Mirror) -> None:
    hub.files.append(File("second.bin", b"2"))
    assert isinstance(mirror.failure(mirror.sync(Choice("LIC1"))), LicenceNeeded)
    refusal = LicenceNeeded("another revision", agreement_url="")
    outcomes = mirror.sync(Choice("LIC1"), manner=Manner(jobs=1, accept=lambda _: refusal))
    assert mirror.failure(outcomes) is refusal

    def accept(_: str) -> None:
        hub.licence_accepted = True

    assert mirror.failure(mirror.sync(Choice("LIC1"), manner=Manner(jobs=1, accept=accept))) is None
    assert len(mirror.state.files) == 2


def test_a_folder_in_one_call(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.files.append(File("liar.bin", b"1", sha256="0" * 64))
    trust = Trust(tmp_path / "root", hub.url)
    folder, heard = tmp_path / "mirror", list[tuple[int, int]]()

    def planned(begun: Synced) -> None:
        heard.append((len(begun.prepared.plan.to_fetch()), len(begun.outcomes)))

    def sync(**more: Any) -> Synced:
        return sync_folder(client, folder, trust=trust, planned=planned, **more)

    wanted = (Choice("DS000B"),)
    tried = sync(choices=wanted, dry_run=True)
    assert (tried.complete, tried.error, heard, folder.exists()) == (0, None, [(2, 0)], False)
    names: list[str] = []
    synced = sync(choices=wanted, done=lambda one: names.append(one.name))
    assert (synced.folder, synced.complete, len(names)) == (folder, 1, 2)
    with pytest.raises(Corrupt):
        synced.check()
    hub.files.pop()
    (folder / "entrepot.toml").write_text("[[product]]\ncode = 'DS000B'\n")
    again = sync(remove=True).check()
    assert (again.complete, again.outcomes) == (1, ())
    lock = make_lock(client, wanted, Proofs(client, trust, None))
    assert sync(lock=lock).check().complete == 1
    with pytest.raises(InvalidUse):
        sync(lock=lock, choices=wanted)
    hub.files[0].data = b"another"
    with pytest.raises(Corrupt, match="does not offer what is pinned"):
        sync(lock=lock)
    assert (folder / INSTALLER).read_bytes() != b"another"


@pytest.mark.parametrize(
    ("choice", "told", "remedy"),
    [
        (Choice("NONE"), "entitled to is NONE", "entrepot products"),
        (Choice(ENTITLEMENT), f"entitled to is {ENTITLEMENT}", "not by the number"),
        (Choice("DS000B", ("9",)), "no release DS000B@9", "entrepot why DS000B@VERSION"),
        (Choice("ds*", (), ("*.exe",)), "file of ds* is like *.exe", "artifacts DS000B@VERSION"),
        (Choice("EMP1", newest=1), "no release of EMP1", "entrepot releases EMP1"),
        (Choice("0099"), "no release of 0099", "members"),
    ],
)
def test_a_choice_that_means_nothing_is_told_by_how_far_it_means_something(
    choice: Choice, told: str, remedy: str, hub: Hub, client: Client, tmp_path: Path
) -> None:
    proofs = Proofs(client, Trust(tmp_path / "root", hub.url), None)
    with pytest.raises(NotFound, match=re.escape(told)) as none:
        make_lock(client, [choice], proofs)
    assert remedy in none.value.remedy


KEPT = Answers("me", {"1": ('"5f"', [{"id": "x", "name": "\U0001f600"}]), "2": ('W/""', [])})


@given(at=st.integers(0, len(write_answers(KEPT)) - 1), flip=st.integers(0, 255))
@example(at=0, flip=0)
def test_kept_lists_are_read_as_they_were_written_or_not_at_all(at: int, flip: int) -> None:
    raw = bytearray(write_answers(KEPT))
    assert read_answers(bytes(raw[:at]), "me") == Answers("me"), "it is cut"
    raw[at] ^= flip
    assert read_answers(bytes(raw), "me") in ([KEPT] if flip == 0 else [KEPT, Answers("me")])
    assert read_answers(bytes(raw), "you") == Answers("you")


Damage = Callable[[bytes], bytes]


def forged(**changed: Any) -> Damage:
    """What somebody writes who knows the format: each kept list with other contents."""

    def forge(raw: bytes) -> bytes:
        told = json.loads(raw)
        lists = {key: one | changed for key, one in told["answers"].items()}
        kept = {key: (one["etag"], one["items"]) for key, one in lists.items()}
        return write_answers(Answers(told["owner"], kept))

    return forge


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda raw: raw[:-1],
        lambda _: b"[]",
        lambda _: b'{"version": 2}',
        lambda _: b"\xff" * 9,
        lambda raw: raw.replace(b'"sha256":"', b'"sha256":"0', 1),
        lambda raw: raw.replace(b"installer", b"Installer"),
        forged(etag=7),
        forged(etag='"a"\r\nX-More: 1'),
        forged(etag='"' + "a" * 9000 + '"'),
        forged(items={"id": "x"}),
        forged(items=["x"]),
        forged(items=[{"id": 7}]),
        forged(items=[{"id": "x", "artifacts": [{"fileName": "a", "fileSize": "-1"}]}]),
        forged(items=[{"id": "x", "artifacts": [{"fileName": "a", "sha256": "\ud800"}]}]),
    ],
)
def test_damaged_lists_are_asked_for_anew(
    damage: Damage, hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.tags_lists = hub.licence_accepted = True

    def unchanged(speaker: Client = client, *, check: bool = False) -> int:
        done = sync_folder(speaker, tmp_path / "m", choices=BOTH, trust=trust, check=check)
        assert done.error is None
        assert done.complete == 2
        return done.prepared.offers.unchanged

    trust = Trust(tmp_path / "root", hub.url)
    assert (unchanged(), unchanged()) == (0, 2)
    kept = tmp_path / "m" / ".entrepot" / "answers.json"
    good = kept.read_bytes()
    kept.write_bytes(damage(good))
    asked = len(hub.requests)
    assert unchanged() == 0
    assert not [one for one in hub.requests[asked:] if "if-none-match" in one.headers]
    assert kept.read_bytes() == good
    assert unchanged() == 2


def test_lists_are_kept_for_one_account_of_one_hub(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.tags_lists = hub.licence_accepted = True
    trust = Trust(tmp_path / "root", hub.url)

    def unchanged(token: str, *, check: bool = False) -> int:
        hub.tokens.add(token)
        with Client(hub.url, token) as speaker:
            done = sync_folder(speaker, tmp_path / "m", choices=BOTH, trust=trust, check=check)
        assert (done.error, done.complete) == (None, 2)
        return done.prepared.offers.unchanged

    ada, later = (make_token(subject="ada", serial=n) for n in (1, 2))
    assert [unchanged(ada), unchanged(later)] == [0, 2], "a new token of hers is hers"
    assert unchanged(make_token(subject="ben")) == 0
    assert unchanged(make_token(serial=3)) == 0
    assert unchanged(make_token(serial=4)) == 0, "who says nothing of themselves is nobody else"
    with Client("https://other.example", ada) as elsewhere, Client(hub.url, ada) as here:
        assert owner_of(elsewhere) != owner_of(here)
    assert owner_of(client) not in (hub.token, "")

    # Somebody who writes to the folder hides a release: what is to be checked is not kept there.
    assert unchanged(ada) == 0
    kept = tmp_path / "m" / ".entrepot" / "answers.json"
    kept.write_bytes(forged(items=[])(kept.read_bytes()))
    assert unchanged(ada, check=True) == 0
    assert unchanged(ada) == 2
    # And what cannot be kept is asked for the next time.
    kept.unlink()
    kept.mkdir()
    assert [unchanged(ada), unchanged(ada)] == [0, 0]
    assert {one.path.split("/")[4] for one in hub.asked("/releases")} == {ENTITLEMENT, LICENSED}
