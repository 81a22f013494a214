"""ffmpeg's options for the sounds that we write, alone or beside a picture."""

from collections.abc import Mapping

from entrepot.core.conversions.runners.video.source import Sound

_ENCODERS: Mapping[str, str] = {
    "mp3": "libmp3lame",
    "aac": "aac",
    "vorbis": "libvorbis",
    "opus": "libopus",
    "flac": "flac",
}
# The encoder takes some arrangements of loudspeakers only; ffmpeg chooses the one that is nearest.
_LAYOUTS: Mapping[str, str] = {
    "mp3": "mono|stereo",
    "vorbis": "mono|stereo|3.0|quad|5.0|5.1|6.1|7.1",
    "opus": "mono|stereo|3.0|quad|5.0|5.1|6.1|7.1",
    "flac": "mono|stereo|3.0|quad|5.0|5.1|6.1|7.1",
    "aac": "mono|stereo|3.0|4.0|5.0|5.1|6.1(back)|7.1",
}
_OPUS_KBPS_PER_CHANNEL_MAX = 256
# Vorbis is asked for a quality, since it refuses rates that do not suit the sound: the quality
# whose usual rate, in kbit/s for two channels of 44.1 kHz, is the first not below the wish.
_VORBIS_QUALITIES = ((64, 0), (80, 1), (96, 2), (112, 3), (128, 4), (160, 5), (192, 6), (224, 7),
                     (256, 8), (320, 9))  # fmt: skip


def write_sound(
    sound: Sound,
    codec: str,
    bitrate_kbps: int | None,
    *,
    channels: int | None = None,
    sample_rate_hz: int | None = None,
) -> list[str]:
    """Options that map this sound and code it; channels and rate as they are where None."""
    options = ["-map", f"0:{sound.index}"]
    if channels is None and codec in _LAYOUTS:
        options += ["-af", f"aformat=channel_layouts={_LAYOUTS[codec]}"]
    elif channels is not None:
        options += ["-ac", str(channels)]
    if sample_rate_hz is not None:
        options += ["-ar", str(sample_rate_hz)]
    if codec == "pcm":
        return [*options, "-c:a", "pcm_s24le" if sound.deep else "pcm_s16le"]
    options += ["-c:a", _ENCODERS[codec]]
    if codec == "flac":
        return [*options, "-sample_fmt", "s32" if sound.deep else "s16"]
    if bitrate_kbps is None:
        return options
    if codec == "vorbis":
        fitting = (quality for rate, quality in _VORBIS_QUALITIES if rate >= bitrate_kbps)
        return [*options, "-q:a", str(next(fitting, 10))]
    if codec == "opus":
        most = _OPUS_KBPS_PER_CHANNEL_MAX * (channels or sound.channels)
        bitrate_kbps = min(bitrate_kbps, most)
    return [*options, "-b:a", f"{bitrate_kbps}k"]
