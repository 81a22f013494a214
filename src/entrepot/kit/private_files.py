"""Small secret files that an operator names: read only where others cannot reach them."""

import stat
from pathlib import Path

from entrepot.errors import Invalid


def read_private_text(path: Path, *, bytes_max: int) -> str:
    """The text of a regular file that neither others nor its group may change; else Invalid."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Invalid(f"{path} is not a file", remedy="name a file")
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise Invalid(
                f"{path} is open to others (mode {mode & 0o777:04o})", remedy=f"chmod 600 {path}"
            )
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
        if len(content) > bytes_max:
            raise Invalid(f"{path} has more than {bytes_max} bytes", remedy="name the right file")
        return content.decode()
    except OSError as error:
        raise Invalid(
            f"{path} cannot be read: {error.strerror}", remedy="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not text", remedy="name the right file") from error
