"""Sounds out of sounds and videos."""

from collections.abc import Mapping
from pathlib import Path

from entrepot.core.conversions.port import Fact, Limits
from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners.protocol import Refused
from entrepot.core.conversions.runners.video.ffmpeg import read_stored, run_ffmpeg, write_target
from entrepot.core.conversions.runners.video.sounds import write_sound
from entrepot.core.conversions.runners.video.source import facts_of, read_source
from entrepot.core.conversions.runners.video.tags import keep_tags
from entrepot.core.conversions.runners.video.timing import choose_span

_CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "mp3": ("mp3", "-id3v2_version", "3"),
    "m4a": ("ipod", "-movflags", "+faststart"),
    "ogg": ("ogg",),
    "opus": ("opus",),
    "flac": ("flac",),
    "wav": ("wav", "-rf64", "auto"),  # more than 4 GiB need another header
}


def convert(source: Path, recipe: Recipe, target: Path, limits: Limits) -> dict[str, Fact]:
    """See entry.convert."""
    read = read_source(source, limits, pictures=False)
    if read.sound is None:
        raise Refused("media-unsupported", "The file has no sound.")
    value = recipe.setting("audio")
    whole = read.sound.duration_seconds or read.duration_seconds
    span = choose_span(value, whole, limits)
    container, *options = _CONTAINERS[recipe.extension]
    encoded = run_ffmpeg(
        [
            *read_stored(source, limits, *span.options),
            *write_sound(
                read.sound,
                value["codec"],
                value["bitrate_kbps"],
                channels=value["channels"],
                sample_rate_hz=value["sample_rate_hz"],
            ),
            *("-vn", "-sn", "-dn"),
            *keep_tags(recipe.setting("metadata"), read.tags),
            *options,
            *write_target(target, container),
        ],
        limits,
    )
    span.check(encoded, empty=encoded.seconds <= 0)
    return facts_of(read_source(target, limits, ours=True))
