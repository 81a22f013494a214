"""The video runner: what comes out is opened again and measured by another library."""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.recipes import Recipe, Step
from entrepot.core.conversions.runners import video as runner
from entrepot.core.conversions.runners.protocol import Refused
from tests.conversions.clips import (
    BLUE,
    GREEN,
    LIMITS,
    RED,
    WHITE,
    colour_at,
    ffmpeg,
    make,
    near,
    picture,
    resize,
    video,
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write(tmp_path, make())


def write(folder: Path, data: bytes, name: str = "source") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def converted(source: Path, recipe: Recipe, **limits: int) -> Path:
    """The result, with what the runner says of it held against what is in it."""
    target = source.with_name(f"result-{len(list(source.parent.iterdir()))}")
    chosen = LIMITS if not limits else limited(**limits)
    facts = runner.convert(source, recipe, target, chosen, [])
    if recipe.setting("frame") is None:
        with av.open(str(target)) as opened:
            stream = opened.streams.video[0]
            assert (facts["width"], facts["height"]) == (stream.width, stream.height)
    return target


def limited(**values: int) -> Limits:
    from dataclasses import replace

    return replace(LIMITS, **values)


def measured(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        sounds = opened.streams.audio
        return {
            "format": opened.format.name,
            "size": (stream.width, stream.height),
            "codec": stream.codec_context.codec.canonical_name,
            "pixels": stream.codec_context.pix_fmt,
            "sound": sounds[0].codec_context.codec.canonical_name if sounds else None,
            "seconds": (opened.duration or 0) / 1_000_000,
            "frames": sum(1 for _ in opened.decode(stream)),
        }


def refusal(source: Path, recipe: Recipe, **limits: int) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        converted(source, recipe, **limits)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("extension", "container", "codec", "sound"),
    [
        ("mp4", "mp4", "h264", "aac"),
        ("mov", "mov", "h264", "aac"),
        ("webm", "webm", "vp9", "opus"),
        ("gif", "gif", "gif", None),
    ],
)
def test_formats(clip: Path, extension: str, container: str, codec: str, sound: str | None) -> None:
    result = converted(clip, video(extension))
    found = measured(result)
    assert container in found["format"].split(",")
    assert (found["codec"], found["sound"]) == (codec, sound)
    assert found["size"] == (160, 120)
    assert found["seconds"] == pytest.approx(1.5, abs=0.12)
    assert found["frames"] == 15
    assert near(colour_at(result, 0.2, 0.2), RED)
    assert near(colour_at(result, 0.2, 0.8), BLUE)
    assert near(colour_at(result, 0.9, 0.5), GREEN)
    if codec != "gif":
        assert found["pixels"] == "yuv420p"


@pytest.mark.parametrize(
    ("extension", "codec", "named"),
    [("mp4", "h265", "hevc"), ("webm", "vp8", "vp8"), ("webm", "av1", "av1")],
)
def test_other_codecs(clip: Path, extension: str, codec: str, named: str) -> None:
    result = converted(clip, video(extension, codec=codec, crf=35, duration_seconds=0.5))
    assert measured(result)["codec"] == named
    assert near(colour_at(result, 0.2, 0.2), RED, by=25)


def test_the_index_comes_first_and_no_version_of_an_encoder_is_named(clip: Path) -> None:
    data = converted(clip, video()).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert not re.search(rb"Lav[cf]\d|x264 - core", data)


@pytest.mark.parametrize("extension", ["mp4", "webm", "gif"])
def test_the_same_recipe_gives_the_same_bytes(clip: Path, extension: str) -> None:
    recipe = video(extension, resize(96, None), duration_seconds=0.8)
    assert converted(clip, recipe).read_bytes() == converted(clip, recipe).read_bytes()


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ([resize(80, None)], (80, 60)),
        ([resize(None, 60)], (80, 60)),
        ([resize(81, 61, "fill")], (80, 60)),  # even
        ([resize(320, 320)], (160, 120)),  # not enlarged
        ([resize(320, 320, upscale=True)], (320, 240)),
        ([resize(60, 60, "outside")], (80, 60)),
        ([resize(60, 60, "cover")], (60, 60)),
        ([resize(400, 400, "cover")], (120, 120)),  # the box shrinks
        ([Step("resize", {"percent": 50, "upscale": False})], (80, 60)),
        ([Step("rotate", 90)], (120, 160)),
        ([Step("rotate", 90), resize(60, None)], (60, 80)),
        ([Step("crop", {"kind": "ratio", "across": 1, "down": 1, "gravity": "west"})], (120, 120)),
        (
            [Step("crop", {"kind": "size", "width": 50, "height": 500, "gravity": "east"})],
            (50, 120),
        ),
    ],
)
def test_sizes(clip: Path, steps: list[Step], size: tuple[int, int]) -> None:
    recipe = video("mp4", *steps, duration_seconds=0.2)
    assert measured(converted(clip, recipe))["size"] == size


