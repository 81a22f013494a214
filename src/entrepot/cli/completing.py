"""What the shell completes: numbers of orders, identifiers of assets, as the hub tells them."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from entrepot.cli.setup import Setup

if TYPE_CHECKING:
    from entrepot.client import Client

_SHOWN_MAX = 100
_SECONDS_MAX = 3.0  # nobody waits longer for a Tab


def complete_order(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The latest orders, with state and name beside them."""

    def ask(client: "Client") -> list[CompletionItem]:
        return [
            CompletionItem(
                str(order.get("order_id")),
                help=f"{order.get('status')} {order.get('name') or ''}".strip(),
            )
            for order in client.orders.list(page=1, limit=_SHOWN_MAX)
        ]

    return _ask(ctx, incomplete, ask)


def complete_asset(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The first assets that one may have, by identifier, or by number where one is typed."""

    def ask(client: "Client") -> list[CompletionItem]:
        key, other = ("id", "identifier") if incomplete.isdigit() else ("identifier", "id")
        page = client.api.get(("api", "entities"), {"take": str(_SHOWN_MAX)})
        return [
            CompletionItem(str(asset.get(key)), help=str(asset.get(other)))
            for asset in page.get("items", [])
        ]

    return _ask(ctx, incomplete, ask)


def _ask(
    ctx: click.Context, incomplete: str, ask: Callable[["Client"], list[CompletionItem]]
) -> list[CompletionItem]:
    """What the hub tells; nothing where it cannot be asked: a Tab must never show an error."""
    from entrepot.client import Backoff, Client, Times

    times = Times(_SECONDS_MAX, _SECONDS_MAX, _SECONDS_MAX)
    told = {**ctx.find_root().params, **{k: v for k, v in ctx.params.items() if k == "url" and v}}
    setup = Setup(told.get("environment"), told.get("url"), 0, os.environ)
    try:
        hub = setup.hub()
        tokens = setup.tokens(hub, times)
        with Client(hub.url, tokens, times=times, call_backoff=Backoff(attempts=1)) as client:
            return [one for one in ask(client) if one.value.startswith(incomplete)]
    except Exception:
        return []
