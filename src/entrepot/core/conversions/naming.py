"""Item name resolvers: templates for the names of an order's files, as the operator wrote them.

A template is text with fields in braces: `{asset.id}_{asset.title}_{rendition}.{ext}`. Numbers
may be filled up with zeros: `{index:04}`. What the fields hold, and how the result is made safe
and unique, is decided where the order is packed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from entrepot.errors import Invalid
from entrepot.kit.text import check_line

FIELDS: tuple[str, ...] = (
    "asset.id",
    "asset.identifier",
    "asset.title",
    "asset.file_name",
    "asset.stem",
    "asset.group",
    "asset.folder",
    "rendition",
    "preset",
    "ext",
    "original_ext",
    "index",
    "order.id",
    "order.name",
)
"""What a template may name. `asset.stem` is the file's name without its ending; `ext` is the
ending of the file in the ZIP, `original_ext` of the asset's own, both without the dot; `index`
counts the files of the order from 1; `preset` is empty where none made the file."""

NUMBERS = frozenset({"asset.id", "index", "order.id"})
"""Fields that may be filled up with zeros."""

TEMPLATE_LENGTH_MAX = 200
_TOKEN = re.compile(r"\{([^{}]*)\}|[{}]")
_FIELD = re.compile(r"([a-z_.]+)(?::0?([1-9]))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a template: a `text` as it stands, or a `field`, at least `digits` wide."""

    text: str = ""
    field: str = ""
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """A template taken apart; `fill` puts values in."""

    text: str
    parts: tuple[Part, ...]

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with the values of the fields in their places."""
        return "".join(
            values[part.field].zfill(part.digits) if part.field else part.text
            for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class Resolver:
    """How the files of an order are named. `folder` gives `a/b`, or nothing for no folder."""

    id: str
    title: str
    template: Template
    folder: Template


def parse_template(text: str, *, field: str) -> Template:
    """The template that `text` spells; Invalid where it names what is not there."""
    line = check_line(text, field=field, length_max=TEMPLATE_LENGTH_MAX, empty=True)
    return Template(line, tuple(_parts(line, field)))


def _parts(line: str, place: str) -> Iterator[Part]:
    at = 0
    for token in _TOKEN.finditer(line):
        if token.start() > at:
            yield Part(text=line[at : token.start()])
        at = token.end()
        yield _field(token, place)
    if at < len(line):
        yield Part(text=line[at:])


def _field(token: re.Match[str], place: str) -> Part:
    match = _FIELD.fullmatch(token[1] or "")
    name = match[1] if match else ""
    if match is None or name not in FIELDS or (match[2] and name not in NUMBERS):
        raise Invalid(
            f"{token[0]!r} is no field of a name.",
            field=place,
            remedy=f"Fields are {{{'}, {'.join(FIELDS)}}}; numbers may be written {{index:04}}.",
        )
    return Part(field=name, digits=int(match[2] or 0))


def parse_resolver(
    identifier: str, title: str, template: str, folder: str, *, field: str
) -> Resolver:
    """A resolver; Invalid names the part at fault below `field`."""
    name = parse_template(template, field=f"{field}.template")
    if "ext" not in {part.field for part in name.parts}:
        raise Invalid(
            "The name of a file needs its ending.",
            field=f"{field}.template",
            remedy="Let the template end with .{ext}.",
        )
    if "/" in template or "\\" in template:
        raise Invalid(
            "A file's name holds no slashes.",
            field=f"{field}.template",
            remedy="Write folders into `folder`.",
        )
    place = parse_template(folder, field=f"{field}.folder")
    _check_folder(folder, field=f"{field}.folder")
    return Resolver(identifier, title, name, place)


def _check_folder(folder: str, *, field: str) -> None:
    bad = any(part.strip() in ("", ".", "..") for part in folder.split("/")) or "\\" in folder
    if folder and bad:
        raise Invalid(
            f"{folder!r} is no folder.",
            field=field,
            remedy="Write names with / between them, as in {asset.group}/{asset.folder}.",
        )
    if "{ext}" in folder:
        raise Invalid("A folder has no ending.", field=field, remedy="Use {original_ext}.")
