"""The append-only log: who did what to which object, when, in which request."""

from entrepot.core.events.log import Event, record

__all__ = ["Event", "record"]
