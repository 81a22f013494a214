"""The converter of the hub: it opens hostile files in a locked-in process of its own.

docs/explanation/media-sandbox.md says what is locked in, and what is not.
"""

from entrepot.core.conversions.sandbox._available import sandbox_available
from entrepot.core.conversions.sandbox.converter import SandboxedConverter

__all__ = ["SandboxedConverter", "sandbox_available"]
