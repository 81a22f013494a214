"""On the wire: keys."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from entrepot.web.admin_api._wire import Incoming, Moment, Wire

Purpose: TypeAlias = Literal["token", "link"]


class Rotation(Incoming):
    """Which keys get a successor."""

    purpose: Purpose


class KeyItem(Wire):
    """A signing key without its secret half; `retires_at` is null until it has a successor."""

    kid: str
    purpose: Purpose
    created_at: Moment
    signs_from: Moment
    retires_at: Moment | None


class KeyList(Wire):
    """Every key there was, by purpose and age."""

    total: int
    items: Sequence[KeyItem]
