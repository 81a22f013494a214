"""The shape of a recipe, how it travels as JSON, and the key that its results are kept under."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from entrepot.core.conversions.office import find_office

# Raise a runner's number when the same recipe gives other bytes than before: results that were
# kept are then made anew. The libraries' versions count as well.
_OUR_VERSIONS = {"image": 1, "video": 1, "audio": 1, "document": 1, "office": 1, "metadata": 1}
_PICTURES = ("pyvips", "pyvips-binary", "pillow", "pillow-heif")
_FFMPEG = ("imageio-ffmpeg", "av")
_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "image": _PICTURES,
    "video": (*_FFMPEG, *_PICTURES),  # a still goes through the image runner
    "audio": _FFMPEG,
    "document": ("pypdfium2", *_PICTURES),
    "office": ("pypdfium2", *_PICTURES),
    "metadata": (),
}

OPERATIONS = (
    "resize",
    "crop",
    "rotate",
    "flip",
    "trim",
    "blur",
    "sharpen",
    "brightness",
    "contrast",
    "saturation",
    "watermark",
)
"""Types of steps that change the picture: applied one after the other, as often as they come."""

SETTINGS = (
    "background",
    "page",
    "frame",
    "colorSpace",
    "colorProfile",
    "dpi",
    "metadata",
    "quality",
    "maxBytes",
    "video",
    "audio",
    "source",
)
"""Types of steps that say how to read or write: once at most, in this order, at the end."""


@dataclass(frozen=True, slots=True)
class Step:
    """One normalised step; `value` is JSON (see recipes.py). Whole numbers are ints."""

    type: str
    value: Any

    def __hash__(self) -> int:
        return hash((self.type, canonical_json(self.value)))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make of a file: which runner, by which steps, into which format.

    `runner` is image, video, audio, document, office or metadata. `extension` and `content_type`
    are the output's; the extension has no dot. `watermark_sha256s` names further stored files.
    """

    runner: str
    steps: tuple[Step, ...]
    extension: str
    content_type: str
    watermark_sha256s: tuple[str, ...] = ()
    _key: str = field(default="", init=False, repr=False, compare=False)  # once it was asked for

    @property
    def operations(self) -> tuple[Step, ...]:
        """The steps that change the picture, in the order to apply them."""
        return tuple(step for step in self.steps if step.type in OPERATIONS)

    def setting(self, kind: str) -> Any:
        """The value of the one step of a type in SETTINGS; None where the recipe has none."""
        return next((step.value for step in self.steps if step.type == kind), None)

    @property
    def key(self) -> str:
        """64 hex digits: the same for the same recipe and the same converter, else another."""
        if not self._key:
            told = recipe_to_document(self) | {"version": converter_version(self.runner)}
            object.__setattr__(self, "_key", hashlib.sha256(canonical_json(told)).hexdigest())
        return self._key


def canonical_json(value: object) -> bytes:
    """`value` as JSON with sorted keys and no spaces, in UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def recipe_to_document(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON: what the database keeps and what the converter is sent."""
    return {
        "runner": recipe.runner,
        "steps": [{"type": step.type, "value": step.value} for step in recipe.steps],
        "extension": recipe.extension,
        "content_type": recipe.content_type,
        "watermark_sha256s": list(recipe.watermark_sha256s),
    }


def recipe_from_document(document: Mapping[str, Any]) -> Recipe:
    """The recipe that `recipe_to_document` wrote."""
    return Recipe(
        runner=document["runner"],
        steps=tuple(Step(step["type"], step["value"]) for step in document["steps"]),
        extension=document["extension"],
        content_type=document["content_type"],
        watermark_sha256s=tuple(document["watermark_sha256s"]),
    )


@cache
def converter_version(runner: str) -> str:
    """What a runner's output depends on besides the recipe: `1 pyvips=3.2.0 pillow=13.0.0 ...`."""
    libraries = [f"{name}={_version_of(name)}" for name in _LIBRARIES[runner]]
    if runner == "office":
        office = find_office()
        libraries.insert(0, office.version if office else "absent")
    return " ".join([str(_OUR_VERSIONS[runner]), *libraries])


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)  # read from its files: the library itself is not loaded
    except PackageNotFoundError:
        return "absent"
