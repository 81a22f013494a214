"""`entrepotd grant`, `revoke` and `entitlement`: who may have what."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import click
from sqlalchemy import Row

from entrepot.core.accounts import find_organisation
from entrepot.core.delivery import find_quota
from entrepot.core.entitlements import Grant, find_entitlement, list_all_entitlements
from entrepot.core.entitlements import grant as give
from entrepot.core.entitlements import revoke as take_back
from entrepot.daemon.console import say, show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import (
    AGAIN,
    INSTANT,
    Count,
    Noun,
    hub_command,
    json_option,
    page_options,
)
from entrepot.daemon.paging import note_rest

_COLUMNS = (
    "id",
    "organisation_name",
    "product_code",
    "right_to",
    "state",
    "valid_from",
    "valid_to",
    "maintenance_to",
)
_MOST, _NUMBER = Count(1, 2**53 - 1), Count(1, 2**63 - 1)


@click.command()
@click.argument("organisation")
@click.argument("product")
@click.option(
    "--right-to",
    default="download",
    show_default=True,
    help="download: have the files; use: only be listed as entitled.",
)
@click.option("--free", is_flag=True, help="Shown to the customer as free.")
@click.option(
    "--quality", "qualities", multiple=True, help=f"Only releases of this quality. {AGAIN}"
)
@click.option("--valid-from", type=INSTANT, help="It holds from then on.  [default: now]")
@click.option("--valid-to", type=INSTANT, help="It has ended then.  [default: for ever]")
@click.option(
    "--maintenance-from",
    type=INSTANT,
    help="No releases that became available before then.  [default: all before]",
)
@click.option(
    "--maintenance-to",
    type=INSTANT,
    help="No releases that become available from then on; those before stay theirs.",
)
@click.option("--design-start", multiple=True, help=f"A foundry, shown to the customer. {AGAIN}")
@click.option(
    "--country",
    "allowed_countries",
    multiple=True,
    metavar="CODE",
    help=f"Only downloads from this country (ISO 3166, such as DE). {AGAIN}",
)
@click.option(
    "--compliance",
    type=click.Choice(("approved", "pending", "blocked")),
    default="approved",
    show_default=True,
    help="How the export check stands: without approval nothing can be downloaded.",
)
@click.option("--compliance-reason", help="Why the export check stands so, for the customer.")
@click.option(
    "--licence",
    "pinned_licence",
    metavar="CODE",
    help="The licence to accept, whatever the product's becomes.  [default: the product's]",
)
@click.option(
    "--licence-revision",
    "pinned_revision",
    type=Count(1, 2**31 - 1),
    metavar="N",
    help="Which revision of --licence.  [default: its newest now]",
)
@click.option("--order-item", "sales_order_item", help="The sale it comes from, in your books.")
@click.option(
    "--downloads", "downloads_max", type=_MOST, metavar="N", help="A quota: so many downloads."
)
@click.option(
    "--bytes",
    "bytes_max",
    type=_MOST,
    metavar="N",
    help="A quota: so many bytes, counted by whole files.",
)
@click.option(
    "--addresses",
    "addresses_max",
    type=_MOST,
    metavar="N",
    help="A quota: from so many network addresses.",
)
@click.option(
    "--again", is_flag=True, help="Grant it although a live entitlement gives the same already."
)
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
@click.argument("entitlement", type=_NUMBER)
@hub_command
def revoke(desk: Desk, entitlement: int) -> None:
    """End ENTITLEMENT (its number): links die in seconds, running downloads go on to their end."""
    with desk.hub() as hub, hub.database.write() as tx:
        take_back(tx, entitlement, actor=OPERATOR, now=hub.now())
    say("The entitlement is revoked.")


@click.group(cls=Noun)
def entitlement() -> None:
    """List and show entitlements; `grant` and `revoke` make and end them."""


@entitlement.command(name="list")
@click.option("--organisation", help="Only of this one (number or name).")
@page_options
@json_option
@hub_command
def list_(desk: Desk, organisation: str | None, *, skip: int, take: int, as_json: bool) -> None:
    """List entitlements by number."""
    with desk.hub() as hub, hub.database.read() as tx:
        owner = None if organisation is None else find_organisation(tx, organisation).id
        found, total = list_all_entitlements(tx, organisation_id=owner, skip=skip, take=take)
        rows = [_shown(row, now=hub.now()) for row in found]
    show_rows(rows, columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@entitlement.command()
@click.argument("entitlement", type=_NUMBER)
@json_option
@hub_command
def show(desk: Desk, entitlement: int, *, as_json: bool) -> None:
    """Print all that ENTITLEMENT (its number) says, and what is used of its quota."""
    with desk.hub() as hub, hub.database.read() as tx:
        shown = _shown(find_entitlement(tx, entitlement), now=hub.now())
        quota = find_quota(tx, entitlement, now=hub.now())
    used = ("downloads_used", "bytes_used", "addresses_used", "returns_at")
    more = {name: getattr(quota, name) for name in used} if quota.limited else {}
    show_one(shown | more, as_json=as_json)


def _shown(row: Row[Any], *, now: datetime) -> dict[str, Any]:
    """A row with the `state` that follows from its times."""
    if row.revoked_at is not None:
        state = "revoked"
    elif row.valid_from > now:
        state = "to come"
    elif row.valid_to is not None and row.valid_to <= now:
        state = "ended"
    else:
        state = "active"
    return dict(row._mapping) | {"state": state}
