"""Which files are made of an asset: a configuration and the hub's rules, for one kind of asset.

Every (kind, rendition | preset | pipeline) is looked at once, however many assets are of the
kind; what cannot work is Invalid at the path of its key, and all of that is told at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import msgspec

from entrepot.core.conversions.recipes import (
    Recipe,
    asset_watermarks,
    compile_pipeline,
    with_watermarks,
)
from entrepot.core.conversions.rules import METADATA_RECIPE, MediaRules
from entrepot.core.orders.faults import FAULTS_MAX, refuse_all
from entrepot.core.orders.freezing import Kind
from entrepot.core.orders.planning import CONVERSION, Output, Outputs
from entrepot.core.orders.requests import STANDARD, Configuration, Json, OrderRequest
from entrepot.errors import Invalid

PIPELINES_MAX = 2_000  # different conversions in one order
_encode = msgspec.json.Encoder(order="deterministic").encode

Watermarks: TypeAlias = Callable[[str, str, bool], str]
"""The digest of the asset that a watermark names, by its reference; then the path of the key
for errors, and whether it is the operator's own choice, so that the caller need not have it."""


class Compiled:
    """Pipelines of a request that were looked at before it is placed, by kind of asset.

    It takes a quarter of a millisecond each: too long for 2,000 of them while SQLite's other
    writers wait.
    """

    def __init__(self) -> None:
        self._made: dict[bytes, Recipe] = {}
        self._tried = 0

    def add(self, configuration: Configuration, kind: Kind) -> None:
        """Compile what can be; what cannot is told when the order is placed."""
        for steps in configuration.conversions:
            key = _encode((kind, steps))
            if key in self._made or self._tried >= PIPELINES_MAX:
                continue
            self._tried += 1
            with suppress(Invalid):
                recipe = _compile(steps, kind, configuration.field)
                if not asset_watermarks(recipe):
                    recipe.key  # noqa: B018 - worked out here, and kept with the recipe
                self._made[key] = recipe

    def find(self, steps: Sequence[Json], kind: Kind) -> Recipe | None:
        """The recipe, where it was made."""
        return self._made.get(_encode((kind, steps))) if self._made else None


