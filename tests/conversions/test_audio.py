"""The audio runner: every format opened again, its length, codec and pitch measured."""

import os
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from entrepot.core.conversions.recipes import Recipe
from entrepot.core.conversions.runners import audio as runner
from entrepot.core.conversions.runners import video
from entrepot.core.conversions.runners.protocol import Refused
from tests.conversions.clips import LIMITS, audio, make

FORMATS = {
    "mp3": ("mp3", "mp3"),
    "m4a": ("mov", "aac"),
    "ogg": ("ogg", "vorbis"),
    "opus": ("ogg", "opus"),
    "flac": ("flac", "flac"),
    "wav": ("wav", "pcm_s16le"),
}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tmp_path, make("wav", picture=False))


def write(folder: Path, data: bytes, name: str = "source") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def converted(source: Path, recipe: Recipe, **limits: int) -> Path:
    target = source.with_name(f"result-{len(list(source.parent.iterdir()))}")
    runner.convert(source, recipe, target, replace(LIMITS, **limits), [])
    return target


def refusal(source: Path, recipe: Recipe, **limits: int) -> str:
    with pytest.raises(Refused) as caught:
        converted(source, recipe, **limits)
    return caught.value.code


def measured(path: Path) -> dict[str, Any]:
    """Format, codec, length, and the pitch by counting how often the wave crosses zero."""
    with av.open(str(path)) as opened:
        stream = opened.streams.audio[0]
        rate = stream.codec_context.sample_rate
        one = av.AudioResampler(format="flt", layout="mono", rate=rate)
        samples: list[float] = []
        for frame in opened.decode(stream):
            for part in one.resample(frame):
                samples.extend(memoryview(part.planes[0]).cast("f")[: part.samples])
        middle = samples[len(samples) // 4 : len(samples) * 3 // 4]
        risings = sum(low < 0 <= high for low, high in pairwise(middle))
        return {
            "format": opened.format.name,
            "codec": stream.codec_context.codec.canonical_name,
            "channels": stream.codec_context.channels,
            "rate": rate,
            "seconds": len(samples) / rate,
            "hertz": risings * rate / len(middle),
            "pictures": len(opened.streams.video),
        }


@pytest.mark.parametrize("extension", FORMATS)
def test_formats(song: Path, extension: str) -> None:
    recipe = audio(extension)
    result = converted(song, recipe)
    found = measured(result)
    container, codec = FORMATS[extension]
    assert container in found["format"].split(",")
    assert found["codec"] == codec
    assert found["channels"] == 1
    assert found["seconds"] == pytest.approx(1.5, abs=0.06)
    assert found["hertz"] == pytest.approx(440, abs=4)
    assert result.read_bytes() == converted(song, recipe).read_bytes()
    assert not re.search(rb"Lav[cf]\d", result.read_bytes())


@pytest.mark.parametrize("extension", ["mp3", "flac"])
def test_the_sound_of_a_video(tmp_path: Path, extension: str) -> None:
    film = write(tmp_path, make())
    target = tmp_path / "result"
    facts = video.convert(film, audio(extension), target, LIMITS, [])
    assert (facts["audio_codec"], facts["channels"]) == (extension, 1)
    assert measured(target)["pictures"] == 0
    assert measured(target)["hertz"] == pytest.approx(440, abs=4)


def test_a_film_without_sound(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, make(sound=False)), audio("mp3")) == "media-unsupported"


def test_times_channels_and_rates(song: Path) -> None:
    recipe = audio(
        "wav", start_seconds=0.25, duration_seconds=0.5, channels=2, sample_rate_hz=16_000
    )
    found = measured(converted(song, recipe))
    assert (found["channels"], found["rate"]) == (2, 16_000)
    assert found["seconds"] == pytest.approx(0.5, abs=0.01)
    assert found["hertz"] == pytest.approx(440, abs=5)


@pytest.mark.parametrize("extension", ["mp3", "m4a", "ogg", "opus"])
def test_a_higher_bit_rate_gives_a_larger_file(tmp_path: Path, extension: str) -> None:
    graph = "color=red:s=16x16:r=1:d={d}"
    noise = make("wav", "-f", "lavfi", "-i", "anoisesrc=d=2:seed=1:r=48000", "-map", "1:a",
                 graph=graph, sound=False, seconds=2)  # fmt: skip
    source = write(tmp_path, noise)
    small, large = (
        converted(source, audio(extension, bitrate_kbps=kbps)).stat().st_size for kbps in (48, 160)
    )
    assert large > small * 1.5


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("layout", ["5.1(side)", "7.1(wide)", "4.0"])
def test_many_loudspeakers(tmp_path: Path, extension: str, layout: str) -> None:
    many = make("wav", "-af", f"aformat=channel_layouts={layout}", picture=False, seconds=0.3)
    found = measured(converted(write(tmp_path, many), audio(extension)))
    assert found["channels"] == 2 if extension == "mp3" else found["channels"] > 2


@pytest.mark.parametrize("extension", ["ogg", "opus", "mp3", "m4a"])
def test_a_low_rate_with_a_high_wish(tmp_path: Path, extension: str) -> None:
    thin = write(tmp_path, make("wav", "-ar", "8000", picture=False, seconds=0.5))
    assert measured(converted(thin, audio(extension, bitrate_kbps=320)))["seconds"] > 0.4


def test_depth_is_kept_where_nothing_is_lost(tmp_path: Path) -> None:
    deep = write(tmp_path, make("wav", "-c:a", "pcm_s24le", picture=False, seconds=0.3))
    assert measured(converted(deep, audio("wav")))["codec"] == "pcm_s24le"
    with av.open(str(converted(deep, audio("flac")))) as opened:
        assert opened.streams.audio[0].codec_context.format.name == "s32"


def test_tags_and_covers(tmp_path: Path) -> None:
    options = ("-map", "0:v", "-map", "1:a", "-c:v", "mjpeg", "-frames:v", "1",
               "-disposition:v", "attached_pic", "-metadata", "title=A song",
               "-metadata", "artist=Somebody")  # fmt: skip
    source = write(tmp_path, make("mp3", *options, seconds=0.5))
    assert runner.probe(source, "audio/mpeg", LIMITS)["title"] == "A song"
    kept = {}
    for metadata in ("keep", "copyright", "strip"):
        result = converted(source, audio("mp3", metadata=metadata))
        assert measured(result)["pictures"] == 0
        with av.open(str(result)) as opened:
            kept[metadata] = set(opened.metadata)
    assert kept == {"keep": {"title", "artist"}, "copyright": {"artist"}, "strip": set()}


def test_facts(song: Path) -> None:
    assert runner.probe(song, "audio/wav", LIMITS) == {
        "duration_seconds": pytest.approx(1.5),
        "audio_codec": "pcm_s16le",
        "channels": 1,
        "sample_rate": 44_100,
    }


def test_refusals(song: Path, tmp_path: Path) -> None:
    assert refusal(song, audio("mp3", start_seconds=60)) == "start-outside"
    assert refusal(song, audio("mp3"), duration_seconds_max=1) == "media-too-large"
    assert refusal(song, audio("wav"), output_bytes_max=20_000) == "media-too-large"
    assert refusal(write(tmp_path, os.urandom(9_000), "noise"), audio("mp3")) == "media-damaged"
    playlist = write(tmp_path, f"#EXTM3U\n#EXTINF:1,\nfile://{song}\n".encode(), "list.mp3")
    assert refusal(playlist, audio("mp3")) == "media-damaged"
