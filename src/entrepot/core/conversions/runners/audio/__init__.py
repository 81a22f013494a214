"""The audio runner: the sound of a sound or video file, by ffmpeg."""

from entrepot.core.conversions.runners.audio.entry import convert, probe

__all__ = ["convert", "probe"]
