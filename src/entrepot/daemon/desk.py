"""Where a command starts: what was told on the command line, and the way to the hub.

A hub's folder holds two files of ours beside the data: `secret.key`, the secret key of a hub
that was made by `entrepotd init`, and `served.json`, what `entrepotd serve` was last told.
Thanks to the second, `entrepotd token --data DIR` issues tokens for the address that the hub
of DIR really has.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from entrepot.errors import EntrepotError, Invalid, Unavailable

# Loaded when they are used: every command imports this module, also for its help alone.
if TYPE_CHECKING:
    from entrepot.assembly import Hub
    from entrepot.settings import Settings

OPERATOR = "operator"
_SECRET_FILE = "secret.key"  # noqa: S105 - a name
_DATABASE_FILE = "entrepot.sqlite3"
_SERVED_FILE = "served.json"
_SERVED = ("bind", "public_url", "sandbox")
_PREFIX = "ENTREPOT_"
_SECRETS = {"ENTREPOT_SECRET_KEY", "ENTREPOT_SECRET_KEY_FILE"}


@dataclass
class Desk:
    """`options`: settings from the command line, by field name, written as in the environment."""

    options: dict[str, str] = field(default_factory=dict)

    def told(self, name: str) -> str:
        """A setting as it was written on the command line or in the environment, or ''."""
        return self.options.get(name) or os.environ.get(_PREFIX + name.upper(), "").strip()

    @property
    def folder(self) -> Path | None:
        """The data folder as told, unchecked."""
        told = self.told("data")
        return Path(told) if told else None

    def settings(self, *, as_served: bool = True) -> "Settings":
        """All settings, checked. `as_served`: the address is the one last served, unless told."""
        from entrepot.settings import from_env

        served, secret = self._served() if as_served else {}, self._secret()
        try:
            found = from_env(os.environ, options=served | secret | self.options)
        except Invalid as error:
            raise self._put_plainly(error) from error
        kept = dict.fromkeys(served, _SERVED_FILE) | dict.fromkeys(secret, _SECRET_FILE)
        told = {name: source for name, source in kept.items() if name not in self.options}
        return replace(found, sources={**found.sources, **told})

    @contextmanager
    def hub(self) -> Iterator["Hub"]:
        """The hub, whose database must be migrated."""
        from entrepot.assembly import assemble

        hub = assemble(self.settings())
        try:
            yield hub
        finally:
            hub.close()

    def _secret(self) -> dict[str, str]:
        folder = self.folder
        if folder is None or self.told("secret_key") or self.told("secret_key_file"):
            return {}
        path = folder / _SECRET_FILE
        return {"secret_key_file": str(path)} if path.exists() else {}

    def make_secret(self) -> Path | None:
        """Make the folder and its secret key where there is none; the new file, if any.

        Nothing is made where a secret key is told, nor beside a database, which can only be
        read with the secret key it was made with.
        """
        folder = self.folder
        if folder is None or self.told("secret_key") or self.told("secret_key_file"):
            return None
        path = folder / _SECRET_FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists():
                return None
            if (folder / _DATABASE_FILE).exists():
                raise _secret_missing(folder)
            _write_private(path, secrets.token_urlsafe(32) + "\n", new=True)
        except FileExistsError:
            if folder.is_dir():
                return None  # another process made the key at the same moment
            raise _not_writable(folder, "Not a directory") from None
        except OSError as error:
            raise _not_writable(folder, error.strerror) from error
        return path

    def _put_plainly(self, error: Invalid) -> EntrepotError:
        """A folder that is not named, or a missing or bad secret key, where it is the only fault,
        is an error of its own."""
        if self.folder is None and set(error.details) == {"ENTREPOT_DATA"}:
            return _no_folder(error)
        if error.code != "settings-invalid" or not set(error.details) <= _SECRETS:
            return error
        folder = self.folder
        if folder and not self.told("secret_key") and not self.told("secret_key_file"):
            if (folder / _SECRET_FILE).exists():
                return _secret_faulty(error)
            if (folder / _DATABASE_FILE).exists():
                return _secret_missing(folder)
            if not self.told("database_url"):
                return _no_hub(folder)
        return _secret_faulty(error)

    def _served(self) -> dict[str, str]:
        served = read_served(self.folder) if self.folder else {}
        return {
            name: str(served[name]) for name in _SERVED if name in served and not self.told(name)
        }


def read_served(folder: Path) -> Mapping[str, object]:
    """What `entrepotd serve` last noted in `folder`; nothing where it cannot be read."""
    with suppress(OSError, ValueError):
        noted = json.loads((folder / _SERVED_FILE).read_bytes())
        if isinstance(noted, dict):
            return noted
    return {}


def note_served(settings: "Settings", **more: str) -> None:
    """Keep what other commands want to know of a hub that is about to serve."""
    noted = {
        "bind": str(settings.bind),
        "public_url": settings.public_url,
        "sandbox": "on" if settings.sandbox else "off",
        **more,
    }
    path = settings.data / _SERVED_FILE
    try:
        _write_private(path.with_suffix(".new"), json.dumps(noted, indent=2) + "\n")
        path.with_suffix(".new").replace(path)
    except OSError as error:
        raise _not_writable(settings.data, error.strerror) from error


def _write_private(path: Path, text: str, *, new: bool = False) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if new else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _not_writable(folder: Path, reason: str | None) -> Unavailable:
    return Unavailable(
        f"The folder {folder} is not writable: {reason}.",
        code="folder-not-writable",
        remedy="Choose another folder, or give the user that runs Entrepot write access.",
    )


def _secret_missing(folder: Path) -> Unavailable:
    return Unavailable(
        f"{folder} holds a database, but not the secret key it was made with.",
        code="secret-key-missing",
        remedy=f"Put its copy from the backup back as {folder / _SECRET_FILE} (chmod 600), or set "
        "ENTREPOT_SECRET_KEY or ENTREPOT_SECRET_KEY_FILE to that key; a new one is of no use.",
    )


def _no_folder(error: Invalid) -> Invalid:
    return Invalid(
        "It is not said which hub.",
        field="data",
        code="settings-invalid",
        remedy="Name its folder: --data DIR, or DIR in ENTREPOT_DATA. "
        "`entrepotd init --data DIR` makes a new hub in a folder of yours.",
        details=error.details,
    )


def _no_hub(folder: Path) -> Invalid:
    return Invalid(
        f"There is no hub in {folder}: neither a secret key nor a database.",
        field="data",
        code="secret-key-missing",
        remedy="Name the folder of the hub with --data (ENTREPOT_DATA), or make a new hub there: "
        f"`entrepotd init --data {folder}`.",
    )


def _secret_faulty(error: Invalid) -> Invalid:
    [(name, problem)] = error.details.items()
    return Invalid(
        f"{name}: {problem}.",
        field=name,
        code="secret-key-missing",
        remedy="Or let `entrepotd init --data DIR` make one.",
        details=error.details,
    )
