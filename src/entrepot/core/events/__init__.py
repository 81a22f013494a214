"""The append-only log: who did what to which object, when, in which request."""

from entrepot.core.events.denials import Denial, Tally, record_denial
from entrepot.core.events.exporting import FORMATS, MEDIA_TYPES, plain_event
from entrepot.core.events.log import Event, record, record_all
from entrepot.core.events.reading import Wanted, list_events, walk_events
from entrepot.core.events.retention import purge_events
from entrepot.core.events.types import TYPES, nearest

__all__ = [
    "FORMATS",
    "MEDIA_TYPES",
    "TYPES",
    "Denial",
    "Event",
    "Tally",
    "Wanted",
    "list_events",
    "nearest",
    "plain_event",
    "purge_events",
    "record",
    "record_all",
    "record_denial",
    "walk_events",
]
