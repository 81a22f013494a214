"""Core tests run on both databases, each in a transaction that is rolled back."""

from tests.databases import *  # noqa: F403
