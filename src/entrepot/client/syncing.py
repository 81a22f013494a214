"""Keeping a folder in step with what a hub gives: ask, compare, fetch, tell.

Nothing is removed unless that is asked for, one file that fails does not stop the others, and
what is complete is neither fetched nor read again. The state is saved as files arrive, so that
whoever is stopped goes on where they were; what was not saved is found by its digest.
"""

import logging
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from entrepot.client.attesting import attest
from entrepot.client.batch import Item, Outcome, download_items, require_room
from entrepot.client.choices import EVERYTHING, Choice, choose, takes_product
from entrepot.client.client import Client
from entrepot.client.downloader import Downloaded, Watcher
from entrepot.client.errors import (
    ClientError,
    Denied,
    LicenceNeeded,
    LocalFileError,
    NotFound,
)
from entrepot.client.holdings import note_entitlement
from entrepot.client.kept_answers import Answers, save_answers
from entrepot.client.kept_partial import mark_of
from entrepot.client.layouts import check_folders
from entrepot.client.manifests import Manifest, fetch_manifest, save_manifest
from entrepot.client.mirror_state import (
    HeldFile,
    MirrorState,
    look_at,
    save_state,
)
from entrepot.client.offers import ENDINGS, Offers, ask_for_offers
from entrepot.client.partial import make_folder
from entrepot.client.permissions import explain_artifact
from entrepot.client.rates import RateLimit
from entrepot.client.sync_plans import REMOVABLE, Fate, Leftover, Plan, Step, plan_sync
from entrepot.client.trust import Trust
from entrepot.client.verification import Expected, expected_of, hash_file, in_the_way

_SAVE_SECONDS_MIN = 1.0
# What is not asked again for as long as the release is not offered.
_LASTING: tuple[Fate, ...] = ("withdrawn", "gone")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a sync is going to do, and the hub's answers that it rests on."""

    plan: Plan
    offers: Offers
    empty: tuple[Choice, ...] = ()

    def refusals(self) -> list[tuple[str, ClientError]]:
        """What was asked for and cannot be had, by name: choices that mean nothing, lists."""
        found: list[tuple[str, ClientError]] = list(self.plan.faults)
        told: set[str] = set()
        for choice in self.empty:
            held = [one for one in self.offers.withheld if choice.takes_product(one.product)]
            if held:
                found += [(str(choice), one.error) for one in held[:1]]
                told.update(one.entitlement for one in held)
                continue
            found.append((str(choice), _means_nothing(choice, self.offers.products)))
        found += [
            (one.product, one.error)
            for one in self.offers.withheld
            if not one.ended and one.entitlement not in told
        ]
        return found


def _means_nothing(choice: Choice, products: Iterable[str]) -> NotFound:
    """The error for a choice that no file is of, by how far it means something."""
    code = min(filter(choice.takes_product, products), default=None)
    if code is None:
        remedy = "See what there is: entrepot products, entrepot releases CODE"
        if choice.product.isdigit():
            remedy = "Here a product is named by its code, not by the number of an entitlement: "
            remedy += "entrepot products"
        told = f"Nothing that your organisation is entitled to is {choice.product}."
        return NotFound(told, remedy=remedy)
    if choice.artifacts:
        return NotFound(
            f"No file of {choice} is like {' or '.join(choice.artifacts)}.",
            remedy=f"See what there is: entrepot releases {code}, "
            f"entrepot artifacts {code}@VERSION",
        )
    if choice.versions:
        return NotFound(
            f"There is no release {choice} for your organisation.",
            remedy=f"See those that there are: entrepot releases {code}. Why another is not among "
            f"them: entrepot why {code}@VERSION",
        )
    return NotFound(
        f"There is no release of {choice.product} for your organisation (yet).",
        remedy=f"See whether it is a group, whose members have them: entrepot releases {code}",
    )


@dataclass(frozen=True, slots=True)
class Manner:
    """How files are fetched. `accept` is asked where a licence is needed, for an entitlement;
    it gives None once that is accepted, else the error."""

    jobs: int = 3
    country: str | None = None
    rate: RateLimit | None = None
    connections: int | None = None
    accept: Callable[[str], LicenceNeeded | None] | None = None


def prepare(
    client: Client,
    folder: Path,
    choices: Sequence[Choice],
    state: MirrorState,
    *,
    jobs: int = 3,
    check: bool = False,
    answers: Answers | None = None,
) -> Prepared:
    """Ask the hub and compare; nothing is written. Raises what ends everything."""
    takes = takes_product(choices)
    offers = ask_for_offers(client, takes, jobs=jobs, answers=answers)
    chosen, empty = choose(choices, offers.releases)
    plan = plan_sync(
        chosen,
        offers.releases,
        offers.withheld,
        takes,
        state.files,
        lambda path: look_at(folder / path),
        check=check,
    )
    fates = ask_for_fates(client, plan, state.fates, held=offers.held, jobs=jobs)
    state.fates = {release_id: fate for release_id, fate in fates.items() if fate in _LASTING}
    plan = plan.with_fates(fates)
    return Prepared(plan, offers, () if tuple(choices) == EVERYTHING else tuple(empty))


