"""The organisation that a request means: in the query of a list, or in a body."""

from typing import Any

from sqlalchemy import Row

from entrepot.core.accounts import find_organisation
from entrepot.db import Tx
from entrepot.web.admin_api._actions import Call
from entrepot.web.admin_api._bodies import field_named


def owner_named(tx: Tx, reference: str | int) -> Row[Any]:
    """The organisation with this number or name; Invalid names the field where there is none."""
    with field_named("organisation"):
        return find_organisation(tx, reference)


def owner_wanted(tx: Tx, call: Call[None]) -> int | None:
    """The number of the organisation that a list is asked for; None: of all."""
    reference = call.query.get("organisation")
    return None if reference is None else int(owner_named(tx, reference).id)
