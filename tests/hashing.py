"""Password hashes that cost little, for tests that count guesses and not seconds."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from entrepot.core.accounts import passwords


@pytest.fixture
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same algorithm at a hundredth of the cost."""
    passwords._decoy_hash.cache_clear()
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(1, 64, 1))
    yield
    passwords._decoy_hash.cache_clear()
