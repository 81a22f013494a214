"""Security tests ask the doors, so they start from the same hub."""

from tests.databases import *  # noqa: F403
from tests.doors.conftest import hub, sealed_keys

__all__ = ["hub", "sealed_keys"]
