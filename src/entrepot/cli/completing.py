"""What the shell completes: orders, assets, products and their releases, as the hub tells them.

A Tab must never show an error nor keep anybody waiting: what cannot be had in three seconds is
left out, and what was told is good for a minute, in a file beside the sign-in.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from entrepot.cli.setup import Setup

if TYPE_CHECKING:
    from entrepot.client import Client

_SHOWN_MAX = 100
_SECONDS_MAX = 3.0  # nobody waits longer for a Tab
_KEPT_SECONDS = 60.0
_KEPT_MAX = 50
_Choice = tuple[str, str]  # what is typed, what is shown beside it


def complete_order(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The latest orders, with state and name beside them."""

    def ask(client: "Client") -> list[_Choice]:
        return [
            (
                str(order.get("order_id")),
                f"{order.get('status')} {order.get('name') or ''}".strip(),
            )
            for order in client.orders.list(page=1, limit=_SHOWN_MAX)
        ]

    return _complete(ctx, incomplete, "", ask)


def complete_asset(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The first assets that one may have, by identifier, or by number where one is typed."""

    def ask(client: "Client") -> list[_Choice]:
        key, other = ("id", "identifier") if incomplete.isdigit() else ("identifier", "id")
        page = client.api.get(("api", "entities"), {"take": str(_SHOWN_MAX)})
        return [(str(asset.get(key)), str(asset.get(other))) for asset in page.get("items", [])]

    return _complete(ctx, incomplete, "", ask)


def complete_product(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Codes of products; behind an `@` the releases of that one."""
    what, at, _ = incomplete.partition("@")
    if at:
        return _complete(
            ctx, incomplete, f"releases {what}", lambda client: _releases(client, what)
        )
    return _complete(ctx, incomplete, "products", _products)


def complete_folder(
    _ctx: click.Context, _param: click.Parameter, _incomplete: str
) -> list[CompletionItem]:
    """Folders, by the shell itself."""
    return [CompletionItem("", type="dir")]


def complete_profile(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of profiles, which lie on this machine."""
    from entrepot.client.profiles import list_profiles

    try:
        every = list_profiles(os.environ)
    except Exception:
        return []
    return [
        CompletionItem(one.name, help=one.address.url if one.address else "")
        for one, _ in every
        if one.name.startswith(incomplete)
    ]


def _products(client: "Client") -> list[_Choice]:
    from entrepot.client.finding import list_products

    return [(str(one["id"]), str(one["name"])) for one in list_products(client)]


def _releases(client: "Client", what: str) -> list[_Choice]:
    from entrepot.client.finding import find_entitlement, version_of

    number = str(find_entitlement(client, what).get("id", ""))
    every = client.releases(number, page=1, limit=_SHOWN_MAX)
    named = [(f"{what}@{version_of(one)}", str(one.get("availableAt", ""))) for one in every]
    return [(f"{what}@latest", "the newest"), *named]


def _complete(
    ctx: click.Context, incomplete: str, kept_as: str, ask: Callable[["Client"], list[_Choice]]
) -> list[CompletionItem]:
    """What the hub tells; nothing where it cannot be asked."""
    try:
        choices = _told(ctx, kept_as, ask)
    except Exception:
        return []
    folded = incomplete.casefold()
    return [
        CompletionItem(value, help=told)
        for value, told in choices
        if value.casefold().startswith(folded)
    ]


def _told(
    ctx: click.Context, kept_as: str, ask: Callable[["Client"], list[_Choice]]
) -> list[_Choice]:
    from entrepot.client import Backoff, Client

    root = ctx.find_root().params
    url, cacert = (ctx.meta.get(f"entrepot.{key}") or root.get(key) for key in ("url", "cacert"))
    setup = Setup(root.get("profile"), url, 0, os.environ, cacert)
    hub, times = setup.hub(), setup.times(_SECONDS_MAX, _SECONDS_MAX, _SECONDS_MAX)
    key = _key(setup, f"{hub.url} {kept_as}")
    if kept_as and (kept := _kept(setup, key)) is not None:
        return kept
    tokens = setup.tokens(hub, times)
    with Client(hub.url, tokens, times=times, call_backoff=Backoff(attempts=1)) as client:
        choices = ask(client)
    if kept_as:
        _keep(setup, key, choices)
    return choices


def _key(setup: Setup, asked: str) -> str:
    """Of hub, question and sign-in, so that nobody is offered what another one may have."""
    import hashlib

    names = ("ENTREPOT_TOKEN", "EDM_ACCESS_TOKEN", "ENTREPOT_CLIENT_ID")
    who = " ".join(setup.variables.get(name, "") for name in names)
    return hashlib.sha256(f"{setup.profile().name} {asked} {who}".encode()).hexdigest()


def _kept(setup: Setup, key: str) -> list[_Choice] | None:
    from entrepot.client.private_files import read_private

    entry = read_private(setup.profile().root / "completions.json").get(key)
    if not isinstance(entry, dict) or not 0 <= time.time() - entry["at"] <= _KEPT_SECONDS:
        return None
    return [(str(value), str(told)) for value, told in entry["choices"]]


def _keep(setup: Setup, key: str, choices: list[_Choice]) -> None:
    from entrepot.client.private_files import read_private, write_private

    path = setup.profile().root / "completions.json"
    now = time.time()
    fresh: dict[str, Any] = {
        name: entry
        for name, entry in list(read_private(path).items())[-_KEPT_MAX:]
        if isinstance(entry, dict) and 0 <= now - entry.get("at", 0) <= _KEPT_SECONDS
    }
    write_private(path, fresh | {key: {"at": now, "choices": choices}})
