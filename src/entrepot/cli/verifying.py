"""The command verify: whether a folder holds what it should, without a network or a sign-in."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, directory_argument, hub_option
from entrepot.cli.output import print_json
from entrepot.cli.setup import Setup
from entrepot.client import lock_files
from entrepot.client.batch import JOBS_MAX
from entrepot.client.download_notes import NAME as NOTES_NAME
from entrepot.client.download_notes import Note, load_notes
from entrepot.client.errors import ExitCode, InvalidUse, NotFound
from entrepot.client.inside import INSIDE, Inside
from entrepot.client.manifests import Manifest, verify_saved
from entrepot.client.mirror_state import STATE_NAME, load_state
from entrepot.client.noted import look_into_zips, of_notes
from entrepot.client.private_files import read_plain
from entrepot.client.profiles import files_root, list_profiles
from entrepot.client.trust import ROOT_BYTES_MAX, Trust, list_pins
from entrepot.client.verifying import (
    Should,
    Verified,
    counts_of,
    of_lock,
    of_manifests,
    of_state,
    verify_folder,
)
from entrepot.client.vouching import check_agreement, check_places, require_signed

_AGAINST = {
    "signature": "their publisher signed them",
    "lock": "the lock file pins them",
    "sync": "the hub said at the last sync",
    "download": "the hub said at the download",
}
_COLORS = {"changed": "red", "missing": "red", "unknown": "yellow"}


@click.command(context_settings=COMMAND)
@directory_argument
@click.option(
    "--lock-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Against this one.  [default: DIR/entrepot.lock, else what sync or download put there]",
)
@click.option(
    "--root",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Trust this root of a publisher's keys.  [default: what `entrepot trust` holds]",
)
@click.option("--strict", is_flag=True, help="A file that nobody put there is a fault, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Only the exit code.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    default=min(4, os.cpu_count() or 1),
    help="How many files at a time.  [default: the processors, up to 4]",
)
@hub_option
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    directory: str,
    lock_file: str | None,
    root: str | None,
    jobs: int,
    *,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read every file below DIR, and say which are ok, changed, missing or unknown.

    Needs no network and no sign-in. What a file should be is told by the lock file, else by what
    the hub said when sync or download put it there; and by the publisher's signature where signed
    manifests were kept in DIR. The last line says which of them it was.
    """
    setup = ctx.obj
    assert isinstance(setup, Setup)
    folder = Path(directory).absolute()
    if not folder.is_dir():
        raise NotFound(
            f"There is no folder {folder}.",
            remedy="Give the folder that the files were brought into; all of it is verified.",
        )
    given = read_plain(Path(root), ROOT_BYTES_MAX) if root else None
    notes: Mapping[str, Note] = {}
    if lock_file is None:
        notes = load_notes(folder)
    if lock_file is None and _is_download(folder):
        told_by = str(folder / INSIDE)
        signed, wanted = _downloaded(setup, folder, notes, given)
    else:
        wanted, hub, told_by = _wanted(folder, lock_file)
        signed = ()
        if Inside(folder).is_there():
            signed = verify_saved(folder, _trust(setup, hub), root=given)
            pinned, wanted = wanted, of_manifests(wanted, signed)
            if told_by.endswith(lock_files.FILE_NAME) or lock_file:
                check_agreement(pinned, wanted)
            if lock_file is None:
                check_places(wanted, signed)
        if lock_file is None:  # else it is told by what lies elsewhere
            products = None if given else _products_that_sign(setup, hub)
            require_signed(wanted, signed, products)
            wanted += _noted(setup, folder, notes, signed, given)
    found = verify_folder(folder, wanted, jobs=jobs)
    found = look_into_zips(folder, found, notes, signed)
    code = _code_of(found, strict=strict)
    if as_json:
        print_json(_report(folder, told_by, found, code), "json")
    elif not quiet:
        _show(found)
    ctx.exit(code)