@pytest.mark.parametrize(
    ("step", "at", "colour"),
    [
        (Step("rotate", 90), (0.9, 0.2), RED),
        (Step("rotate", 180), (0.8, 0.9), RED),
        (Step("rotate", 270), (0.2, 0.8), RED),
        (Step("flip", "h"), (0.1, 0.5), GREEN),
        (Step("flip", "v"), (0.2, 0.2), BLUE),
        (
            Step("crop", {"kind": "custom", "left": 1, "top": 61, "width": 117, "height": 99}),
            (0.0, 0.0),
            BLUE,
        ),
        (
            Step("crop", {"kind": "custom", "left": 121, "top": 0, "width": 31, "height": 31}),
            (0.0, 0.0),
            GREEN,
        ),
    ],
)
def test_turned_and_cut(
    clip: Path, step: Step, at: tuple[float, float], colour: tuple[int, int, int]
) -> None:
    result = converted(clip, video("mp4", step, duration_seconds=0.2))
    assert near(colour_at(result, *at), colour, by=20)


@pytest.mark.parametrize(
    ("extension", "background", "colour"),
    [
        ("mp4", "#ff8000ff", (255, 128, 0)),
        ("mp4", None, WHITE),
        ("gif", "#ff8000ff", (255, 128, 0)),
    ],
)
def test_what_is_laid_on_a_canvas_has_the_background_around_it(
    clip: Path, extension: str, background: str | None, colour: tuple[int, int, int]
) -> None:
    steps = [resize(201, 201, "pad")]
    if background is not None:
        steps.append(Step("background", background))
    result = converted(clip, video(extension, *steps, duration_seconds=0.2))
    assert measured(result)["size"] == (200, 200)
    assert near(colour_at(result, 0.5, 0.05), colour)
    assert near(colour_at(result, 0.3, 0.4), RED)


def test_a_watermark_lies_over_every_frame(clip: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    Image.new("RGB", (40, 40), (255, 255, 0)).save(mark, format="PNG")
    value = {
        "text": None,
        "source": 0,
        "position": "south-west",
        "opacity": 1,
        "scale": 0.25,
        "tile": False,
        "colour": "#ffffffff",
    }
    target = tmp_path / "result"
    recipe = video("mp4", Step("watermark", value), resize(120, None), duration_seconds=0.6)
    runner.convert(clip, recipe, target, LIMITS, [mark])
    for frame in (0, 5):
        assert near(colour_at(target, 0.12, 0.85, frame=frame), (255, 255, 0), by=20)
        assert near(colour_at(target, 0.5, 0.85, frame=frame), BLUE)
        assert near(colour_at(target, 0.2, 0.2, frame=frame), RED)


def test_a_player_s_turn_is_done_to_the_pixels(clip: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "-90", "-i", str(clip), "-c", "copy", str(turned))
    facts = runner.probe(turned, "video/mp4", LIMITS)
    assert (facts["width"], facts["height"], facts["rotation"]) == (120, 160, 90)
    result = converted(turned, video())
    assert measured(result)["size"] == (120, 160)
    assert near(colour_at(result, 0.9, 0.2), RED)  # the top left went to the top right
    assert runner.probe(result, "video/mp4", LIMITS)["rotation"] == 0


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    source = write(tmp_path, make("mp4", "-aspect", "8/3", seconds=0.4))
    assert runner.probe(source, "video/mp4", LIMITS)["width"] == 320
    assert measured(converted(source, video()))["size"] == (320, 120)


def test_times_rates_and_muting(clip: Path) -> None:
    result = measured(
        converted(clip, video(start_seconds=0.5, duration_seconds=0.6, fps=5, mute=True))
    )
    assert result["sound"] is None
    assert result["seconds"] == pytest.approx(0.6, abs=0.11)
    assert result["frames"] == 3
    assert measured(converted(clip, video(fps=50)))["frames"] == 15  # never raised


def test_a_bit_rate_is_held(tmp_path: Path) -> None:
    source = write(
        tmp_path, make(graph="testsrc2=s={w}x{h}:r={r}:d={d},noise=alls=60:allf=t", seconds=3)
    )
    sizes = [
        converted(source, video(crf=None, bitrate_kbps=kbps, mute=True)).stat().st_size
        for kbps in (100, 400)
    ]
    assert sizes[0] < 100_000 * 3 / 8 * 1.5
    assert sizes[1] > sizes[0] * 2


def test_a_source_without_sound_or_without_picture(tmp_path: Path) -> None:
    silent = write(tmp_path, make(sound=False))
    assert measured(converted(silent, video()))["sound"] is None
    heard = write(tmp_path, make("m4a", picture=False), "heard")
    assert refusal(heard, video()) == ("media-unsupported", "The file has no moving picture.")


@pytest.mark.parametrize(("transfer", "number"), [("arib-std-b67", 18), ("smpte2084", 16)])
def test_high_dynamic_range_is_brought_down(tmp_path: Path, transfer: str, number: int) -> None:
    # As telephones and cameras record it: BT.2020, HLG or PQ, 10 bits.
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}:range=tv"
    options = ("-c:v", "libx265", "-x265-params", "log-level=0", "-preset", "ultrafast", "-vf",
               f"scale=out_color_matrix=bt2020,format=yuv420p10le,{tags}")  # fmt: skip
    source = write(tmp_path, make("mp4", *options, seconds=0.4, sound=False))
    with av.open(str(source)) as opened:
        assert next(opened.decode(video=0)).color_trc == number
    result = converted(source, video())
    with av.open(str(result)) as opened:
        frame = next(opened.decode(video=0))
        assert (frame.color_trc, frame.color_primaries, frame.colorspace) == (1, 1, 1)
    red, green, blue = colour_at(result, 0.2, 0.2)
    assert red > 120
    assert max(green, blue) < 60


