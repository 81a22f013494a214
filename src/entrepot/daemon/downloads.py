"""`entrepotd downloads`: who took what."""

from uuid import UUID

import click

from entrepot.core.accounts import find_organisation
from entrepot.core.delivery import count_downloads, list_downloads
from entrepot.daemon.console import show_rows
from entrepot.daemon.desk import Desk
from entrepot.daemon.options import hub_command, json_option, page_options
from entrepot.daemon.paging import note_rest

_COLUMNS = (
    "started_at",
    "principal",
    "organisation_name",
    "kind",
    "product_code",
    "release_name",
    "file_name",
    "bytes_sent",
    "size",
    "completed_at",
)


@click.command()
@click.option("--organisation", help="Only of this one (number or name).")
@click.option("--artifact", metavar="UUID", type=click.UUID, help="Only of this file.")
@page_options
@json_option
@hub_command
def downloads(
    desk: Desk,
    organisation: str | None,
    artifact: UUID | None,
    *,
    skip: int,
    take: int,
    as_json: bool,
) -> None:
    """List downloads, newest first: who, what, how many bytes, and when it was complete."""
    wanted = None if artifact is None else str(artifact)
    with desk.hub() as hub, hub.database.read() as tx:
        owner = None if organisation is None else find_organisation(tx, organisation).id
        found = list_downloads(tx, artifact_id=wanted, organisation_id=owner, skip=skip, take=take)
        total = count_downloads(tx, artifact_id=wanted, organisation_id=owner)
    show_rows([dict(row._mapping) for row in found], columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)
