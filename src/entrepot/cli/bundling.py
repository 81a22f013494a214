"""The command bundle: releases in one file, for a hub that this one cannot reach."""

from dataclasses import replace
from pathlib import Path

import click

from entrepot.cli.completing import complete_product
from entrepot.cli.fetching import trust_of
from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.progress import Report, open_display
from entrepot.cli.rows import size_text
from entrepot.cli.setup import Setup
from entrepot.cli.transferring import parse_rate
from entrepot.client import Client, RateLimit
from entrepot.client.bundling import Chosen, choose, plan_bundle, write_bundle
from entrepot.client.client import country_code
from entrepot.client.finding import find_entitlement, find_version, parse_wanted
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
@click.option("--country", help="Country to declare for controlled artifacts, such as GB.")
@click.option(
    "--limit-rate", metavar="RATE", help="Bytes per second, such as 500k or 10M (of 1024)."
)
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
@hub_option
@click.pass_context
def bundle(
    ctx: click.Context,
    wanted: tuple[str, ...],
    output: Path,
    country: str | None,
    limit_rate: str | None,
    *,
    quiet: bool,
) -> None:
    """Write releases into one file that `entrepotd import` takes on another hub.

    It holds the files, what the hub says of them, the texts of the licences, and signed
    manifests where the publisher signs. Every digest is checked while it is written; prints
    the path. A run that was stopped is gone on with by the same command.
    """
    if len(wanted) > RELEASES_MAX:
        raise click.UsageError(f"A bundle takes at most {RELEASES_MAX} releases.", ctx)
    setup = ctx.obj
    assert isinstance(setup, Setup)
    report = Report.ERRORS if quiet else Report.PEOPLE
    rate = RateLimit(parse_rate(limit_rate)) if limit_rate else None
    declared = country_code(country) if country else None
    with setup.client() as client, open_display(report) as display:
        trust = trust_of(setup, client, report)
        chosen = [_chosen(client, trust, each) for each in wanted]
        plan = plan_bundle(chosen, source=client.api.base.url)
        done = write_bundle(
            client,
            plan,
            output.expanduser().absolute(),
            country=declared,
            rate=rate,
            watcher=display.watcher,
        )
    files = len(plan.wanted)
    proof = "signed by the publisher" if all(one.manifest for one in chosen) else "sha256 verified"
    reused = f", {size_text(done.reused)} of them were there" if done.reused else ""
    report.say(f"{output.name}: {size_text(done.size)}, {files} files, {proof}{reused}")
    report.print_path(done.path)


def _chosen(client: Client, trust: Trust, text: str) -> Chosen:
    asked = parse_wanted(text)
    entitlement = find_entitlement(client, asked.what)
    release = find_version(client, str(entitlement.get("id", "")), asked.version)
    chosen = choose(client, entitlement, release)
    manifest = fetch_manifest(client, trust, chosen.product, str(release.get("id", "")))
    return replace(chosen, manifest=manifest)
