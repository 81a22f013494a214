"""A folder kept in step with a hub, or filled by a lock file: what `sync_folder` does."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from entrepot.client import choices as wanting
from entrepot.client.batch import Outcome
from entrepot.client.choices import EVERYTHING, Choice
from entrepot.client.client import Client
from entrepot.client.conditions import Watcher
from entrepot.client.errors import ClientError, InvalidUse
from entrepot.client.kept_answers import Answers, load_answers, owner_of
from entrepot.client.lock_files import LockFile
from entrepot.client.locking import PreparedLock, prepare_locked
from entrepot.client.mirror_state import MirrorState, holding, load_state
from entrepot.client.partial import make_folder
from entrepot.client.profiles import files_root
from entrepot.client.syncing import (
    Manner,
    Prepared,
    Proofs,
    fetch,
    first_failure,
    prepare,
    remove_leftovers,
)
from entrepot.client.trust import Trust


@dataclass(frozen=True, slots=True)
class Synced:
    """What there was to do, and how it ended for each file that was fetched.

    `removed`: what became of files that are wanted no more, by path (`removed`, `kept`), where
    they were to go. `notices`: of releases that a lock file pins, what is to be known.
    """

    folder: Path
    prepared: Prepared
    notices: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    removed: Mapping[str, str] = field(default_factory=dict)

    @property
    def error(self) -> ClientError | None:
        """The first thing that was asked for and cannot be had, else the first that failed."""
        return first_failure(self.prepared, self.outcomes)

    @property
    def complete(self) -> int:
        """How many of the wanted files lie there, whole."""
        waiting = len(self.prepared.plan.to_fetch())
        arrived = sum(outcome.downloaded is not None for outcome in self.outcomes)
        return len(self.prepared.plan.steps) - waiting + arrived

    def check(self) -> "Synced":
        """Itself. Raises `error` where there is one."""
        if self.error is not None:
            raise self.error
        return self


def bring_in_step(
    client: Client,
    place: Path,
    *,
    choices: Sequence[Choice] | None,
    lock: LockFile | None,
    trust: Trust | None,
    manner: Manner | None,
    remove: bool,
    check: bool,
    dry_run: bool,
    planned: Callable[[Synced], None] | None,
    watcher: Watcher | None,
    done: Callable[[Outcome], None] | None,
) -> Synced:
    """See `sync_folder`; `place` is absolute."""
    if lock is not None and choices is not None:
        raise InvalidUse("A lock file and choices are two ways to say what is wanted.")
    how = manner or Manner()
    hub = client.api.base.url
    known = trust or Trust(files_root(os.environ), hub)

    def begin(state: MirrorState, proofs: Proofs) -> Synced:
        found = _prepare(client, place, choices, lock, state, proofs, how, check=check)
        begun = Synced(place, found.prepared, found.notices)
        if planned is not None:
            planned(begun)
        return begun

    if dry_run:
        return begin(load_state(place, hub), Proofs(client, known, None))
    make_folder(place)
    with holding(place):
        state, proofs = load_state(place, hub), Proofs(client, known, place)
        begun = begin(state, proofs)
        outcomes = fetch(
            client, place, begun.prepared, state, proofs, how, watcher=watcher, done=done
        )
        leftovers = begun.prepared.plan.leftovers if remove else ()
        removed = remove_leftovers(place, leftovers, state, client) if leftovers else {}
    return Synced(place, begun.prepared, begun.notices, tuple(outcomes), removed)


def _prepare(
    client: Client,
    folder: Path,
    choices: Sequence[Choice] | None,
    lock: LockFile | None,
    state: MirrorState,
    proofs: Proofs,
    manner: Manner,
    *,
    check: bool,
) -> PreparedLock:
    jobs, owner = manner.jobs, owner_of(client)
    # Who asks for everything to be read doubts the folder, and what is kept in it with the rest.
    answers = Answers(owner) if check else load_answers(folder, owner)
    if lock is not None:
        return prepare_locked(
            client, folder, lock, state, proofs, jobs=jobs, check=check, answers=answers
        )
    wanted = choices_of(folder) if choices is None else tuple(choices)
    return PreparedLock(
        prepare(client, folder, wanted, state, jobs=jobs, check=check, answers=answers), ()
    )


def choices_of(folder: Path) -> tuple[Choice, ...]:
    """What `entrepot.toml` in the folder names, else everything. Raises InvalidUse."""
    path = folder / wanting.FILE_NAME
    return wanting.read_choices(path) if path.exists() else EVERYTHING
