"""The video runner: ffmpeg for what moves, the image runner for what stands still."""

from entrepot.core.conversions.runners.video.entry import convert, probe

__all__ = ["convert", "probe"]
