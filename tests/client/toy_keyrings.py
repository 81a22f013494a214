"""Keyrings for tests, by the extension point of the package `keyring`: one keeps its secrets in
the file that TOY_KEYRING names, the others fail as real ones do."""

import json
import os
import time
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class FileKeyring(KeyringBackend):
    """Works. It stands for a system's keyring, so it says that it is one to be used."""

    priority: float = 5

    def get_password(self, service: str, username: str) -> str | None:
        found: str | None = self._read().get(f"{service}/{username}")
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path.write_text(json.dumps(self._read() | {f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        held = self._read()
        del held[f"{service}/{username}"]
        self._path.write_text(json.dumps(held))

    @property
    def _path(self) -> Path:
        return Path(os.environ["TOY_KEYRING"])

    def _read(self) -> dict[str, str]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}


class LockedKeyring(FileKeyring):
    """Nobody unlocks it."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("Failed to unlock the collection!")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("Failed to unlock the collection!")


class ForgetfulKeyring(FileKeyring):
    """Says that it has kept what it cuts off."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password[:20])


class HangingKeyring(FileKeyring):
    """Waits for a person who is not there."""

    def set_password(self, service: str, username: str, password: str) -> None:
        time.sleep(60)


class PlainKeyring(FileKeyring):
    """Says of itself that it is none for secrets."""

    priority = 0.5