def test_tags_are_kept_as_asked(tmp_path: Path) -> None:
    tags = {"title": "A film", "artist": "Somebody", "copyright": "(c) somebody = nobody"}
    options = [word for name, text in tags.items() for word in ("-metadata", f"{name}={text}")]
    source = write(tmp_path, make("mp4", *options, "-metadata", "creation_time=2020-01-01"))
    assert runner.probe(source, "video/mp4", LIMITS)["title"] == "A film"
    kept = {}
    for metadata in ("keep", "copyright", "strip"):
        with av.open(str(converted(source, video(metadata=metadata)))) as opened:
            kept[metadata] = opened.metadata.keys() & {*tags, "creation_time", "encoder"}
    assert kept == {"keep": tags.keys(), "copyright": tags.keys() - {"title"}, "strip": set()}


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_a_still_goes_on_to_the_image_runner(clip: Path, extension: str) -> None:
    recipe = picture("video", extension, resize(80, None), frame={"seconds": 0.5})
    with Image.open(converted(clip, recipe)) as shown:
        assert shown.size == (80, 60)
        for at, colour in (((10, 10), RED), ((10, 50), BLUE), ((75, 30), GREEN)):
            pixel = shown.convert("RGB").getpixel(at)
            assert isinstance(pixel, tuple)
            assert near(pixel, colour, by=16)


