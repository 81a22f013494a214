"""The operator's rules for media: renditions, presets, names, limits.

Made by `load_media_rules` (rules.py) when the hub starts; what is asked of them later is
answered from memory. Contract: download orders, "Media groups and renditions".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot.core.conversions._given import show
from entrepot.core.conversions.naming import Resolver
from entrepot.core.conversions.pipelines import compile_pipeline
from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.errors import Invalid

ORIGINAL, METADATA = "original", "metadata"
METADATA_RECIPE = Recipe("metadata", (), "json", "application/json")

Making = str | tuple[Mapping[str, Any], ...]
"""How a rendition is made: ORIGINAL, METADATA, or the steps of a pipeline."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """A rendition that every asset of the groups in `by_group` can have."""

    name: str
    title: str
    aliases: tuple[str, ...]
    by_group: Mapping[str, Making]


@dataclass(frozen=True, slots=True)
class Preset:
    """A pipeline with a name: one for each group in `by_group`, or `steps` for all others."""

    name: str
    title: str
    steps: tuple[Mapping[str, Any], ...] | None
    by_group: Mapping[str, tuple[Mapping[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class MediaRules:
    """Everything the operator decides about media. Names are looked up in any letter case."""

    renditions: Mapping[str, Rendition]
    presets: Mapping[str, Preset]
    default_renditions: Mapping[str, tuple[str, ...]]
    resolvers: Mapping[str, Resolver]
    default_resolver: str
    limits: Mapping[str, Limits]
    _known: Mapping[str, str] = field(init=False, repr=False, compare=False)
    # There are some dozens of content types, so this stays small.
    _made: dict[tuple[str, ...], Recipe | None] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        known = {
            called.lower(): each.name
            for each in self.renditions.values()
            for called in (each.name, *each.aliases)
        }
        object.__setattr__(self, "_known", known)

    def find_rendition(self, name: str, *, field: str = "renditions") -> Rendition:
        """The rendition of this name or alias; Invalid (rendition-unknown) without one."""
        known = self._known.get(name.lower())
        if known is None:
            raise Invalid(
                f"There is no rendition {show(name)}.",
                field=field,
                code="rendition-unknown",
                remedy=f"Ask for one of {', '.join(self.renditions)}.",
            )
        return self.renditions[known]

    def rendition(
        self, name: str, media_group: str, content_type: str, *, field: str = "renditions"
    ) -> Recipe | None:
        """How to make it of such a file; None: it is the stored file, as it came.

        Invalid (rendition-impossible, conversion-impossible) where such a file cannot have it.
        A recipe of the runner `metadata` is answered with `metadata_document`.
        """
        found = self.find_rendition(name, field=field)
        making = found.by_group.get(media_group)
        if making is None:
            raise Invalid(
                f"{media_group} ({content_type}) have no rendition {found.name}.",
                field=field,
                code="rendition-impossible",
                remedy=f"It can be had of {', '.join(found.by_group) or 'nothing'}.",
            )
        key = ("rendition", found.name, media_group, content_type)
        if key not in self._made:
            self._made[key] = _make(making, media_group, content_type, field)
        return self._made[key]

    def find_preset(self, name: str, *, field: str = "presets") -> Preset:
        """The preset of this name; Invalid (preset-unknown) without one."""
        folded = name.lower()
        found = next((each for each in self.presets.values() if each.name.lower() == folded), None)
        if found is None:
            raise Invalid(
                f"There is no preset {show(name)}.",
                field=field,
                code="preset-unknown",
                remedy=f"Ask for one of {', '.join(self.presets) or 'none: there are no presets'}.",
            )
        return found

    def preset(
        self, name: str, media_group: str, content_type: str, *, field: str = "presets"
    ) -> Recipe:
        """What the preset makes of such a file; Invalid (conversion-impossible) where it cannot."""
        found = self.find_preset(name, field=field)
        steps = found.by_group.get(media_group, found.steps)
        if steps is None:
            raise Invalid(
                f"The preset {found.name} is not meant for {media_group} ({content_type}).",
                field=field,
                code="conversion-impossible",
                remedy=f"It is for {', '.join(found.by_group)}.",
            )
        key = ("preset", found.name, media_group, content_type)
        made = self._made.get(key)
        if made is None:
            made = _compile(steps, media_group, content_type, field)
            self._made[key] = made
        return made

    def renditions_of(self, media_group: str) -> tuple[str, ...]:
        """The names of the renditions that a group has."""
        return tuple(each.name for each in self.renditions.values() if media_group in each.by_group)

    def defaults(self, media_group: str) -> tuple[str, ...]:
        """The names of the renditions that a Standard order gives of a group unasked."""
        return self.default_renditions.get(media_group, ())

    def resolver(self, identifier: str | None, *, field: str = "item_name_resolver_id") -> Resolver:
        """The resolver of this id, or the default one; Invalid (resolver-unknown)."""
        folded = (identifier or self.default_resolver).lower()
        found = next((each for each in self.resolvers.values() if each.id.lower() == folded), None)
        if found is None:
            raise Invalid(
                f"There is no item name resolver {show(identifier)}.",
                field=field,
                code="resolver-unknown",
                remedy=f"Ask for one of {', '.join(self.resolvers)}.",
            )
        return found


def _make(making: Making, media_group: str, content_type: str, place: str) -> Recipe | None:
    if isinstance(making, str):
        return METADATA_RECIPE if making == METADATA else None
    recipe = _compile(making, media_group, content_type, place)
    # A document whose own format is asked for, and nothing else, is there already.
    if recipe.content_type == content_type == "application/pdf" and recipe.setting("page") is None:
        return None
    return recipe


def _compile(
    steps: tuple[Mapping[str, Any], ...], media_group: str, content_type: str, place: str
) -> Recipe:
    """The operator's steps were checked at start: a fault now is about the customer's file."""
    try:
        return compile_pipeline(
            steps, media_group=media_group, content_type=content_type, field=place
        )
    except Invalid as error:
        raise Invalid(
            error.message, field=place, code="conversion-impossible", remedy=error.remedy
        ) from error
