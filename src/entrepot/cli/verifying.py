"""The command verify: whether a folder holds what it should, without a network or a sign-in."""

import os
from pathlib import Path
from typing import Any

import click

from entrepot.cli.completing import complete_folder
from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.output import print_json
from entrepot.cli.setup import Setup
from entrepot.client import lock_files
from entrepot.client.batch import JOBS_MAX
from entrepot.client.errors import ExitCode, InvalidUse
from entrepot.client.manifests import verify_saved
from entrepot.client.mirror_state import INSIDE, load_state
from entrepot.client.private_files import read_plain
from entrepot.client.profiles import files_root, list_profiles
from entrepot.client.trust import ROOT_BYTES_MAX, Trust, list_pins
from entrepot.client.verifying import (
    Should,
    Verified,
    counts_of,
    of_downloads,
    of_lock,
    of_manifests,
    of_state,
    verify_folder,
)
from entrepot.client.vouching import check_agreement, check_places, require_signed

_COLORS = {"changed": "red", "missing": "red", "unknown": "yellow"}


@click.command(context_settings=COMMAND)
@click.argument("directory", metavar="DIR", shell_complete=complete_folder)
@click.option(
    "--lock-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Against this one.  [default: DIR/entrepot.lock, else what the last sync put there]",
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

    Needs no network and no sign-in. What a file should be is told by the lock file, else by the
    last sync, and by the publisher's signature where signed manifests were kept in DIR. A folder
    that `download` filled is held against the signatures alone.
    """
    setup = ctx.obj
    assert isinstance(setup, Setup)
    folder = Path(directory).absolute()
    given = read_plain(Path(root), ROOT_BYTES_MAX) if root else None
    if lock_file is None and _is_download(folder):
        told_by = str(folder / INSIDE)
        hub = "" if given else setup.profile().hub().url
        signed = verify_saved(folder, _trust(setup, hub) if hub else None, root=given)
        wanted = of_downloads(folder, signed)
    else:
        wanted, hub, told_by = _wanted(folder, lock_file)
        if (folder / INSIDE).is_dir():
            signed = verify_saved(folder, _trust(setup, hub), root=given)
            pinned, wanted = wanted, of_manifests(wanted, signed)
            if told_by.endswith(lock_files.FILE_NAME) or lock_file:
                check_agreement(pinned, wanted)
            if lock_file is None:
                check_places(wanted, signed)
        else:
            signed = ()
        if lock_file is None:  # else it is told by what lies elsewhere
            products = None if given else _products_that_sign(setup, hub)
            require_signed(wanted, signed, products)
    found = verify_folder(folder, wanted, jobs=jobs)
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
    if not (folder / INSIDE / "state.json").exists():
        raise InvalidUse(
            f"Nothing says what {folder} should hold: it has no {lock_files.FILE_NAME}, "
            "and no sync was made into it.",
            remedy="Name a lock file with --lock-file.",
        )
    state = load_state(folder, None)
    return of_state(state), state.hub, str(folder / INSIDE / "state.json")


def _is_download(folder: Path) -> bool:
    """Whether `download` put signed releases there, and no lock file nor sync tells more."""
    told = (folder / lock_files.FILE_NAME, folder / INSIDE / "state.json")
    return (folder / INSIDE / "manifests").is_dir() and not any(path.exists() for path in told)


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
    signed = sum(one.signed and one.standing == "ok" for one in found)
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "ok")
    bad = counts["changed"] or counts["missing"]
    say(
        told + (f"; {signed} as their publisher signed them" if signed else "") + ".",
        color="red" if bad else "green",
    )
