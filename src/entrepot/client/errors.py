"""Every error the SDK raises on purpose, and the exit code the command gives for it.

    ClientError              1   anything that is not one of these
    |-- InvalidUse           2   a value, an option or the address of the hub is wrong
    |-- NotFound             3   no such object, or it is not yours
    |-- Denied               4   you have (or had) a right, and a condition fails now
    |   `-- LicenceNeeded    5   a licence has to be accepted first; `agreement_url` says where
    |-- NotSignedIn          6   no token, or the hub does not take it (any more)
    |-- Unreachable          7   the hub cannot be reached, is too slow, or fails
    |-- Corrupt              8   what arrived is not what was announced; nothing was kept
    |-- LocalFileError       9   this machine: directory, permission, name
    |   `-- DiskFull         9   no room for the file
    |-- Incomplete          10   an order ended, and some of its files could not be made
    |-- OrderEnded          11   an order failed, was cancelled, or has expired
    |-- Untrusted            12   the signature of a release does not verify, or is missing
    |-- BadAnswer            1   the hub answered something this client does not understand
    `-- Cancelled          130   stopped by Ctrl-C

`message` says what happened, `remedy` what to do, `reason` is the hub's stable word for it.
The codes are a promise: docs/reference/exit-codes.md, compared with this table by a test.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command `entrepot` returns to the shell."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    LICENCE_NEEDED = 5
    NOT_SIGNED_IN = 6
    NETWORK = 7
    CORRUPT = 8
    LOCAL_FILE = 9
    INCOMPLETE = 10
    ORDER_ENDED = 11
    UNTRUSTED = 12
    INTERRUPTED = 130


class ClientError(Exception):
    """An error with a `message`, what to do about it (`remedy`) and the hub's word (`reason`)."""

    exit_code = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, remedy: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.reason = reason


class InvalidUse(ClientError):  # noqa: N818 - the field's names, see the tree above
    """A value given by the caller, or the address of the hub, is wrong."""

    exit_code = ExitCode.USAGE


class NotFound(ClientError):  # noqa: N818
    """There is no such object, or the caller has no right of any kind to it."""

    exit_code = ExitCode.NOT_FOUND


class Denied(ClientError):  # noqa: N818
    """A right exists (or existed) and a condition fails now."""

    exit_code = ExitCode.DENIED


class LicenceNeeded(Denied):
    """The licence at `agreement_url` must be accepted before the download.

    `licence` and `revision` are the code and the revision of the text; empty and 0 where the hub
    does not name them.
    """

    exit_code = ExitCode.LICENCE_NEEDED

    def __init__(
        self,
        message: str,
        *,
        agreement_url: str,
        remedy: str = "",
        reason: str = "",
        licence: str = "",
        revision: int = 0,
    ) -> None:
        super().__init__(message, remedy=remedy, reason=reason)
        self.agreement_url = agreement_url
        self.licence = licence
        self.revision = revision


class NotSignedIn(ClientError):  # noqa: N818
    """There is no token for this hub, or the hub refuses it."""

    exit_code = ExitCode.NOT_SIGNED_IN


class Unreachable(ClientError):  # noqa: N818
    """No answer, too slow, cut, or an answer that means "not now".

    `worth_retrying` is false where waiting cannot help (a certificate that does not match).
    `retry_after_seconds` is what the hub asked for, if it did.
    """

    exit_code = ExitCode.NETWORK

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        reason: str = "",
        worth_retrying: bool = True,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, reason=reason)
        self.worth_retrying = worth_retrying
        self.retry_after_seconds = retry_after_seconds


class Corrupt(ClientError):  # noqa: N818
    """Size or digest differ from what the hub announced; nothing was kept."""

    exit_code = ExitCode.CORRUPT


class LocalFileError(ClientError):
    """This machine would not read, write or name a file."""

    exit_code = ExitCode.LOCAL_FILE


class DiskFull(LocalFileError):  # noqa: N818
    """There is no room for the file."""


class Incomplete(ClientError):  # noqa: N818
    """An order ended and can be downloaded, and some of its files could not be made."""

    exit_code = ExitCode.INCOMPLETE


class OrderEnded(ClientError):  # noqa: N818
    """An order failed, was cancelled, or has expired: there is nothing to download."""

    exit_code = ExitCode.ORDER_ENDED


class Untrusted(ClientError):  # noqa: N818
    """What the publisher signed is missing, does not verify, is too old, or says otherwise."""

    exit_code = ExitCode.UNTRUSTED


class BadAnswer(ClientError):  # noqa: N818
    """The hub answered something that is not the contract."""


class Cancelled(ClientError):  # noqa: N818
    """The caller asked to stop."""

    exit_code = ExitCode.INTERRUPTED
