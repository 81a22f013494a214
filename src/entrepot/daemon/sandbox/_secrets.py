"""DATA/sandbox.json, mode 0600: the one place where generated secrets stay readable.

Only a sandbox has such a file, and only a sandbox may (docs/explanation/security.md).
"""

import os
import secrets
from pathlib import Path

import msgspec

from entrepot.errors import Conflict, Unavailable

FILE_NAME = "sandbox.json"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that could be taken for another


class UserSecret(msgspec.Struct, frozen=True):
    """A person's number and password."""

    id: int
    password: str


class ClientSecret(msgspec.Struct, frozen=True):
    """A machine's credentials."""

    client_id: str
    client_secret: str


class GrantKind(msgspec.Struct, frozen=True):
    """What an entitlement is there to show: plain, lapsed, grouped, controlled or licence."""

    id: int
    kind: str


class Secrets(msgspec.Struct, frozen=True):
    """The file's content."""

    users: list[UserSecret]
    clients: list[ClientSecret]
    entitlements: list[GrantKind]
    apps: list[ClientSecret] = []  # msgspec makes a list for each


def new_password() -> str:
    """Four groups of four letters or digits, 79 random bits: short enough to type."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def read_secrets(data: Path) -> Secrets:
    """The content of the file. Conflict: the folder is no sandbox; Unavailable: unreadable."""
    path = data / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    except FileNotFoundError as error:
        raise Conflict(
            f"{data} is not the folder of a sandbox.",
            code="not-a-sandbox",
            remedy=f"Make one: entrepotd serve --sandbox --data {data}",
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(
            f"{path} cannot be read: {error}.",
            code="sandbox-damaged",
            remedy="Delete the sandbox's folder and start it again.",
        ) from error


def refuse_mixing(data: Path, *, sandbox: bool, made: bool = False) -> None:
    """Conflict where a sandbox would be served as a hub, or a hub as a sandbox.

    A sandbox is marked in every answer, and its passwords lie readable in the folder. `made`:
    the folder's database is there, and all that a sandbox writes before.
    """
    holds = (data / FILE_NAME).exists()
    if holds and not sandbox:
        raise Conflict(
            f"{data} is the folder of a sandbox, whose secrets are no secrets.",
            code="is-a-sandbox",
            remedy="Serve it with --sandbox (ENTREPOT_SANDBOX=on), or choose another folder.",
        )
    if sandbox and made and not holds:
        raise Conflict(
            f"{data} holds a hub that is not a sandbox.",
            code="not-a-sandbox",
            remedy="Serve it without --sandbox, or start the sandbox in an empty folder.",
        )


def write_secrets(data: Path, content: Secrets) -> None:
    """Replace the file at once and durably; nobody else can read it, not even on the way."""
    path, part = data / FILE_NAME, data / f".{FILE_NAME}.part"
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
