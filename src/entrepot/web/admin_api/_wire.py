"""What goes over the wire: what the shapes of every noun are made of, and how rows fill them.

The shapes themselves, field by field, are in the modules `_wire_<noun>`; wire names live only
there. What comes in is strict: no unknown field, no number for a text. What goes out has every
field always, null where there is nothing.
"""

from datetime import datetime
from typing import Annotated, Any, TypeAlias, TypeVar

from msgspec import Meta, Struct
from sqlalchemy import Row

from entrepot.kit.text import LINE_LENGTH_MAX, TEXT_LENGTH_MAX, format_instant

PATH = "/api/admin/v1"

Line: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LINE_LENGTH_MAX)]
Text: TypeAlias = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
Country: TypeAlias = Annotated[
    str, Meta(description="ISO 3166-1 alpha-2.", min_length=2, max_length=2, examples=["DE"])
]
Quality: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,15}$")]
Instant: TypeAlias = Annotated[
    str,
    Meta(
        description="A date (midnight UTC), or a time with its zone.",
        max_length=40,
        examples=["2026-01-31T12:00:00Z"],
    ),
]
Owner: TypeAlias = Annotated[str | int, Meta(description="Number or name of the organisation.")]
Moment: TypeAlias = Annotated[
    str, Meta(description="ISO 8601, UTC, milliseconds.", examples=["2026-01-31T12:00:00.000Z"])
]
Digest: TypeAlias = Annotated[str, Meta(description="Hexadecimal.")]


class Incoming(Struct, forbid_unknown_fields=True):
    """A request body."""


class Wire(Struct):
    """A response body or a part of one."""


W = TypeVar("W", bound=Wire)


def fill(kind: type[W], row: Row[Any], **more: Any) -> W:
    """A wire object whose fields are the row's columns of the same names, or those in `more`."""
    columns = row._mapping
    names = kind.__struct_fields__
    return kind(*(_plain(more[name] if name in more else columns[name]) for name in names))


def moment(instant: datetime) -> str:
    """An instant as it goes out."""
    return format_instant(instant)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    return list(value) if isinstance(value, tuple) else value
