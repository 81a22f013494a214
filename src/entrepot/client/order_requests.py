"""What an order asks for, put into the words of the orders API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.client.answers import JsonObject
from entrepot.client.errors import InvalidUse

GROUP_PREFIX = "M.AssetMedia."
GROUPS = ("Images", "Vectors", "Videos", "Audio", "Documents", "Archives", "Default")
INDIVIDUAL_MAX = 10_000  # assets that the hub takes one by one; more of them by a selection
Step = Mapping[str, Any]  # {"type": ..., "value": ...}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to make of an asset: each rendition, preset and pipeline gives one file.

    `renditions` and `presets` are names; a conversion is a list of steps `{"type", "value"}`,
    applied in their order. `keep_as` (`label`, `culture`, `description`) keeps what is made as
    a rendition of the asset.
    """

    renditions: Sequence[str] = ()
    presets: Sequence[str] = ()
    conversions: Sequence[Sequence[Step]] = ()
    keep_as: Mapping[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.renditions or self.presets or self.conversions)

    def __add__(self, other: "Wishes") -> "Wishes":
        return Wishes(
            (*self.renditions, *other.renditions),
            (*self.presets, *other.presets),
            (*self.conversions, *other.conversions),
            other.keep_as or self.keep_as,
        )

    def configuration(self) -> JsonObject:
        """As the API spells it; what is not asked for is left out."""
        told: JsonObject = {}
        if self.renditions:
            told["renditions"] = list(self.renditions)
        if self.presets:
            told["presets"] = list(self.presets)
        if self.conversions:
            told["conversions"] = [[dict(step) for step in each] for each in self.conversions]
        if self.keep_as:
            told["user_rendition_configuration"] = dict(self.keep_as)
        return told


def group_named(name: str) -> str | None:
    """The media group of this name, in any letter case and with or without its prefix."""
    folded = name.casefold().removeprefix(GROUP_PREFIX.casefold())
    return next((group for group in GROUPS if group.casefold() == folded), None)


def global_configuration(every: Wishes, groups: Mapping[str, Wishes]) -> JsonObject:
    """`order.global`: what is wished of every group, and of some beyond that."""
    by_group = {known_group(name): wishes for name, wishes in groups.items()}
    wanted = {group: every + by_group.get(group, Wishes()) for group in GROUPS}
    return {GROUP_PREFIX + group: each.configuration() for group, each in wanted.items() if each}


def known_group(name: str) -> str:
    """The media group of this name. Raises InvalidUse."""
    found = group_named(name)
    if found is None:
        raise InvalidUse(
            f"There is no media group {name[:80]!r}.", remedy=f"There are {', '.join(GROUPS)}."
        )
    return found