def _compile(steps: Sequence[Json], kind: Kind, field: str) -> Recipe:
    return compile_pipeline(
        steps, media_group=kind.media_group, content_type=kind.content_type, field=field
    )


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of a configuration for a kind; its faults are told by paths under `field`."""

    field: str
    outputs: Outputs
    faults: Sequence[Invalid]


class Choice:
    """The outputs for kinds of assets under one request."""

    def __init__(
        self,
        rules: MediaRules,
        request: OrderRequest,
        *,
        watermarks: Watermarks,
        conversions_on: bool,
        ahead: Compiled | None = None,
    ) -> None:
        self._ahead = ahead or Compiled()
        self._rules = rules
        self._request = request
        self._watermarks = watermarks
        self._conversions_on = conversions_on
        self._known: dict[bytes, _Looked] = {}
        self._pipelines = 0
        self._faults: list[Invalid] = []
        self._repeated = 0

    def for_kind(self, kind: Kind) -> Outputs:
        """By `global`; else the defaults in a Standard order, and nothing in a Custom one."""
        return self._of(self._request.groups.get(kind.media_group), kind)

    def for_asset(self, configuration: Configuration, kind: Kind) -> Outputs:
        """By the asset's own configuration, which replaces the one of its media group."""
        return self._of(configuration, kind)

    def _of(self, configuration: Configuration | None, kind: Kind) -> Outputs:
        if configuration is None or configuration.is_empty:
            return self._defaults(kind) if self._request.type == STANDARD else ()
        told = (configuration.renditions, configuration.presets, configuration.conversions)
        key = _encode((kind, told, configuration.keep_as))
        known = self._known.get(key)
        if known is None:
            self._count(len(configuration.conversions))
            before = len(self._faults)
            outputs = _distinct(self._configured(configuration, kind))
            known = _Looked(configuration.field, outputs, self._faults[before:])
            self._known[key] = known
        else:
            self._repeat(known, configuration.field)
        return known.outputs

    def _repeat(self, known: _Looked, field: str) -> None:
        """Tell the faults by the paths of an equal configuration, too.

        Each is a path of its own, so that no more of them than FAULTS_MAX are ever told.
        """
        faults = known.faults[: FAULTS_MAX - self._repeated]
        self._repeated += len(faults)
        self._faults += [
            Invalid(
                error.message,
                field=field + error.field.removeprefix(known.field),
                code=error.code,
                remedy=error.remedy,
                details=error.details,
            )
            for error in faults
        ]

    def _count(self, pipelines: int) -> None:
        """Each takes a fifth of a millisecond, while no other writer of SQLite gets on."""
        self._pipelines += pipelines
        if self._pipelines > PIPELINES_MAX:
            raise Invalid(
                f"The order has more than {PIPELINES_MAX} different conversions.",
                field="order.individual",
                code="order-too-large",
                remedy="Place several orders, or use the same conversion for more assets.",
            )

    def _defaults(self, kind: Kind) -> Outputs:
        """The default renditions; without what the kind cannot have, or this hub cannot make."""
        found = []
        for name in self._rules.defaults(kind.media_group):
            try:
                recipe = self._rules.rendition(name, kind.media_group, kind.content_type)
            except Invalid:
                continue
            if recipe is None or recipe == METADATA_RECIPE or self._conversions_on:
                found.append(Output(name, self._operators(recipe, kind.media_group)))
        return _distinct(found)

    def _configured(self, configuration: Configuration, kind: Kind) -> Iterator[Output]:
        """What can be made; what cannot is kept for `check`."""
        for make in self._wanted(configuration, kind):
            try:
                output = make()
            except Invalid as error:
                self._faults.append(error)
            else:
                yield output

    def check(self) -> None:
        """Raise Invalid for what cannot work, SeveralFaults where that is more than one."""
        refuse_all(self._faults)

    def _wanted(self, configuration: Configuration, kind: Kind) -> Iterator[Callable[[], Output]]:
        path = configuration.field
        for at, name in enumerate(configuration.renditions):
            yield partial(self._rendition, configuration, kind, name, f"{path}.renditions[{at}]")
        for at, name in enumerate(configuration.presets):
            yield partial(self._preset, configuration, kind, name, f"{path}.presets[{at}]")
        for at, steps in enumerate(configuration.conversions):
            yield partial(self._pipeline, configuration, kind, steps, f"{path}.conversions[{at}]")

    def _rendition(self, told: Configuration, kind: Kind, name: str, field: str) -> Output:
        recipe = self._rules.rendition(name, kind.media_group, kind.content_type, field=field)
        called = self._rules.find_rendition(name).name
        keep = None if recipe in (None, METADATA_RECIPE) else told.keep_as
        return Output(called, self._operators(recipe, field), keep)

    def _preset(self, told: Configuration, kind: Kind, name: str, field: str) -> Output:
        recipe = self._rules.preset(name, kind.media_group, kind.content_type, field=field)
        called = self._rules.find_preset(name).name
        return Output(called, self._operators(recipe, field), told.keep_as)

    def _pipeline(
        self, told: Configuration, kind: Kind, steps: Sequence[Json], field: str
    ) -> Output:
        recipe = self._ahead.find(steps, kind) or _compile(steps, kind, field)
        return Output(CONVERSION, self._marked(recipe, field, own=False), told.keep_as)

    def _operators(self, recipe: Recipe | None, field: str) -> Recipe | None:
        return None if recipe is None else self._marked(recipe, field, own=True)

    def _marked(self, recipe: Recipe, field: str, *, own: bool) -> Recipe:
        """The recipe with stored files in place of the assets that it marks pictures with."""
        named = asset_watermarks(recipe)
        if not named:
            return recipe
        return with_watermarks(recipe, {each: self._watermarks(each, field, own) for each in named})


def _distinct(outputs: Iterable[Output]) -> Outputs:
    """Each file once: two names for the same bytes make no second one."""
    kept: dict[str | None, Output] = {}
    for output in outputs:
        kept.setdefault(None if output.recipe is None else output.recipe.key, output)
    return tuple(kept.values())
