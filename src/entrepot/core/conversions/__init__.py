"""Renditions of media: recipes, what was converted already, and the converters.

Import from its modules (recipes, rules, results, kept, metadata, port). They are not gathered
here, since the sandboxed program loads this package too and has no use for the most of them.
"""

from entrepot.core.conversions import tables as _tables  # noqa: F401 - part of the metadata
