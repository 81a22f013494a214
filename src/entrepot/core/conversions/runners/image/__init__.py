"""The image runner: pyvips, with Pillow and pillow-heif for what its wheel lacks."""

from entrepot.core.conversions.runners.image.entry import convert, probe

__all__ = ["convert", "probe"]
