"""`entrepotd sweep`: room back from what nothing refers to any more."""

from dataclasses import asdict
from functools import partial

import click

from entrepot.core.catalogue import sweep_bytes
from entrepot.core.orders import release_former_files
from entrepot.daemon.console import show_one
from entrepot.daemon.desk import Desk
from entrepot.daemon.options import hub_command, json_option


@click.command()
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option(
    "--older-than",
    "hours",
    type=click.FloatRange(0, 24 * 3650),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="Leave alone what is younger: whoever stored it may still be at work.",
)
@json_option
@hub_command
def sweep(desk: Desk, *, dry_run: bool, hours: float, as_json: bool) -> None:
    """Remove stored files that nothing refers to, deleted assets, and what killed runs left.

    May run beside a hub that serves; prints how much went. --dry-run counts the files of
    deleted assets as in use, since those are removed first. What an asset had stays an hour
    longer, and as long as an order needs it.
    """
    with desk.hub() as hub:
        swept = sweep_bytes(
            hub.database,
            hub.blobs,
            older_than_seconds=hours * 3600,
            dry_run=dry_run,
            release=partial(release_former_files, hub.database, now=hub.now),
            now=hub.now,
        )
    show_one(asdict(swept), as_json=as_json)
