"""Item name resolvers: templates for the names of an order's files, as the operator wrote them.

A template is text with fields in braces: `{asset.id}_{asset.title}_{rendition}.{ext}`. Here it
is checked; what the fields hold, and how the result is made safe and unique, is decided where
the order is packed (entrepot.core.orders).
"""

import re
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

TEMPLATE_LENGTH_MAX = 200
_TOKEN = re.compile(r"\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Resolver:
    """How the files of an order are named.

    `template` is the whole path, `/` between folders: `{asset.group}/{asset.stem}.{ext}`. A
    folder that is `{asset.folder}` and nothing else stands for all folders the asset lies in.
    """

    id: str
    title: str
    template: str


def parse_resolver(
    identifier: str, title: str, template: str, folder: str, *, field: str
) -> Resolver:
    """A resolver from the name of a file and of its folders; Invalid names the part at fault."""
    name = _check(template, field=f"{field}.template")
    if "{ext}" not in name:
        raise Invalid(
            "The name of a file needs its ending.",
            field=f"{field}.template",
            remedy="Let the template end with .{ext}.",
        )
    if "/" in name or "\\" in name:
        raise Invalid(
            "A file's name holds no slashes.",
            field=f"{field}.template",
            remedy="Write folders into `folder`.",
        )
    path = _check(folder, field=f"{field}.folder")
    _check_folder(path, field=f"{field}.folder")
    return Resolver(identifier, title, f"{path}/{name}" if path else name)


def _check(text: str, *, field: str) -> str:
    """A line whose fields are all there; Invalid names the first that is not."""
    line = check_line(text, field=field, length_max=TEMPLATE_LENGTH_MAX, empty=True)
    for token in _TOKEN.finditer(line):
        if token[1] not in FIELDS:
            listed = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise Invalid(
                f"{token[0]!r} is no field of a name.", field=field, remedy=f"Fields are {listed}."
            )
    return line


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
