"""What the operator decides: read from the environment, checked whole, faults told all at once."""

from entrepot.settings._loading import describe, from_env
from entrepot.settings._table import DECLARED, Settings

__all__ = ["DECLARED", "Settings", "describe", "from_env"]
