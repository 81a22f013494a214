"""From the pipeline that a customer wrote to the recipe that a runner follows, or to a 400.

Contract: download orders, section "Conversions". Pure: nothing is opened or asked, so an order
checks each distinct pair of content type and pipeline when it is placed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from entrepot.core.conversions import _operations, _settings
from entrepot.core.conversions._completing import Completion, Told
from entrepot.core.conversions._formats import (
    SOUND,
    Format,
    Origin,
    find_format,
    kept_extension,
    origin_of,
)
from entrepot.core.conversions._given import Given, plain, read_fields, show
from entrepot.core.conversions._recipe import Recipe, Step
from entrepot.core.conversions.office import OFFICE_TYPES
from entrepot.errors import Invalid

PIPELINE_LENGTH_MAX = 32
_SHOWN = 160  # characters of a pipeline that a message repeats
_GROUPED = ("video", "audio")
_TYPES = {plain(name): name for name in (*_operations.READERS, *_settings.READERS, *_GROUPED)}
STEP_TYPES: tuple[str, ...] = tuple(sorted(_TYPES.values()))
"""Every type of step that a pipeline may have, as the contract writes it."""


@dataclass(slots=True)
class _Draft:
    """A pipeline that has been read, before it is known what it is for."""

    operations: list[tuple[Step, str]] = field(default_factory=list)
    settings: dict[str, Told] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def set(self, name: str, value: Any, given: Given) -> None:
        if name in self.settings:
            raise given.refuse(f"{name} only once in a pipeline")
        self.settings[name] = Told(value, given.field)

    def __str__(self) -> str:
        text = ", ".join(self.names)
        return f"[{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'}]"


def compile_pipeline(
    steps: Sequence[Mapping[str, Any]], *, media_group: str, content_type: str, field: str
) -> Recipe:
    """The recipe for files of this content type; `steps` may be any JSON value at all.

    `field` is the pipeline's place in the request, such as
    `order.global.M.AssetMedia.Images.conversions[0]`; that of an Invalid is a part of it.
    Codes: conversion-invalid (nobody could do that), conversion-impossible (not with such a
    file: the message names the content type and the pipeline).
    """
    draft = _read(Given(steps, field))
    pair = f"{content_type} ({media_group}) by {draft}"
    origin = origin_of(content_type)
    if origin is None:
        lacking = " without LibreOffice" if content_type in OFFICE_TYPES else ""
        raise Invalid(
            f"{pair}: files of this type are not convertible here{lacking}.",
            field=field,
            code="conversion-impossible",
            remedy="Ask for downloadOriginal, the file as it came.",
        )
    output = _output(draft, origin, content_type, pair, field)
    runner = "audio" if output.kind == SOUND else origin.runner
    made = Completion(origin, output, draft.operations, draft.settings, pair).steps()
    if runner == "office":
        made = (*made, Step("source", content_type))
    return Recipe(runner, made, output.extension, output.content_type)


def step_faults(steps: Any, *, field: str) -> Iterator[Invalid]:
    """What is wrong with each step by itself, whatever file it is for: one error a step."""
    for index, step in enumerate(steps if isinstance(steps, list | tuple) else ()):
        try:
            _read_step(_Draft(), Given(step, f"{field}[{index}]"))
        except Invalid as error:
            yield error


def _read(given: Given) -> _Draft:
    expected = f"a list of 1 to {PIPELINE_LENGTH_MAX} steps, each with type and value"
    if not isinstance(given.value, list | tuple) or not given.value:
        raise given.refuse(expected)
    if len(given.value) > PIPELINE_LENGTH_MAX:
        raise Invalid(
            f"A pipeline has at most {PIPELINE_LENGTH_MAX} steps, not {len(given.value)}.",
            field=given.field,
            code="conversion-invalid",
        )
    draft = _Draft()
    for index, step in enumerate(given.value):
        _read_step(draft, Given(step, f"{given.field}[{index}]"))
    return draft


def _read_step(draft: _Draft, given: Given) -> None:
    step = given.value
    if not isinstance(step, Mapping) or "type" not in step:
        raise given.refuse("a step, which is an object with type and value")
    written = step["type"]
    name = _TYPES.get(plain(written)) if isinstance(written, str) else None
    if name is None:
        listed = ", ".join(STEP_TYPES)
        raise given.at("type", written).refuse(f"one of {listed}")
    for member in step:
        if member not in ("type", "value") and step[member] is not None:
            raise Invalid(
                f"There is no {show(member)} in a step: it has type and value.",
                field=given.field,
                code="conversion-invalid",
            )
    value = _unwrapped(name, given.at("value", step.get("value")))
    draft.names.append(f"{name} {show(value.value)}" if _is_scalar(value.value) else name)
    if name in _operations.READERS:
        for operation in _operations.READERS[name](value):
            draft.operations.append((operation, value.field))
    elif name in _GROUPED:
        _read_group(draft, name, value)
    else:
        draft.set(name, _settings.READERS[name](value), value)


def _is_scalar(value: object) -> bool:
    return value is not None and not isinstance(value, Mapping | list | tuple)


def _unwrapped(name: str, given: Given) -> Given:
    """The value itself where it came as `{"value": ...}` or under the step's own name."""
    value = given.value
    if isinstance(value, Mapping) and len(value) == 1:
        (only, inner), *_ = value.items()
        if isinstance(only, str) and plain(only) in ("value", plain(name)):
            return given.at(only, inner)
    return given


