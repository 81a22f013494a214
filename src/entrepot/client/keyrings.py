"""The system's keyring, where there is one and the optional package `keyring` is installed.

Nothing here may keep a command from working: a keyring that is missing, locked, broken or that
never answers is `KeyringTrouble`, and the caller goes on without it.
"""

import importlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from entrepot.client.errors import InvalidUse

SWITCH = "ENTREPOT_KEYRING"
SERVICE = "entrepot"
SECONDS_MAX = 30.0  # a person may have to type the keyring's password
# Below this a backend keeps secrets readable, or keeps none (keyring's own rule).
_PRIORITY_MIN = 1
_OFF = {"off", "no", "0", "false"}
T = TypeVar("T")


class KeyringTrouble(Exception):  # noqa: N818 - the message says what it is
    """The keyring did not do what was asked."""


class SystemKeyring:
    """Secrets of this person on this machine, by a name of ours."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        switch = environment.get(SWITCH, "auto").lower()
        if switch not in _OFF | {"auto", "on"}:
            raise InvalidUse(f"{SWITCH} is {switch!r}; it can be auto or off.")
        self._off = switch in _OFF
        self._backend: Any = None

    def is_there(self) -> bool:
        """Whether there is a keyring to try: none is no trouble."""
        if self._off:
            return False
        try:
            return _within(self._find) is not None
        except KeyringTrouble:
            return False

    @property
    def name(self) -> str:
        """What the backend calls itself."""
        return str(getattr(self._backend, "name", "keyring"))

    def read(self, account: str) -> str | None:
        """The secret kept under a name; KeyringTrouble."""
        found = self._do(lambda backend: backend.get_password(SERVICE, account))
        return found if isinstance(found, str) else None

    def write(self, account: str, secret: str) -> None:
        """Keep a secret, and see that it is there; KeyringTrouble."""
        self._do(lambda backend: backend.set_password(SERVICE, account, secret))
        if self.read(account) != secret:
            raise KeyringTrouble(f"{self.name} did not keep what it was given")

    def delete(self, account: str) -> None:
        """Forget a secret; KeyringTrouble, also where there is none."""
        self._do(lambda backend: backend.delete_password(SERVICE, account))

    def _do(self, verb: Callable[[Any], T]) -> T:
        if self._off:
            raise KeyringTrouble(f"{SWITCH} switches it off")

        def call() -> T:
            backend = self._find()
            if backend is None:
                raise KeyringTrouble("there is none that could be used")
            return verb(backend)

        return _within(call)

    def _find(self) -> Any:
        """The backend, None where there is none that keeps secrets secret."""
        if self._backend is None:
            try:
                backend = importlib.import_module("keyring").get_keyring()
            except ImportError:
                return None
            if backend.priority < _PRIORITY_MIN:
                return None
            self._backend = backend
        return self._backend


def _within(call: Callable[[], T]) -> T:
    """Run `call`, which may wait for a person or for ever, for at most SECONDS_MAX."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:  # a backend raises whatever its system does
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="keyring")
    thread.start()
    thread.join(SECONDS_MAX)
    if failed:
        error = failed[0]
        told = str(error) or type(error).__name__
        raise error if isinstance(error, KeyringTrouble) else KeyringTrouble(told) from error
    if not found:
        raise KeyringTrouble(f"it did not answer within {SECONDS_MAX:.0f} seconds")
    return found[0]
