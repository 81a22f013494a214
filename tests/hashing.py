"""Password hashes that cost little, for tests that count guesses and not seconds."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from entrepot.core.accounts import passwords
from entrepot.db import connect


class UnhurriedHasher(PasswordHasher):
    """Hashes as `quick_hashes` does, and before that lets somebody else write to the database.

    Where a transaction that writes is open, that other writer waits in vain.
    """

    def __init__(self, url: str) -> None:
        super().__init__(1, 64, 1)
        self.url = url
        self.calls = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.calls += 1
        database = connect(self.url)
        try:
            with database.write() as tx:
                tx.execute(text("UPDATE organisations SET blocked = blocked"))
        finally:
            database.close()
        return super().hash(password, salt=salt)


@pytest.fixture
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same algorithm at a hundredth of the cost."""
    passwords._decoy_hash.cache_clear()
    monkeypatch.setattr(passwords, "_hasher", lambda: PasswordHasher(1, 64, 1))
    yield
    passwords._decoy_hash.cache_clear()
