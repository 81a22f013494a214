"""`entrepotd grant`, `revoke` and `entitlements`: who may have what."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import click

from entrepot.core.accounts import find_organisation
from entrepot.core.entitlements import Grant, list_all_entitlements
from entrepot.core.entitlements import grant as give
from entrepot.core.entitlements import revoke as take_back
from entrepot.daemon.console import say, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import INSTANT, hub_command, json_option, page_options
from entrepot.daemon.paging import note_rest

_COLUMNS = (
    "id",
    "organisation_name",
    "product_code",
    "right_to",
    "valid_from",
    "valid_to",
    "maintenance_to",
    "revoked_at",
)
_MOST = click.IntRange(1, 2**53 - 1)


@click.command()
@click.argument("organisation")
@click.argument("product")
@click.option("--right-to", default="download", show_default=True, help="download or use.")
@click.option("--free", is_flag=True, help="Nothing was paid for it.")
@click.option("--quality", "qualities", multiple=True, help="Only these; several times.")
@click.option("--valid-from", type=INSTANT, help="[default: now]")
@click.option("--valid-to", type=INSTANT, help="Exclusive.  [default: for ever]")
@click.option("--maintenance-from", type=INSTANT, help="Releases from then on are included.")
@click.option("--maintenance-to", type=INSTANT, help="Releases from then on are not included.")
@click.option("--design-start", multiple=True, help="A foundry; several times.")
@click.option(
    "--country", "allowed_countries", multiple=True, metavar="CODE", help="Only these; several."
)
@click.option(
    "--compliance",
    type=click.Choice(("approved", "pending", "blocked")),
    default="approved",
    show_default=True,
)
@click.option("--compliance-reason")
@click.option("--licence", "pinned_licence", metavar="CODE", help="Keep this one at a revision.")
@click.option(
    "--licence-revision", "pinned_revision", type=click.IntRange(1, 2**31 - 1), help="Which."
)
@click.option("--order-item", "sales_order_item", help="Where it was sold.")
@click.option("--downloads", "downloads_max", type=_MOST, help="So many in all.")
@click.option("--bytes", "bytes_max", type=_MOST, help="So many in all, counted by whole files.")
@click.option("--addresses", "addresses_max", type=_MOST, help="From so many in all.")
@click.option("--again", is_flag=True, help="Also where a live entitlement gives the same.")
@hub_command
def grant(
    desk: Desk,
    organisation: str,
    product: str,
    *,
    right_to: str,
    free: bool,
    qualities: Sequence[str],
    valid_from: datetime | None,
    valid_to: datetime | None,
    maintenance_from: datetime | None,
    maintenance_to: datetime | None,
    design_start: Sequence[str],
    allowed_countries: Sequence[str],
    compliance: Literal["approved", "pending", "blocked"],
    compliance_reason: str | None,
    pinned_licence: str | None,
    pinned_revision: int | None,
    sales_order_item: str | None,
    downloads_max: int | None,
    bytes_max: int | None,
    addresses_max: int | None,
    again: bool,
) -> None:
    """Give ORGANISATION (number or name) PRODUCT (code or number); prints the entitlement."""
    given = Grant(
        product,
        right_to,
        free,
        qualities,
        valid_from,
        valid_to,
        maintenance_from,
        maintenance_to,
        design_start,
        allowed_countries,
        compliance,
        compliance_reason,
        pinned_licence,
        pinned_revision,
        sales_order_item,
        downloads_max,
        bytes_max,
        addresses_max,
    )
    with desk.hub() as hub, hub.database.write() as tx:
        number = give(tx, organisation, given, again=again, actor=OPERATOR, now=hub.now())
    click.echo(number)


@click.command()
@click.argument("entitlement", type=click.IntRange(1, 2**63 - 1))
@hub_command
def revoke(desk: Desk, entitlement: int) -> None:
    """End ENTITLEMENT (its number): links die in seconds, running downloads go on to their end."""
    with desk.hub() as hub, hub.database.write() as tx:
        take_back(tx, entitlement, actor=OPERATOR, now=hub.now())
    say("The entitlement is revoked.")


@click.command()
@click.option("--organisation", help="Only of this one (number or name).")
@page_options
@json_option
@hub_command
def entitlements(
    desk: Desk, organisation: str | None, *, skip: int, take: int, as_json: bool
) -> None:
    """List entitlements by number."""
    with desk.hub() as hub, hub.database.read() as tx:
        owner = None if organisation is None else find_organisation(tx, organisation).id
        found, total = list_all_entitlements(tx, organisation_id=owner, skip=skip, take=take)
    show_rows([dict(row._mapping) for row in found], columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)
