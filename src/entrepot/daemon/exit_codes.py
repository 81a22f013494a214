"""Kind of error -> exit code of `entrepotd`: the one table.

docs/reference/entrepotd-exit-codes.md is made from it.
"""

from enum import IntEnum

from entrepot.errors import (
    Conflict,
    Denied,
    EntrepotError,
    Gone,
    Invalid,
    NotFound,
    StorageFull,
    Unavailable,
)


class ExitCode(IntEnum):
    """How `entrepotd` ended, for scripts; `meaning` is for people."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        """A member that is its number and carries its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "Done."
    UNEXPECTED = 1, "Something unexpected; `entrepotd check`: at least one check failed."
    USAGE = 2, "Wrong use: an unknown command, an unknown option, a missing argument."
    NOT_FOUND = 3, "What was named does not exist."
    DENIED = 4, "Not allowed."
    INVALID = 5, "A value is wrong; the message names it."
    CONFLICT = 6, "It clashes with what is there, such as a name that is taken."
    UNAVAILABLE = 7, "The database or the store cannot be used now; trying again may help."
    STORAGE_FULL = 8, "No room for new bytes; nothing was kept of them."
    LOCAL_FILE = 9, "A file named on the command line cannot be read or written."
    SETTINGS = 10, "Settings are wrong; every fault is listed."
    FOLDER = 11, "The data folder, or the folder of the stored files, cannot be written."
    DATABASE_NEWER = 12, "The database was used by a newer version."
    SECRET_KEY = 13, "The secret key is missing, or not the one the database was made with."
    PORT_TAKEN = 14, "Another program listens on the port, or the port is not allowed."
    ADDRESS = 15, "The address to listen on is not one of this machine."
    DATABASE_OLDER = 16, "The database needs `entrepotd migrate`."
    INTERRUPTED = 130, "Stopped by Ctrl-C."


_BY_CODE = {
    "settings-invalid": ExitCode.SETTINGS,
    "folder-not-writable": ExitCode.FOLDER,
    "blobs-unavailable": ExitCode.FOLDER,
    "database-newer": ExitCode.DATABASE_NEWER,
    "database-older": ExitCode.DATABASE_OLDER,
    "secret-key-missing": ExitCode.SECRET_KEY,
    "secret-key-wrong": ExitCode.SECRET_KEY,
    "port-taken": ExitCode.PORT_TAKEN,
    "address-invalid": ExitCode.ADDRESS,
}
# The most specific kind comes first.
_BY_KIND: tuple[tuple[type[EntrepotError], ExitCode], ...] = (
    (NotFound, ExitCode.NOT_FOUND),
    (Denied, ExitCode.DENIED),
    (Invalid, ExitCode.INVALID),
    (Conflict, ExitCode.CONFLICT),
    (Gone, ExitCode.NOT_FOUND),
    (StorageFull, ExitCode.STORAGE_FULL),
    (Unavailable, ExitCode.UNAVAILABLE),
)


def exit_code_of(error: EntrepotError) -> ExitCode:
    """The exit code for an error of ours."""
    by_kind = (code for kind, code in _BY_KIND if isinstance(error, kind))
    return _BY_CODE.get(error.code) or next(by_kind, ExitCode.UNEXPECTED)
