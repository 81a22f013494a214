"""docs/reference/steps.md: every step is on it, every example works, every word is told."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from entrepot.core.conversions import _formats, _operations, _settings
from entrepot.core.conversions.recipes import STEP_TYPES, compile_pipeline
from entrepot.errors import Invalid

PAGE = (Path(__file__).parents[2] / "docs/reference/steps.md").read_text()
EXAMPLES = re.findall(r"`(\{\"type\".*?\})`", PAGE)
SAMPLES = {
    "Images": "image/jpeg",
    "Videos": "video/mp4",
    "Audio": "audio/flac",
    "Documents": "application/pdf",
}


def works(steps: list[Any]) -> bool:
    for group, content_type in SAMPLES.items():
        try:
            compile_pipeline(steps, media_group=group, content_type=content_type, field="here")
        except Invalid:
            continue
        return True
    return False


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_works(example: str) -> None:
    step = json.loads(example)
    outputs = [{"type": "fileExtension", "value": each} for each in ("mp4", "m4a")]
    assert works([step]) or any(works([step, output]) for output in outputs)


def test_the_pipeline_at_the_beginning_works() -> None:
    assert works(json.loads(PAGE.split("```json")[1].split("```")[0]))


def test_each_step_has_an_example() -> None:
    assert {json.loads(each)["type"] for each in EXAMPLES} == set(STEP_TYPES)


def test_each_word_and_field_is_told() -> None:
    words = {
        *_operations._FITS.values(),
        *_operations._GRAVITIES.values(),
        *_operations._CROPPING.values(),
        *_operations._COLOURS,
        *_operations._WATERMARK,
        *_operations._FLIPS.values(),
        *_settings._PROFILES.values(),
        *_settings._METADATA.values(),
        *_settings._CODECS.values(),
        *_settings._AUDIO_CODECS.values(),
        *_settings.VIDEO_FIELDS,
        *_settings.AUDIO_FIELDS,
        *_formats.EXTENSIONS,
        *map(str, _settings.SAMPLE_RATES_HZ),
        *("Maximum", "High", "Medium", "Low"),
    }
    told = set(re.findall(r"[\w-]+", PAGE))
    assert not words - told


def test_the_ranges_are_those_of_the_code() -> None:
    for number in (
        _operations.SIDE_PIXELS_MAX,
        _operations.PERCENT_MAX,
        _settings.DPI_MAX,
        _settings.OUTPUT_BYTES_MIN,
        _settings.OUTPUT_BYTES_MAX,
        _settings.VIDEO_KBPS_MAX,
    ):
        assert f"{number:,}" in PAGE
