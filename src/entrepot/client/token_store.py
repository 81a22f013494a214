"""The saved sign-in of a profile: in the system's keyring, else in a file of mode 0600.

tokens.json says for each profile which hub it is for, and holds either the tokens or the name
under which the keyring has them. A stored token belongs to that hub and is never offered to
another. A lock beside the file keeps commands from renewing one sign-in at the same time: refresh
tokens are good once, and a hub ends the whole sign-in when one comes twice.
"""

import json
import logging
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from entrepot.client.connections import Address
from entrepot.client.errors import NotSignedIn
from entrepot.client.keyrings import SWITCH, KeyringTrouble, SystemKeyring
from entrepot.client.private_files import locked, read_private, write_private

_KEYRING = "keyring"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the hub hands out: an access token and, for some grants, one to renew it with.

    `client_id` is the program that the tokens were made for; None: the token came from elsewhere.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a sign-in was put: `keyring` by name, else the file; `trouble`: why not the keyring."""

    path: Path
    keyring: str | None = None
    trouble: str = ""


class TokenStore:
    """The saved sign-in of one profile at one hub. Without `keyring` it lies in the file."""

    def __init__(
        self, root: Path, profile: str, hub: Address, keyring: SystemKeyring | None = None
    ) -> None:
        self.path = root / "tokens.json"
        self._profile = profile
        self._hub_url = hub.url
        self._keyring = keyring

    def load(self) -> Grant | None:
        """The saved grant, None when there is none for this hub.

        Raises LocalFileError, and NotSignedIn where the keyring does not give it out.
        """
        entry = self._entry()
        if entry is None:
            return None
        if isinstance(entry.get(_KEYRING), str):
            entry = self._read_keyring(entry[_KEYRING])
        access, refresh = entry.get("access_token"), entry.get("refresh_token")
        if not isinstance(access, str):
            return None
        client_id = entry.get("client_id")
        return Grant(
            access,
            refresh if isinstance(refresh, str) else None,
            client_id if isinstance(client_id, str) else None,
        )

    def save(self, grant: Grant) -> Kept:
        """Keep `grant` in place of what was there."""
        with locked(self.path):
            return self._write(grant)

    def delete(self) -> None:
        """Forget the sign-in of this profile, whatever hub it was for."""
        delete_sign_in(self.path.parent, self._profile, self._keyring)

    def exchange(self, refused: str, renew: Callable[[Grant], Grant]) -> Grant | None:
        """Swap a refused token for a new one, once even if several commands try at a time.

        None when the store has neither another access token nor a refresh token. Where the hub
        takes the refresh token no more, it is forgotten, and NotSignedIn goes on.
        """
        with locked(self.path):
            held = self.load()
            if held is None or held.access_token != refused:
                return held
            if held.refresh_token is None:
                return None
            with _holding_back_ctrl_c():
                return self._renew(held, renew)

    def _renew(self, held: Grant, renew: Callable[[Grant], Grant]) -> Grant:
        try:
            fresh = renew(held)
        except NotSignedIn:
            self._write(Grant(held.access_token, None, held.client_id))
            raise
        kept = Grant(fresh.access_token, fresh.refresh_token or held.refresh_token, held.client_id)
        trouble = self._write(kept).trouble
        if trouble:
            _log.warning("The keyring failed (%s); the sign-in is in %s", trouble, self.path)
        return kept

    def _entry(self) -> dict[str, Any] | None:
        entry = read_private(self.path).get(self._profile)
        return entry if isinstance(entry, dict) and entry.get("url") == self._hub_url else None

    def _read_keyring(self, account: str) -> dict[str, Any]:
        keyring = self._keyring or SystemKeyring({SWITCH: "off"})
        try:
            told = json.loads(keyring.read(account) or "{}")
        except (KeyringTrouble, ValueError) as error:
            raise NotSignedIn(
                f"Your sign-in lies in the system's keyring, which cannot be read now ({error}).",
                remedy="Unlock the keyring and try again, or run `entrepot login`.",
            ) from error
        return told if isinstance(told, dict) else {}

    def _write(self, grant: Grant) -> Kept:
        values = {
            "access_token": grant.access_token,
            "refresh_token": grant.refresh_token,
            "client_id": grant.client_id,
        }
        tokens = {name: value for name, value in values.items() if value}
        every = read_private(self.path)
        earlier = _account_of(every.get(self._profile))
        kept, entry = self._place(tokens, earlier)
        write_private(self.path, every | {self._profile: {"url": self._hub_url, **entry}})
        if earlier is not None and kept.keyring is None:
            _forget(self._keyring, earlier)
        return kept

    def _place(
        self, tokens: Mapping[str, str], earlier: str | None
    ) -> tuple[Kept, Mapping[str, str]]:
        """Into the keyring where that works; what tokens.json is to hold."""
        trouble = ""
        if self._keyring is not None and self._keyring.is_there():
            account = earlier or f"sign-in {secrets.token_hex(8)}"
            try:
                self._keyring.write(account, json.dumps(tokens))
            except KeyringTrouble as error:
                trouble = str(error)
            else:
                return Kept(self.path, self._keyring.name), {_KEYRING: account}
        return Kept(self.path, trouble=trouble), tokens


def delete_sign_in(root: Path, profile: str, keyring: SystemKeyring | None = None) -> None:
    """Forget the saved token of a profile. Raises LocalFileError."""
    path = root / "tokens.json"
    if not path.exists():
        return
    with locked(path):
        every = read_private(path)
        account = _account_of(every.pop(profile, None))
        if account is not None:
            _forget(keyring, account)
        if every:
            write_private(path, every)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _holding_back_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C work only at the end: between a refresh token's use and the writing of the next
    it would end the sign-in. What is done inside has its time-outs.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield  # it does not come here
        return
    came: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(signal.SIGINT, came[0])


def _account_of(entry: object) -> str | None:
    account = entry.get(_KEYRING) if isinstance(entry, dict) else None
    return account if isinstance(account, str) else None


def _forget(keyring: SystemKeyring | None, account: str) -> None:
    try:
        if keyring is not None:
            keyring.delete(account)
    except KeyringTrouble as error:
        _log.warning("The keyring still holds an old sign-in: %s", error)
