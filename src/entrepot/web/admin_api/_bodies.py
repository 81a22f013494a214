"""JSON bodies, decoded strictly: Invalid names the field that is wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from entrepot.errors import Invalid, NotFound
from entrepot.kit.text import parse_instant

B = TypeVar("B")

# msgspec says where in its message only: "... field `code`", "... - at `$.name`".
_FIELD = re.compile(r"(?:missing required|unknown) field `([^`]*)`")
_PLACE = re.compile(r" - at `\$\.?(.*?)`$", re.DOTALL)


def decode(body: bytes, decoder: msgspec.json.Decoder[B]) -> B:
    """The body as the decoder's type; Invalid where it is not JSON or a field is wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from error
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
        raise Invalid(
            "The body is not JSON.",
            field="body",
            remedy="Send a JSON object in UTF-8, with the fields that /openapi.json lists.",
        ) from error


def _wrong_field(message: str) -> Invalid:
    place, named = _PLACE.search(message), _FIELD.search(message)
    parts = [place[1] if place else "", named[1] if named else ""]
    text = _PLACE.sub("", message).replace("`", "'")
    return Invalid(
        f"{text[:200]}.",
        field=".".join(filter(None, parts))[:80] or "body",
        remedy="See /openapi.json for the fields.",
    )


@contextmanager
def field_named(name: str) -> Iterator[None]:
    """What a field refers to and is not there is a wrong field, not a wrong address."""
    try:
        yield
    except NotFound as error:
        raise Invalid(error.message, field=name) from error


def instant(text: str | UnsetType | None, field: str) -> datetime | None:
    """The instant that a field says; None where it says none."""
    return parse_instant(text, field=field) if isinstance(text, str) else None
