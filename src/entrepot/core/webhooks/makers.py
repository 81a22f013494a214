"""Whether those who subscribed to the events of every organisation may still hear of them.

A subscription outlives the session or token that made it, so its maker is asked for again
whenever deliveries are planned: the person's or the machine's roles and scopes as they are now.
The maker is whoever said last where it goes or what it hears.
What the operator made on the machine itself has nobody to ask for.
"""

from collections.abc import Iterable

from entrepot.core.accounts import SCOPES, Principal, load_client, load_user
from entrepot.core.webhooks.patterns import hears_everything
from entrepot.db import Tx
from entrepot.errors import Denied, Unauthenticated
from entrepot.kit.ids import parse_number

LAPSED = (
    "{} made it and may not hear of every organisation's events any more. "
    "Let somebody who may make a new one, or give the role or scope back and enable it."
)


def still_hears_everything(tx: Tx, maker: str, patterns: Iterable[str]) -> bool:
    """Whether `maker`, a principal's label, may have such a subscription made now."""
    try:
        who = _load(tx, maker)
        return who is None or hears_everything(who, patterns)
    except (Unauthenticated, Denied):
        return False


def _load(tx: Tx, maker: str) -> Principal | None:
    kind, _, name = maker.partition(":")
    if kind == "client":
        return load_client(tx, name, scopes=SCOPES)
    if kind == "user":
        return load_user(tx, parse_number(name) or 0)
    return None
