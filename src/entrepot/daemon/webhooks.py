"""`entrepotd webhooks`: who is told of which events, and how the telling goes."""

from collections.abc import Sequence

import click

from entrepot.core.accounts import find_organisation
from entrepot.core.webhooks import (
    STATES,
    WebhookSpec,
    add_webhook_for,
    check_webhook,
    disable_webhook,
    enable_webhook,
    find_delivery,
    find_webhook,
    list_attempts,
    list_deliveries,
    list_webhooks,
    ping_webhook,
    redeliver,
    remove_webhook,
    rotate_secret,
)
from entrepot.daemon.console import say, show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import Noun, hub_command, json_option, page_options
from entrepot.daemon.paging import note_rest

_COLUMNS = (
    "id",
    "organisation_name",
    "hears_of",
    "events",
    "url",
    "failing_since",
    "disabled_at",
)
_REACH = {False: "its organisation", True: "everything"}
_DELIVERIES = ("id", "event_id", "type", "state", "attempts", "due_at", "created_at", "ended_at")
_number = click.argument("webhook", type=click.IntRange(1))
_delivery = click.argument("delivery")


@click.group(cls=Noun)
def webhooks() -> None:
    """Subscribe receivers to events; see, repeat and test deliveries."""


@webhooks.command()
@click.argument("url")
@click.option("--organisation", required=True, help="Whose it is (number or name).")
@click.option(
    "--event",
    "patterns",
    multiple=True,
    required=True,
    metavar="PATTERN",
    help="order/completed, product/*, or *; may be given several times.",
)
@click.option(
    "--everything",
    is_flag=True,
    help="Events of every organisation and of the catalogue, not of ORGANISATION alone.",
)
@click.option("--description", default="", help="What it is for.")
@json_option
@hub_command
def add(
    desk: Desk,
    url: str,
    organisation: str,
    patterns: Sequence[str],
    description: str,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """Have URL told of events; prints the secret that signs, which is shown this once."""
    with desk.hub() as hub:
        check_webhook(
            url=url,
            patterns=patterns,
            description=description,
            private=hub.policy.outbound_private,
        )
        with hub.database.write() as tx:
            made = add_webhook_for(
                tx,
                hub.keys.box,
                find_organisation(tx, organisation).id,
                WebhookSpec(url, patterns, description),
                everything=everything,
                actor=OPERATOR,
                now=hub.now(),
            )
    say("The secret is not shown again: store it now.")
    show_one({"id": made.id, "secret": made.secret}, as_json=as_json)


@webhooks.command(name="list")
@click.option("--organisation", help="Only of this one (number or name).")
@page_options
@json_option
@hub_command
def list_(desk: Desk, organisation: str | None, *, skip: int, take: int, as_json: bool) -> None:
    """List webhooks by number.

    HEARS OF says whose events: those of its own organisation, or of all and of the catalogue too
    (`--everything`); EVENTS says which of them.
    """
    with desk.hub() as hub, hub.database.read() as tx:
        owner = None if organisation is None else find_organisation(tx, organisation).id
        found, total = list_webhooks(tx, organisation_id=owner, skip=skip, take=take)
    rows = [dict(row._mapping) for row in found]
    if not as_json:
        rows = [row | {"hears_of": _REACH[row["everything"]]} for row in rows]
    show_rows(rows, columns=_COLUMNS, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@webhooks.command()
@_number
@json_option
@hub_command
def show(desk: Desk, webhook: int, *, as_json: bool) -> None:
    """Show a webhook, without its secret."""
    with desk.hub() as hub, hub.database.read() as tx:
        row = find_webhook(tx, webhook)
    show_one(dict(row._mapping), as_json=as_json)


@webhooks.command()
@_number
@json_option
@hub_command
def rotate(desk: Desk, webhook: int, *, as_json: bool) -> None:
    """Make a new secret and print it; the former one signs beside it for 24 hours."""
    with desk.hub() as hub, hub.database.write() as tx:
        made = rotate_secret(tx, hub.keys.box, webhook, actor=OPERATOR, now=hub.now())
    say("The secret is not shown again: store it now.")
    show_one({"id": made.id, "secret": made.secret}, as_json=as_json)


@webhooks.command()
@_number
@click.option("--why", default="Disabled by an operator.", help="For whoever looks at it.")
@hub_command
def disable(desk: Desk, webhook: int, why: str) -> None:
    """Deliver nothing any more; what waits is kept."""
    with desk.hub() as hub, hub.database.write() as tx:
        disable_webhook(tx, webhook, why=why, actor=OPERATOR, now=hub.now())
    say(f"Webhook {webhook} is disabled.")


@webhooks.command()
@_number
@hub_command
def enable(desk: Desk, webhook: int) -> None:
    """Deliver again, beginning with what waited."""
    with desk.hub() as hub, hub.database.write() as tx:
        enable_webhook(tx, webhook, actor=OPERATOR, now=hub.now())
    say(f"Webhook {webhook} is enabled.")


@webhooks.command()
@_number
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@page_options
@json_option
@hub_command
def deliveries(
    desk: Desk, webhook: int, state: str | None, *, skip: int, take: int, as_json: bool
) -> None:
    """List what was, is and will be sent to a webhook, newest first."""
    with desk.hub() as hub, hub.database.read() as tx:
        find_webhook(tx, webhook)
        found, total = list_deliveries(tx, webhook, state=state, skip=skip, take=take)
    show_rows([dict(row._mapping) for row in found], columns=_DELIVERIES, as_json=as_json)
    note_rest(len(found), skip=skip, total=total)


@webhooks.command()
@_delivery
@json_option
@hub_command
def attempts(desk: Desk, delivery: str, *, as_json: bool) -> None:
    """List every attempt to send DELIVERY (msg_...), oldest first."""
    with desk.hub() as hub, hub.database.read() as tx:
        found = list_attempts(tx, find_delivery(tx, delivery).id)
    columns = ("at", "status", "milliseconds", "reason")
    show_rows([dict(row._mapping) for row in found], columns=columns, as_json=as_json)


@webhooks.command(name="redeliver")
@_delivery
@hub_command
def redeliver_(desk: Desk, delivery: str) -> None:
    """Send DELIVERY (msg_...) once more, under the same id."""
    with desk.hub() as hub, hub.database.write() as tx:
        redeliver(tx, delivery, actor=OPERATOR, now=hub.now())
    say(f"{delivery} is sent again.")


@webhooks.command()
@_number
@hub_command
def ping(desk: Desk, webhook: int) -> None:
    """Have a test event sent; prints the id of its delivery."""
    with desk.hub() as hub, hub.database.write() as tx:
        row = ping_webhook(tx, webhook, actor=OPERATOR, now=hub.now())
    click.echo(row.id)


@webhooks.command()
@_number
@hub_command
def remove(desk: Desk, webhook: int) -> None:
    """End a webhook for good, with its deliveries."""
    with desk.hub() as hub, hub.database.write() as tx:
        remove_webhook(tx, webhook, actor=OPERATOR, now=hub.now())
    say(f"Webhook {webhook} is removed.")
