"""What there is to do so that a folder holds what was chosen: a pure comparison of three lists.

What was chosen of the hub's offers, what is known of the folder (MirrorState), what lies in it.
Nothing here asks the hub or writes a file.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from entrepot.client.choices import Chosen, TakesProduct
from entrepot.client.errors import ClientError
from entrepot.client.layouts import Layout
from entrepot.client.mirror_state import HeldFile, Seen
from entrepot.client.offers import NOT_STARTED, OfferedFile, OfferedRelease, Withheld

Why: TypeAlias = Literal["new", "changed", "lost", "check", "complete"]
Fate: TypeAlias = Literal["withdrawn", "ended", "gone", "unwanted", "unsure", "missing"]
# What `--remove` removes: where it is not known why a file is no longer offered, it stays.
REMOVABLE: frozenset[Fate] = frozenset({"withdrawn", "ended", "gone", "unwanted"})


@dataclass(frozen=True, slots=True)
class Step:
    """A file that is wanted at `path`, and how it stands there.

    new: it was not there yet. changed: the hub offers other bytes than it did. lost: it was
    there, and is no longer as it was left. check: it looks as it was left, and is to be read all
    the same. complete: nothing to do.
    """

    path: str
    release: OfferedRelease
    file: OfferedFile
    why: Why


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file of the folder that is not wanted by the choices, and why.

    withdrawn, ended (the entitlement gives it no more), gone (the hub knows it no more),
    unwanted (it is offered, and not chosen), unsure (its list could not be had), missing (no
    longer offered, nobody has asked why yet).
    """

    path: str
    held: HeldFile
    fate: Fate


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order of the choices, leftovers by path, and what cannot even be named."""

    steps: tuple[Step, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    faults: tuple[tuple[str, ClientError], ...] = field(default=())

    def to_fetch(self) -> list[Step]:
        """The steps that need a look or a transfer."""
        return [step for step in self.steps if step.why != "complete"]

    def with_fates(self, fates: Mapping[str, Fate]) -> "Plan":
        """The same where the releases of `fates`, by id, are no longer just missing."""
        told = tuple(
            replace(one, fate=fates.get(one.held.release_id, "gone"))
            if one.fate == "missing"
            else one
            for one in self.leftovers
        )
        return replace(self, leftovers=told)

    def missing_releases(self) -> dict[str, HeldFile]:
        """One file of each release that is no longer offered, by the release's id."""
        found: dict[str, HeldFile] = {}
        for one in self.leftovers:
            if one.fate == "missing":
                found.setdefault(one.held.release_id, one.held)
        return found


def plan_sync(
    chosen: Sequence[Chosen],
    offered: Iterable[OfferedRelease],
    withheld: Iterable[Withheld],
    takes_product: TakesProduct,
    files: Mapping[str, HeldFile],
    look: Callable[[str], Seen | None],
    *,
    places: Mapping[tuple[str, str], str] | None = None,
    check: bool = False,
) -> Plan:
    """The plan; `files` and `look` are what is known of the folder and what lies in it now.

    `places` gives some artifacts, by product and id, a path that is decided elsewhere (a lock
    file). With `check` no file passes for complete by its size and time.
    """
    layout = _layout(files)
    steps: list[Step] = []
    faults: list[tuple[str, ClientError]] = []
    for one in chosen:
        release = one.release
        for file in one.files:
            try:
                path = (places or {}).get((release.product, file.artifact_id)) or layout.place(
                    release.product, release.id, release.name, file.artifact_id, file.name
                )
            except ClientError as error:
                faults.append((f"{release.product} {release.name} {file.artifact_id}", error))
                continue
            why = _standing(file, files.get(path), look(path), check=check)
            steps.append(Step(path, release, file, why))
    planned = {step.path for step in steps}
    there = {
        (release.product, release.id, file.artifact_id)
        for release in offered
        for file in release.files
    }
    held_back = tuple(withheld)
    ended = {one.entitlement for one in held_back if one.for_good}
    # One that has not begun gave nothing; what another gave may be given again.
    unknown = {
        one.product for one in held_back if not one.for_good and one.error.reason != NOT_STARTED
    }
    leftovers = [
        Leftover(path, held, _fate(held, there, unknown, ended, takes_product))
        for path, held in sorted(files.items())
        if path not in planned
    ]
    return Plan(tuple(steps), tuple(leftovers), tuple(faults))


def _layout(files: Mapping[str, HeldFile]) -> Layout:
    layout = Layout()
    for path, held in sorted(files.items()):
        layout.keep(path, held.product, held.release_id, held.artifact_id)
    return layout


def _standing(file: OfferedFile, held: HeldFile | None, seen: Seen | None, *, check: bool) -> Why:
    if held is None:
        return "new"
    if (held.sha256, held.size) != (file.sha256, file.size):
        return "changed"
    if seen is None or not seen.regular:
        return "lost"
    if (seen.size, seen.mtime_ns) != (held.size, held.mtime_ns):
        return "lost"
    return "check" if check else "complete"


def _fate(
    held: HeldFile,
    there: set[tuple[str, str, str]],
    unknown: set[str],
    ended: set[str],
    takes_product: TakesProduct,
) -> Fate:
    if (held.product, held.release_id, held.artifact_id) in there or not takes_product(
        held.product
    ):
        return "unwanted"
    if held.product in unknown:
        return "unsure"
    return "ended" if held.entitlement in ended else "missing"
