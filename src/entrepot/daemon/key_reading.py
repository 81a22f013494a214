"""A publisher's key files as commands take them: where they may lie, and their passwords."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from entrepot.daemon.desk import Desk
from entrepot.daemon.options import LocalPath
from entrepot.errors import Conflict, Invalid
from entrepot.kit.private_files import read_private_text

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

Command = TypeVar("Command", bound=Callable[..., object])
_LINE_LENGTH_MAX = 4096
PUBLIC_SUFFIX = ".pub"


def key_options(command: Command) -> Command:
    """`--key` again and again, and `--password-file`."""
    key = click.option(
        "--key",
        "keys",
        type=LocalPath(),
        multiple=True,
        metavar="FILE",
        help="Private key to sign with, made by `entrepotd keys make`; again for each key.",
    )
    return key(password_option(command))


def password_option(command: Command) -> Command:
    """`--password-file`."""
    return click.option(
        "--password-file",
        type=LocalPath(),
        metavar="FILE",
        help="Read the keys' password from a private file.  [default: ask, or read stdin]",
    )(command)


def read_signers(
    desk: Desk, paths: Sequence[Path], password_file: Path | None
) -> "list[CryptoSigner]":
    """The private keys in these files; Invalid for one that others can read, or a wrong one."""
    from entrepot.core.manifests.key_files import KEY_BYTES_MAX, is_encrypted, load_signer

    signers, passwords = [], Passwords(password_file)
    for path in paths:
        refuse_inside(desk, path)
        pem = read_private_text(path, bytes_max=KEY_BYTES_MAX).encode()
        password = passwords.read(f"Password of {path.name}") if is_encrypted(pem) else None
        signers.append(load_signer(pem, password))
    return signers


def read_public_keys(paths: Sequence[Path]) -> "list[SSlibKey]":
    """The public keys in these files, or in those beside them that end in `.pub`."""
    from entrepot.core.manifests.key_files import KEY_BYTES_MAX, read_public

    found = []
    for path in paths:
        beside = path.with_name(path.name + PUBLIC_SUFFIX)
        public = path if path.suffix == PUBLIC_SUFFIX else beside
        if not public.exists():
            raise Invalid(
                f"{public} is missing: the public half of {path.name}.",
                field="key",
                remedy="Name a file ending in .pub, as `entrepotd keys make` wrote it.",
            )
        with public.open("rb") as file:
            found.append(read_public(file.read(KEY_BYTES_MAX).decode(errors="replace")))
    return found


class Passwords:
    """The password of keys: from a file, by asking for each, or one line of stdin for all."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._line: str | None = None

    def read(self, prompt: str, *, confirm: bool = False) -> str:
        """A password; `confirm` asks twice where a person is asked."""
        if self._path is not None:
            return read_private_text(self._path, bytes_max=_LINE_LENGTH_MAX).rstrip("\r\n")
        if sys.stdin.isatty():
            asked = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
            return str(asked)
        if self._line is None:
            self._line = sys.stdin.readline(_LINE_LENGTH_MAX).rstrip("\r\n")
        return self._line


def refuse_inside(desk: Desk, path: Path) -> None:
    """Invalid for a key in the hub's own folder: whoever has the hub would have it."""
    folder = desk.folder
    if folder is not None and path.resolve().is_relative_to(folder.resolve()):
        raise Invalid(
            f"{path} lies in the hub's folder, where a publisher's key is worth nothing.",
            field="key",
            remedy="Keep it elsewhere, best on another machine. `entrepotd keys keep` gives the "
            "hub a targets key on purpose.",
        )


def write_new(path: Path, data: bytes, *, mode: int) -> None:
    """A file that is not there yet, whole or not at all; Conflict where it is. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise Conflict(
            f"{path} is there already, and is not overwritten.", remedy="Choose another name."
        ) from error
    _fill(descriptor, path, data)


def write_over(path: Path, data: bytes) -> None:
    """Replace a file at once, which keeps its mode. Raises OSError.

    What is written meanwhile lies beside it under a name that nobody can have taken before, open
    to its owner alone.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    fresh = Path(name)
    _fill(descriptor, fresh, data, mode=mode)
    fresh.replace(path)


def _fill(descriptor: int, path: Path, data: bytes, *, mode: int | None = None) -> None:
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