def ask_for_fates(
    client: Client, plan: Plan, known: Mapping[str, str], *, held: Container[str], jobs: int = 3
) -> dict[str, Fate]:
    """Why releases are no longer offered, by id: one question each, but for what is known.

    `held`: the entitlements of the caller's. What came by another is not there for this caller,
    who may be of another organisation: that tells nothing.
    """

    def ask(one: tuple[str, HeldFile]) -> tuple[str, Fate]:
        release_id, file = one
        if file.entitlement not in held:
            return release_id, "unsure"
        lasting: Fate | None = next(
            (fate for fate in _LASTING if fate == known.get(release_id)), None
        )
        return release_id, lasting or _ask_for_fate(client, release_id, file)

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        return dict(pool.map(ask, plan.missing_releases().items()))


def _ask_for_fate(client: Client, release_id: str, held: HeldFile) -> Fate:
    try:
        told = explain_artifact(client, held.entitlement, release_id, held.artifact_id)
    except ClientError as error:
        if isinstance(error, NotFound) and error.reason == "not-found":
            return "gone"  # by the hub's own word: a proxy's 404 has none
        _log.warning("why %s is no longer offered: %s", held.release, error.message)
        return "unsure"
    reason = told.get("reason")
    if reason == "release-withdrawn":
        return "withdrawn"
    return "ended" if reason in ENDINGS else "unsure"


@dataclass(slots=True)
class Proofs:
    """The signed manifests of the releases at hand, each asked for once and kept in the folder."""

    client: Client
    trust: Trust
    folder: Path | None
    _found: dict[str, Manifest | None] = field(default_factory=dict)
    _attested: dict[str, dict[str, Expected]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, product: str, release_id: str) -> Manifest | None:
        """The verified manifest; None where the product has none. Raises Untrusted."""
        with self._lock:
            if release_id not in self._found:
                manifest = fetch_manifest(self.client, self.trust, product, release_id)
                if manifest is not None and self.folder is not None:
                    save_manifest(manifest, self.folder)
                self._found[release_id] = manifest
            return self._found[release_id]

    def expected(self, step: Step) -> Expected | None:
        """What the publisher signed for this file; None where nothing is signed.

        Raises Untrusted where the hub lists anything of the release otherwise.
        """
        release = step.release
        manifest = self.of(release.product, release.id)
        if manifest is None:
            return None
        with self._lock:
            if release.id not in self._attested:
                artifacts = [file.artifact for file in release.files]
                self._attested[release.id] = attest(
                    manifest, artifacts, release={"name": release.name}
                )
                for number in release.entitlements:
                    note_entitlement(self.trust, number, release.product)
            return self._attested[release.id][step.file.artifact_id]


@dataclass(slots=True)
class _Keeper:
    """Notes each file in the state as it arrives, and saves it every now and then."""

    folder: Path
    state: MirrorState
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _saved_at: float = 0.0
    _pause: float = _SAVE_SECONDS_MIN

    def note(self, step: Step, entitlement: str, done: Downloaded) -> None:
        seen = look_at(done.path)
        with self._lock:
            self.state.files[step.path] = HeldFile(
                step.release.product,
                step.release.id,
                step.release.name,
                step.file.artifact_id,
                entitlement,
                step.file.size,
                step.file.sha256,
                seen.mtime_ns if seen else 0,
            )
            if monotonic() - self._saved_at > self._pause:
                self.save()

    def save(self) -> None:
        began = monotonic()
        save_state(self.folder, self.state)
        self._saved_at = monotonic()
        self._pause = max(_SAVE_SECONDS_MIN, 10 * (self._saved_at - began))


class _Named(Watcher):
    """Tells of a transfer by the file's path, for several may have one name."""

    def __init__(self, watcher: Watcher, path: str) -> None:
        self._watcher, self._path = watcher, path

    def started(self, name: str, size: int | None) -> None:  # noqa: ARG002
        self._watcher.started(self._path, size)

    def at(self, name: str, done: int) -> None:  # noqa: ARG002
        self._watcher.at(self._path, done)

    def trouble(self, name: str, message: str, pause_seconds: float) -> None:  # noqa: ARG002
        self._watcher.trouble(self._path, message, pause_seconds)


