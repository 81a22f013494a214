"""Renditions of media: recipes, what was converted already, and the converters."""

from entrepot.core.conversions import tables as _tables  # noqa: F401 - part of the metadata