def _read_group(draft: _Draft, name: str, given: Given) -> None:
    """`video` and `audio` bundle settings; sides of a video resize it where the step stands."""
    fields = _settings.VIDEO_FIELDS if name == "video" else _settings.AUDIO_FIELDS
    sides = ("width", "height") if name == "video" else ()
    told = read_fields(given, (*fields, *sides), ", ".join((*sides, *fields)))
    size = {side: told[side] for side in sides if side in told}
    if size:
        resize = Given({side: each.value for side, each in size.items()}, given.field)
        for operation in _operations.READERS["resize"](resize):
            draft.operations.append((operation, given.field))
    for part, setting in fields.items():
        if part in told:
            reader = _settings.FURTHER.get(setting) or _settings.READERS[setting]
            draft.set(setting, reader(told[part]), told[part])


def _output(draft: _Draft, origin: Origin, content_type: str, pair: str, place: str) -> Format:
    told = draft.settings.pop("fileExtension", None)
    extension = _kept(draft, origin, content_type) if told is None else told.value
    still = origin.runner != "video" or "frame" in draft.settings
    found = find_format(origin, extension, still=still)
    if found is None:
        listed = ", ".join(dict.fromkeys(each.extension for each in origin.outputs))
        raise Invalid(
            f"{pair}: {origin.name} cannot become {extension}, only {listed}.",
            field=place if told is None else told.field,
            code="conversion-impossible",
            remedy="Choose one of these formats.",
        )
    return found


def _kept(draft: _Draft, origin: Origin, content_type: str) -> str:
    """The format where none is asked for: the source's own, or what the steps speak of."""
    if origin.runner == "video" and "frame" in draft.settings:
        return "jpg"
    pictured = draft.operations or draft.settings.keys() - {"page", "metadata"}
    if origin.runner in ("document", "office") and pictured:
        return "jpg"
    return kept_extension(content_type)


def asset_watermarks(recipe: Recipe) -> tuple[str, ...]:
    """The assets that the recipe takes as watermarks, by number or identifier, each once."""
    found = [step.value["asset"] for step in recipe.steps if _marks_by_asset(step)]
    return tuple(dict.fromkeys(found))


def _marks_by_asset(step: Step) -> bool:
    return step.type == "watermark" and "asset" in step.value


def with_watermarks(recipe: Recipe, sources: Mapping[str, str]) -> Recipe:
    """The recipe with stored files in place of assets; `sources` has their digests by asset.

    Whoever places an order checks that each asset is there, is a picture, and may be used.
    """
    digests = tuple(dict.fromkeys(sources[asset] for asset in asset_watermarks(recipe)))
    return replace(
        recipe,
        steps=tuple(_with_sources(recipe.steps, sources, digests)),
        watermark_sha256s=digests,
    )


def _with_sources(
    steps: Sequence[Step], sources: Mapping[str, str], digests: Sequence[str]
) -> Iterator[Step]:
    for step in steps:
        if _marks_by_asset(step):
            kept = {name: value for name, value in step.value.items() if name != "asset"}
            index = digests.index(sources[step.value["asset"]])
            yield Step("watermark", kept | {"source": index})
        else:
            yield step