def fetch(
    client: Client,
    folder: Path,
    prepared: Prepared,
    state: MirrorState,
    proofs: Proofs,
    manner: Manner,
    *,
    watcher: Watcher | None = None,
    done: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Bring what is not complete, several files at a time; an outcome for each, in their order.

    The state is saved also where this is stopped. Raises LocalFileError, DiskFull before
    anything is fetched, and Cancelled.
    """
    steps = {step.path: step for step in prepared.plan.to_fetch()}
    make_folder(folder)
    check_folders(folder, steps)
    absent = [step for step in steps.values() if _is_absent(folder, step)]
    targets = [(folder / step.path, mark_of(expected_of(step.file.artifact))) for step in absent]
    require_room(folder, sum(step.file.size for step in absent), targets)
    keeper = _Keeper(folder, state)

    def fetch_one(item: Item) -> Downloaded:
        step = steps[item.name]
        expected = proofs.expected(step)
        target = folder / step.path
        seen = look_at(target)
        if seen is not None and not seen.regular:
            raise in_the_way(target)
        make_folder(target.parent)
        named = _Named(watcher, step.path) if watcher else None
        entitlement, got = _fetch_by_any(client, step, target, expected, manner, named)
        keeper.note(step, entitlement, got)
        return got

    _announce(client, steps.values())
    items = [Item(step.file.artifact, path) for path, step in steps.items()]
    try:
        return download_items(
            items, fetch_one, jobs=manner.jobs, stop=client.stop, done=done or _ignore
        )
    finally:
        keeper.save()
        save_answers(folder, prepared.offers.answers)


def _announce(client: Client, steps: Iterable[Step]) -> None:
    """Say which files of each release are coming: links to small ones are asked for together."""
    by_release: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for step in steps:
        key = (step.release.entitlements[0], step.release.id)
        by_release.setdefault(key, []).append(step.file.artifact)
    for (entitlement, release_id), artifacts in by_release.items():
        client.expect_downloads(entitlement, release_id, artifacts)


def _ignore(_outcome: Outcome) -> None:
    """Nobody wants to hear of it."""


def _is_absent(folder: Path, step: Step) -> bool:
    seen = look_at(folder / step.path)
    return seen is None or seen.size != step.file.size


def _fetch_by_any(
    client: Client,
    step: Step,
    target: Path,
    expected: Expected | None,
    manner: Manner,
    watcher: Watcher | None,
) -> tuple[str, Downloaded]:
    """By the first of its entitlements that lets it, with the licence accepted where it may be."""

    def by(entitlement: str) -> Downloaded:
        return client.download(
            entitlement,
            step.release.id,
            step.file.artifact,
            target.parent,
            name=target.name,
            country=manner.country,
            watcher=watcher,
            expected=expected,
            rate=manner.rate,
            connections=manner.connections,
        )

    first: ClientError | None = None
    for entitlement in step.release.entitlements:
        try:
            try:
                return entitlement, by(entitlement)
            except LicenceNeeded:
                refused = manner.accept(entitlement) if manner.accept else None
                if manner.accept is None:
                    raise
                if refused is not None:
                    raise refused from None
                return entitlement, by(entitlement)
        except (Denied, NotFound) as error:
            first = first or error
    raise first or NotFound(f"No entitlement gives {step.path}.")


def remove_leftovers(
    folder: Path, leftovers: Sequence[Leftover], state: MirrorState, client: Client
) -> dict[str, str]:
    """Remove files that this command put there and that are wanted no more, as they were left.

    What became of each by path: `removed`, or `kept` where somebody has changed it or it is not
    known why it is no longer offered. The state is saved.
    """
    found: dict[str, str] = {}
    check_folders(folder, (one.path for one in leftovers))
    for one in leftovers:
        if one.fate not in REMOVABLE:
            found[one.path] = "kept"
            continue
        path = folder / one.path
        seen = look_at(path)
        if seen is not None and not _is_ours(path, one.held, client):
            found[one.path] = "kept"
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise LocalFileError(f"Cannot remove {path}: {error.strerror}.") from error
        del state.files[one.path]
        found[one.path] = "removed"
        with suppress(OSError):  # there is something else in them
            path.parent.rmdir()
            path.parent.parent.rmdir()
    save_state(folder, state)
    return found


def _is_ours(path: Path, held: HeldFile, client: Client) -> bool:
    seen = look_at(path)
    if seen is None or not seen.regular or seen.size != held.size:
        return False
    if seen.mtime_ns == held.mtime_ns:
        return True
    expected = Expected(held.size, "sha256", held.sha256)
    try:
        return hash_file(path, expected, client.stop) == held.sha256
    except OSError:  # who can tell: it stays
        return False


def first_failure(prepared: Prepared, outcomes: Sequence[Outcome]) -> ClientError | None:
    """The error that the exit code is of: the first refusal, else the first file that failed."""
    refused = [error for _, error in prepared.refusals()]
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    return next(iter(refused + failed), None)
