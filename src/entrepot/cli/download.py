"""The commands download and download-artifacts."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from entrepot.cli.completing import complete_product
from entrepot.cli.fetching import Run, carry_out, reporting
from entrepot.cli.options import (
    COMMAND,
    artifacts_option,
    entitlement_option,
    hub_option,
    release_option,
)
from entrepot.cli.setup import Setup
from entrepot.cli.transferring import Manner, manner_of, transfer_options
from entrepot.client import Client
from entrepot.client.answers import JsonObject
from entrepot.client.batch import Item
from entrepot.client.errors import InvalidUse
from entrepot.client.finding import (
    Wanted,
    find_entitlement,
    find_release,
    find_version,
    match_artifacts,
    naming_release,
    parse_wanted,
    product_code,
)

_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@click.command("download-artifacts", context_settings=COMMAND)
@entitlement_option
@release_option
@artifacts_option
@click.option(
    "-m",
    "--mode",
    type=click.Choice(["http", "fasp"], case_sensitive=False),
    default="http",
    show_default=True,
    help="How: http, or fasp through IBM Aspera's own program.",
)
@transfer_options
@hub_option
@click.pass_context
def download_artifacts(
    ctx: click.Context,
    /,
    entitlement_id: str,
    release_id: str,
    patterns: tuple[str, ...],
    mode: str,
    **options: Any,
) -> None:
    """Download all files of a release, or one, and verify them.

    Prints the path of each complete file on stdout. A file that is already there and right is
    left alone. Files are put in place only when they are whole and verified.
    """
    setup = _setup(ctx)
    manner = manner_of(setup, **options)
    run = Run(setup, entitlement_id, release_id, manner, by_aspera=mode == "fasp", as_edmgr=True)

    def plan() -> list[Item]:
        with run.client() as client:
            found, whole = _artifacts(client, entitlement_id, release_id, patterns)
            product = product_code(client.entitlement(entitlement_id))
            manifest = run.signed_manifest(client, product, by_number=True)
            run.attest(manifest, found, whole=whole)
        return run.plan(match_artifacts(found, patterns) if found else [])

    carry_out(ctx, run, plan)


def _artifacts(
    client: Client, entitlement_id: str, release_id: str, patterns: Sequence[str]
) -> tuple[list[JsonObject], bool]:
    """The artifacts to choose from, and whether they are all of the release.

    One by its ID is asked for alone, as edmgr does.
    """
    alone = patterns[0] if len(patterns) == 1 and _ID.fullmatch(patterns[0]) else None
    with naming_release(entitlement_id, release_id, alone):
        if alone is not None:
            return [client.artifact(entitlement_id, release_id, alone)], False
        return client.artifacts(entitlement_id, release_id), True


@click.command(context_settings=COMMAND)
@click.argument("what", metavar="PRODUCT[@VERSION]", shell_complete=complete_product)
@click.option("-r", "--release-id", help="The release with this ID, in place of a version.")
@artifacts_option
@click.option("--zip", "as_zip", is_flag=True, help="All files in one ZIP, checked one by one.")
@click.option("--locked", is_flag=True, help="Exactly what the lock file pins of it, or nothing.")
@click.option(
    "--lock-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="With --locked.  [default: entrepot.lock]",
)
@transfer_options
@hub_option
@click.pass_context
def download(
    ctx: click.Context,
    /,
    what: str,
    release_id: str | None,
    patterns: tuple[str, ...],
    lock_file: str | None,
    *,
    as_zip: bool,
    locked: bool,
    **options: Any,
) -> None:
    """Download a release of a product, by default the newest, and verify it.

    PRODUCT is a product's code, or the number of an entitlement. VERSION is the name of a release,
    parts of its version, or `latest`. Prints the path of each complete file on stdout. A file that
    is already there and right is left alone.
    """
    wanted = parse_wanted(what)
    if release_id and wanted.version:
        raise InvalidUse("A version and -r are two ways to say one thing: leave one of them out.")
    if as_zip and patterns:
        raise InvalidUse("--zip has all files of the release: leave --artifact out.")
    if locked and (as_zip or patterns or release_id):
        raise InvalidUse("--locked brings what is pinned: leave --zip, --artifact and -r out.")
    if lock_file is not None and not locked:
        raise InvalidUse("--lock-file is for --locked.")
    setup = _setup(ctx)
    manner = manner_of(setup, **options)
    if locked:
        run, items = _find_pinned(setup, manner, wanted, lock_file)
    else:
        run, items = _find(setup, manner, what, release_id, patterns, as_zip=as_zip)
    carry_out(ctx, run, lambda: items)


def _find_pinned(
    setup: Setup, manner: Manner, wanted: Wanted, lock_file: str | None
) -> tuple[Run, list[Item]]:
    """The run that fetches what a lock file pins of a product, and its plan."""
    from entrepot.client.lock_files import FILE_NAME, read_lock
    from entrepot.client.locking import pinned_release, require_pinned

    lock_path = Path(FILE_NAME if lock_file is None else lock_file)
    with reporting(manner.report):
        locked = pinned_release(read_lock(lock_path), wanted.what, wanted.version)
        run = Run(setup, "", locked.id, manner)
        with run.client() as client:
            entitlement = find_entitlement(client, locked.product)
            run.entitlement_id = str(entitlement.get("id", ""))
            release = find_release(client, run.entitlement_id, locked.id)
            manifest = run.signed_manifest(client, locked.product)
            artifacts = require_pinned(locked, release, manifest)
            run.attest(manifest, release["artifacts"], release=release)
        return run, run.plan(artifacts)


def _find(
    setup: Setup,
    manner: Manner,
    what: str,
    release_id: str | None,
    patterns: Sequence[str],
    *,
    as_zip: bool,
) -> tuple[Run, list[Item]]:
    """The run that fetches what is meant, and its plan."""
    wanted = parse_wanted(what)
    with reporting(manner.report):
        run = Run(setup, "", "", manner)
        with run.client() as client:
            entitlement = find_entitlement(client, wanted.what)
            run.entitlement_id = str(entitlement.get("id", ""))
            if release_id:
                release = find_release(client, run.entitlement_id, release_id)
            else:
                release = find_version(client, run.entitlement_id, wanted.version)
            run.release_id = str(release.get("id", ""))
            listed = release.get("artifacts")
            artifacts = listed if isinstance(listed, list) else []
            chosen = match_artifacts(artifacts, patterns) if artifacts else []
            product = product_code(entitlement)
            manifest = run.signed_manifest(client, product, by_number=product != wanted.what)
            run.attest(manifest, artifacts, release=release)
        if as_zip:
            return run, run.plan_zip(entitlement, release)
        return run, run.plan(chosen)


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    return setup