@pytest.mark.parametrize(
    ("frame", "blue"),
    [
        ({"seconds": 0}, 0),
        ({"seconds": 1}, 10 * 255 // 15),
        ({"percent": 50}, 127),
        ({"percent": 100}, 14 * 255 // 15),
        ({"seconds": 1.5}, 14 * 255 // 15),
    ],
)
def test_the_frame_that_is_asked_for(tmp_path: Path, frame: dict[str, float], blue: int) -> None:
    graph = "color=black:s=64x48:r=10:d={d},format=gbrp,geq=r=0:g=0:b='N*255/15'"
    source = write(tmp_path, make(graph=graph))
    result = converted(source, picture("video", "png", frame=frame))
    with Image.open(result) as shown:
        pixel = shown.convert("RGB").getpixel((32, 24))
    assert isinstance(pixel, tuple)
    assert near(pixel, (0, 0, blue), by=11)


def test_there_is_no_frame_beyond_the_end(clip: Path) -> None:
    code, message = refusal(clip, picture("video", "png", frame={"seconds": 7}))
    assert code == "frame-outside"
    assert "1.5 seconds" in message


def test_facts(clip: Path) -> None:
    facts = runner.probe(clip, "application/octet-stream", LIMITS)
    assert facts == {
        "duration_seconds": pytest.approx(1.5, abs=0.05),
        "width": 160,
        "height": 120,
        "rotation": 0,
        "fps": 10,
        "video_codec": "h264",
        "audio_codec": "aac",
        "channels": 1,
        "sample_rate": 44_100,
    }


def test_files_are_handed_over_by_descriptor(clip: Path) -> None:
    with clip.open("rb") as source, tempfile.TemporaryFile() as target:
        paths = [Path(f"/proc/self/fd/{file.fileno()}") for file in (source, target)]
        clip.unlink()
        runner.convert(paths[0], video(duration_seconds=0.3), paths[1], LIMITS, [])
        with av.open(str(paths[1])) as opened:
            assert opened.streams.video[0].width == 160
            opened.close()
        frame = picture("video", "png", frame={"percent": 10})
        os.ftruncate(target.fileno(), 0)
        runner.convert(paths[0], frame, paths[1], LIMITS, [])
        assert os.pread(target.fileno(), 4, 0) == b"\x89PNG"


@pytest.mark.parametrize(
    ("limits", "recipe"),
    [
        ({"duration_seconds_max": 1}, video()),
        ({"frames_max": 10}, video()),
        ({"pixels_max": 10_000}, video()),
        ({"pixels_max": 10_000}, picture("video", "png", frame={"percent": 50})),
        ({"pixels_max": 30_000}, video("mp4", resize(400, 400, upscale=True))),
        ({"output_bytes_max": 2_000}, video()),
        ({"output_bytes_max": 2_000}, video("gif")),
    ],
)
def test_limits(clip: Path, limits: dict[str, int], recipe: Recipe) -> None:
    assert refusal(clip, recipe, **limits)[0] == "media-too-large"


def test_a_part_of_a_long_file_is_not_too_long(clip: Path) -> None:
    result = converted(clip, video(duration_seconds=0.5), duration_seconds_max=1)
    assert measured(result)["seconds"] == pytest.approx(0.5, abs=0.11)


def test_a_lie_about_the_length_is_found_out(tmp_path: Path) -> None:
    # A raw stream of MPEG-TS that says nothing of its length beyond the first stamps.
    data = make("ts", "-c:v", "mpeg2video", seconds=6, sound=False)
    source = write(tmp_path, data[: 188 * 40] + data[188 * 40 :])
    assert refusal(source, video(), duration_seconds_max=2)[0] == "media-too-large"
    mjpeg = write(tmp_path, make("mkv", "-c:v", "mjpeg", "-live", "1", seconds=6, sound=False))
    assert "duration_seconds" not in runner.probe(mjpeg, "video/x-matroska", LIMITS)
    assert refusal(mjpeg, video(), duration_seconds_max=2)[0] == "media-too-large"
    assert refusal(mjpeg, video(), frames_max=20)[0] == "media-too-large"


def test_a_start_beyond_the_end(clip: Path) -> None:
    assert refusal(clip, video(start_seconds=9))[0] == "start-outside"


def test_damaged_files(clip: Path, tmp_path: Path) -> None:
    whole = clip.read_bytes()
    for name, data in (("noise", os.urandom(40_000)), ("empty", b""), ("half", whole[:3_000])):
        source = write(tmp_path, data, name)
        code, message = refusal(source, video())
        assert code == "media-damaged"
        assert len(message) < 200
        with pytest.raises(Refused):
            runner.probe(source, "video/mp4", LIMITS)


def test_an_unknown_codec(tmp_path: Path) -> None:
    source = write(tmp_path, make(sound=False).replace(b"avc1", b"zzzz"))
    code, message = refusal(source, video())
    assert code == "media-unsupported"
    assert "not read here" in message
    # What is not wanted need not be known.
    data = make("mkv", "-c:a", "libvorbis")
    assert b"A_VORBIS" in data
    source = write(tmp_path, data.replace(b"A_VORBIS", b"A_NEVER0"))
    assert converted(source, picture("video", "png", frame={"percent": 0})).stat().st_size > 100
    assert refusal(source, video())[0] == "media-unsupported"


def test_a_file_that_breaks_off_is_not_delivered_as_whole(tmp_path: Path) -> None:
    whole = make(
        "mp4", "-movflags", "+faststart", seconds=6, graph="testsrc2=s={w}x{h}:r={r}:d={d}"
    )
    source = write(tmp_path, whole[: len(whole) // 2])
    code, message = refusal(source, video())
    assert code == "media-damaged"
    assert "breaks off" in message


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{path}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{path}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>file://{path}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("recipe", [video(), picture("video", "png", frame={"percent": 0})])
def test_a_file_that_points_to_others_opens_none(
    clip: Path, tmp_path: Path, kind: str, recipe: Recipe
) -> None:
    os.utime(clip, ns=(1, 1))  # a reading would show in the time of the last access
    source = write(tmp_path, PLAYLISTS[kind].format(path=clip).encode(), "film.mp4")
    assert refusal(source, recipe)[0] in ("media-damaged", "media-unsupported")
    assert clip.stat().st_atime_ns == 1
