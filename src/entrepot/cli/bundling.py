"""The command bundle: releases in one file, for a hub that this one cannot reach."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from entrepot.cli.accepting import accept_named
from entrepot.cli.completing import complete_product
from entrepot.cli.fetching import reporting, trust_of
from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.progress import open_display
from entrepot.cli.rows import size_text
from entrepot.cli.setup import Setup
from entrepot.cli.transferring import Manner, manner_of, stream_options
from entrepot.client import Client
from entrepot.client.bundling import Chosen, choose, plan_bundle, write_bundle
from entrepot.client.finding import find_entitlement, find_version, parse_wanted
from entrepot.client.holdings import hold_entitlement, note_entitlement
from entrepot.client.manifests import fetch_manifest
from entrepot.client.trust import Trust

RELEASES_MAX = 1000


@click.command(context_settings=COMMAND)
@click.argument(
    "wanted",
    metavar="CODE[@VERSION]...",
    nargs=-1,
    required=True,
    shell_complete=complete_product,
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.tar",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The bundle to write.",
)
@stream_options
@hub_option
@click.pass_context
def bundle(ctx: click.Context, /, wanted: tuple[str, ...], output: Path, **options: Any) -> None:
    """Write releases into one file that `entrepotd import` takes on another hub.

    It holds the files, what the hub says of them, the texts of the licences, and signed
    manifests where the publisher signs. Every digest is checked while it is written; prints
    the path. A run that was stopped is gone on with by the same command.
    """
    if len(wanted) > RELEASES_MAX:
        raise click.UsageError(f"A bundle takes at most {RELEASES_MAX} releases.", ctx)
    setup = ctx.obj
    assert isinstance(setup, Setup)
    target = output.expanduser().absolute()
    manner = manner_of(setup, download_dir=str(target.parent), **options)
    with reporting(manner.report):
        _make(setup, manner, wanted, target)


def _make(setup: Setup, manner: Manner, wanted: Sequence[str], target: Path) -> None:
    """Choose, write, and tell of it. Raises every kind of ClientError."""
    report = manner.report
    with setup.client(times=manner.times, transfer_backoff=manner.backoff) as client:
        trust = trust_of(setup, client, report)
        chosen = [_chosen(client, trust, each, manner) for each in dict.fromkeys(wanted)]
        plan = plan_bundle(chosen, source=client.api.base.url)
        report.tell("planned", folder=str(target.parent), files=[target.name], bytes=plan.size)
        with open_display(report) as display:
            done = write_bundle(
                client,
                plan,
                target,
                country=manner.country,
                rate=manner.rate,
                backoff=manner.backoff,
                watcher=display.watcher,
            )
    files, signed = len(plan.wanted), all(one.manifest for one in chosen)
    proof = "signed by the publisher" if signed else "sha256 verified"
    reused = f", {size_text(done.reused)} of them were there" if done.reused else ""
    report.say(f"{target.name}: {size_text(done.size)}, {files} files, {proof}{reused}")
    report.print_paths([done.path])
    report.tell(
        "finished",
        file=target.name,
        path=str(done.path),
        size=done.size,
        verified="sha256",
        skipped=done.reused == done.size,
        seconds=round(done.seconds, 3),
        reused=done.reused,
        releases=plan.releases,
        signed=signed,
    )
    report.tell("ended", exit_code=0, complete=1, failed=0)


def _chosen(client: Client, trust: Trust, text: str, manner: Manner) -> Chosen:
    asked = parse_wanted(text)
    entitlement = find_entitlement(client, asked.what)
    release = find_version(client, str(entitlement.get("id", "")), asked.version)
    chosen = choose(client, entitlement, release)
    if chosen.licence is not None and not chosen.licence.accepted and manner.licences:
        # Before anything is fetched: each link would be refused for it.
        refused = accept_named(client, chosen.entitlement_id, manner.licences, manner.report)
        if refused is not None:
            raise refused
        chosen = choose(client, entitlement, release)
    if chosen.product != asked.what:
        hold_entitlement(trust, chosen.entitlement_id, chosen.product)
    manifest = fetch_manifest(client, trust, chosen.product, str(release.get("id", "")))
    if manifest is not None:
        note_entitlement(trust, chosen.entitlement_id, chosen.product)
    return replace(chosen, manifest=manifest)