def _wanted(folder: Path, lock_file: str | None) -> tuple[list[Should], str, str]:
    """What should lie there, the hub that it is of, and the file that says so."""
    path = Path(lock_file) if lock_file else folder / lock_files.FILE_NAME
    if lock_file or path.exists():
        lock = lock_files.read_lock(path)
        return of_lock(lock), lock.hub, str(path)
    if not Inside(folder).has(STATE_NAME):
        raise InvalidUse(
            f"Nothing says what {folder} should hold: it has no {lock_files.FILE_NAME}, "
            "and nothing was put there by sync or download.",
            remedy="Name a lock file with --lock-file.",
        )
    state = load_state(folder, None)
    return of_state(state), state.hub, str(folder / INSIDE / STATE_NAME)


def _is_download(folder: Path) -> bool:
    """Whether `download` put files there, and no lock file nor sync tells more."""
    inside = Inside(folder)
    if (folder / lock_files.FILE_NAME).exists() or inside.has(STATE_NAME):
        return False
    return inside.has("manifests") or inside.has(NOTES_NAME)


def _downloaded(
    setup: Setup, folder: Path, notes: Mapping[str, Note], given: bytes | None
) -> tuple[tuple[Manifest, ...], list[Should]]:
    """The signed manifests kept there, and what should lie there by them and by the notes."""
    hub = next(iter({note.hub for note in notes.values()}), "")
    if any(note.hub != hub for note in notes.values()) or not hub:
        hub = "" if given else setup.profile().hub().url
    signed = verify_saved(folder, _trust(setup, hub) if hub else None, root=given)
    wanted = _noted(setup, folder, notes, signed, given)
    if not wanted:
        raise NotFound(f"No file of a signed release lies in {folder}, and none was noted.")
    return signed, wanted


def _noted(
    setup: Setup,
    folder: Path,
    notes: Mapping[str, Note],
    signed: Sequence[Manifest],
    given: bytes | None,
) -> list[Should]:
    """What `download` put there; with the signature of each whose publisher signs."""
    wanted = of_notes(folder, notes, signed)
    for hub in {note.hub for note in notes.values()}:
        mine = [one for one in wanted if one.path in notes and notes[one.path].hub == hub]
        require_signed(mine, signed, None if given else _products_that_sign(setup, hub))
    return wanted


def _trust(setup: Setup, hub: str) -> Trust:
    setup.start_logging()
    return Trust(files_root(setup.variables), hub)


def _products_that_sign(setup: Setup, hub: str) -> set[str]:
    """Those whose keys are trusted for the hub; for any, where nobody here knows that hub."""
    setup.start_logging()
    known = {one.address.url for one, _ in list_profiles(setup.variables) if one.address}
    address = setup.profile().address
    known |= {address.url} if address else set()
    pins = list_pins(files_root(setup.variables))
    return {pin.product for pin in pins if pin.hub == hub or hub not in known}


def _code_of(found: list[Verified], *, strict: bool) -> ExitCode:
    bad = {"changed", "missing"} | ({"unknown"} if strict else set())
    return ExitCode.CORRUPT if any(one.standing in bad for one in found) else ExitCode.OK


def _report(folder: Path, told_by: str, found: list[Verified], code: int) -> dict[str, Any]:
    files = []
    for one in found:
        entry: dict[str, Any] = {"path": one.path, "state": one.standing, "signed": one.signed}
        if one.standing != "unknown":
            entry["against"] = one.against
        if one.detail:
            entry["detail"] = one.detail
        if one.found:
            entry["sha256"] = one.found
        files.append(entry)
    return {
        "folder": str(folder),
        "told_by": told_by,
        "exit_code": int(code),
        "counts": dict(counts_of(found)),
        "files": files,
    }


def _show(found: list[Verified]) -> None:
    for one in found:
        if one.standing != "ok":
            detail = f": {one.detail}" if one.detail else ""
            say(f"{one.standing:<9}{one.path}{detail}", color=_COLORS[one.standing])
    counts = counts_of(found)
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "ok")
    right: Counter[str] = Counter(one.against for one in found if one.standing == "ok")
    held = {one.against for one in found if one.standing != "unknown"}
    by = ", ".join(
        f"{right[each] or 'none'} as {said}" for each, said in _AGAINST.items() if each in held
    )
    bad = counts["changed"] or counts["missing"]
    say(told + (f"; {by}" if by else "") + ".", color="red" if bad else "green")
