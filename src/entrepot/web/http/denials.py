"""Decisions against a caller, written down before the caller hears of them.

Doors raise errors; the application notes them here (`note_error`), and the server has what was
noted recorded (`denial_record`) when the answer begins. What is recorded:

- 401, where a token or a password was sent: `token.denied`, `sign-in.failed`;
- 403 and the end of a link: `<noun>.denied`, by the door that was asked;
- 404 where a link was asked for: "not yours" is one of its reasons.

Not recorded: requests without any credential, malformed ones, limits on the rate of requests.
The limit on what is written is that of `core.events.denials`, for each web process; the
access log has every request.
"""

import re
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from entrepot.assembly import Policy
from entrepot.core.accounts import Principal
from entrepot.core.events import Denial
from entrepot.errors import Denied, EntrepotError, Gone, NotFound, Unauthenticated
from entrepot.kit.redaction import redact
from entrepot.web.http.callers import address_of

Scope: TypeAlias = MutableMapping[str, Any]
ANYONE = "anyone"
PATH_LENGTH_MAX = 200
_NOUNS: tuple[tuple[str, str], ...] = (
    ("/api/admin/", "admin"),
    ("/api/v2/webhooks", "webhook"),
    ("/api/v2/", "product-download"),
    ("/api", "order"),
    ("/downloads/", "link"),
    ("/dl/", "link"),
    ("/e-product-entitlement-customer/", "entitlement"),
    ("/oauth/", "token"),
    ("/admin/oauth/", "token"),
)
# Where a link to bytes is asked for, and what it would lead to.
_ISSUING = re.compile(
    r"/releases/(?P<release>[0-9A-Fa-f-]{36})(?:/artifact/(?P<artifact>[0-9A-Fa-f-]{36}))?"
    r"/(?:http|fasp|zip)|/downloads/(?P<download>[0-9]{1,19})(?:/|$)"
)
_SUBJECTS = {"artifact": "artifact", "release": "release", "download": "product-download"}


@dataclass(slots=True)
class Notes:
    """Of one request: who asks, once that is known, and what was decided against it."""

    scope: Scope
    policy: Policy
    who: Principal | None = None
    denial: Denial | None = field(default=None)


_notes: ContextVar[Notes | None] = ContextVar("entrepot_denials", default=None)


def begin_notes(scope: Scope, policy: Policy) -> Notes:
    """Notes for the request at hand."""
    notes = Notes(scope, policy)
    _notes.set(notes)
    return notes


def note_caller(who: Principal) -> None:
    """Note who asks."""
    notes = _notes.get()
    if notes is not None:
        notes.who = who


def note_denial(denial: Denial) -> None:
    """Note a decision; the first one of a request counts. `actor` '' means: whoever asks."""
    notes = _notes.get()
    if notes is not None and notes.denial is None:
        notes.denial = _completed(denial, notes)


def note_error(error: Exception, _scope: Any = None) -> None:
    """Note the decision that an error tells of; other errors are left aside."""
    notes = _notes.get()
    if notes is None or notes.denial is not None or not isinstance(error, EntrepotError):
        return
    path = str(notes.scope["path"])
    kind = _type_of(error, path)
    if kind:
        denial = Denial(kind, "", _subject_of(path), error.code, data=_plain(error.details))
        notes.denial = _completed(denial, notes)


def _completed(denial: Denial, notes: Notes) -> Denial:
    who = notes.who
    if who is not None and not denial.actor:
        denial = replace(denial, actor=who.label, organisation_id=who.organisation_id)
    data = {"address": address_of(notes.scope, notes.policy), **denial.data}
    return replace(denial, actor=denial.actor or ANYONE, data=data)


def _plain(details: Mapping[str, str | int | bool]) -> dict[str, Any]:
    return {"details": dict(details)} if details else {}


def _type_of(error: EntrepotError, path: str) -> str:
    if isinstance(error, Unauthenticated):
        if error.code in ("token-missing", "unauthenticated", "contact-required"):
            return ""
        return "sign-in.failed" if error.code == "credentials-wrong" else "token.denied"
    if error.code == "sign-in-throttled":
        return "sign-in.failed"
    issuing = _ISSUING.search(path) is not None
    if isinstance(error, NotFound):
        return "link.denied" if issuing and not path.startswith("/api") else ""
    if not isinstance(error, Denied | Gone):
        return ""
    if issuing and not path.startswith("/api"):
        return "link.denied"
    return f"{next((noun for start, noun in _NOUNS if path.startswith(start)), 'page')}.denied"


def _subject_of(path: str) -> str:
    found = _ISSUING.search(path)
    if found is not None:
        named = found.groupdict()
        kind = next(kind for kind in _SUBJECTS if named[kind])
        return f"{_SUBJECTS[kind]}:{named[kind].lower()}"
    return f"path:{redact(path)[:PATH_LENGTH_MAX]}"
