"""Every error the hub can raise on purpose, with no HTTP in it.

    EntrepotError
    |-- NotFound            it is not there, or it is not yours: the two are never told apart
    |-- Denied              you have (or had) a right, and a condition fails now
    |   `-- Unauthenticated     signing in (again) would help
    |-- Invalid             the request itself is wrong; `field` names the part
    |-- Conflict            it clashes with what is already there
    |-- Gone                it was there and is no more (a link that died)
    |-- Late                what you began to send did not come in time
    `-- Unavailable         not now; trying again may help
        |-- TooMany             slow down; `retry_after_seconds` says how long
        `-- StorageFull         no room for new bytes; what is stored stays readable

One table turns a kind into an HTTP status (web/http/errors.py) and one into an exit code
(cli/errors.py). `code` is stable, lower case with hyphens, and documented in the error
catalogue (docs/reference/errors.md, checked by a test); `message` and `remedy` are for people.
"""

from collections.abc import Mapping


class EntrepotError(Exception):
    """An error with a stable `code`, a `message`, what to do (`remedy`), and public `details`."""

    default_code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        remedy: str = "",
        details: Mapping[str, str | int | bool] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.remedy = remedy
        self.details: Mapping[str, str | int | bool] = details or {}


class NotFound(EntrepotError):  # noqa: N818 - the field's names, see the tree above
    """The object does not exist or the caller has no right of any kind to it."""

    default_code = "not-found"

    def __init__(self, message: str = "There is no such object, or it is not yours.") -> None:
        super().__init__(
            message, remedy="Check the id; list what your organisation is entitled to."
        )


class Denied(EntrepotError):  # noqa: N818
    """The caller has (or had) a right and a condition fails now; `code` is the reason."""

    default_code = "denied"


class Unauthenticated(Denied):
    """No credential, or one that is not valid (any more)."""

    default_code = "unauthenticated"


class Invalid(EntrepotError):  # noqa: N818
    """The request is malformed; `field` names the offending part."""

    default_code = "invalid"

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        code: str | None = None,
        remedy: str = "",
        details: Mapping[str, str | int | bool] | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, details=details)
        self.field = field


class Conflict(EntrepotError):  # noqa: N818
    """The change clashes with what is stored already."""

    default_code = "conflict"


class Gone(EntrepotError):  # noqa: N818
    """What was asked for existed and has ended, such as an expired link."""

    default_code = "gone"


class Late(EntrepotError):  # noqa: N818
    """The rest of what was being sent did not come in time, or too slowly; nothing was kept."""

    default_code = "body-late"


class Unavailable(EntrepotError):  # noqa: N818
    """The hub cannot do it now; `retry_after_seconds` is a hint for when to try again."""

    default_code = "unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        remedy: str = "",
        details: Mapping[str, str | int | bool] | None = None,
        retry_after_seconds: int = 2,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, details=details)
        self.retry_after_seconds = retry_after_seconds


class TooMany(Unavailable):
    """A limit on the rate of requests was reached."""

    default_code = "too-many-requests"


class StorageFull(Unavailable):
    """There is no room for new bytes; nothing was kept of what was being written."""

    default_code = "storage-full"
