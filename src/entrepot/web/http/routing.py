"""Routers of the doors."""

from typing import Any

from litestar import Router


class DoorRouter(Router):
    """A router that belongs to one application.

    Litestar copies a router and all that hangs on it when it is registered, because it may be
    registered elsewhere too. Ours never is: each application makes its own.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "DoorRouter":
        """Itself."""
        return self
