"""What the hub's answers mean: one place turns a status and a body into an error of ours."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from entrepot.client.errors import (
    BadAnswer,
    ClientError,
    Denied,
    InvalidUse,
    LicenceNeeded,
    NotFound,
    NotSignedIn,
    Unreachable,
)
from entrepot.client.retries import retry_after_seconds

JsonObject = dict[str, Any]
LICENCE_ERROR_NAME = "download-error-eula-required"
LICENCE_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
REVISION_MAX = 999_999_999
_TEXT_CHARS_MAX = 2000
# Escaped, in what passes for UTF-8, or anything in UTF-16 and UTF-32.
_MAYBE_SURROGATE = re.compile(rb"\\u[dD]|\xed|\x00")


def parse_json(body: bytes) -> Any:
    """The body as JSON, objects in the hub's key order. Raises BadAnswer.

    So it does for half a surrogate pair in a text, which no file and no terminal takes.
    """
    try:
        value = json.loads(body)
        if _MAYBE_SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadAnswer(
            "The hub's answer is not JSON.",
            remedy="Check that the URL is that of an Entrepot hub.",
        ) from error
    return value


def parse_object(body: bytes) -> JsonObject:
    """The body as one JSON object. Raises BadAnswer."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise BadAnswer("The hub's answer is not a JSON object.")
    return value


def error_for(
    status: int, body: bytes, *, retry_after: str | None = None, location: str | None = None
) -> ClientError:
    """The error that a status other than 2xx stands for (contract, section 3).

    `retry_after` and `location` are the headers of these names.
    """
    said = _said(body)
    message, remedy = _text(said, "errorDescription"), _text(said, "remedy")
    if remedy and message != remedy:
        # The hub tells it twice, for clients that read the description only.
        message = message.removesuffix(remedy).rstrip()
    reason = _text(said, "reason")
    if status == 403 and said.get("errorName") == LICENCE_ERROR_NAME:
        licence, revision = _licence(said.get("details"))
        return LicenceNeeded(
            message or "A licence has to be accepted before this download.",
            agreement_url=_text(said, "agreementUrl"),
            remedy=remedy,
            reason=reason,
            licence=licence,
            revision=revision,
        )
    if 300 <= status < 400:
        return BadAnswer(
            f"The hub answered with a redirect to {(location or 'nowhere')[:300]}; "
            "a token is never sent on.",
            remedy="Check the URL of the hub (http or https, path).",
        )
    if status in (408, 429) or (status >= 500 and status != 501):
        asked = retry_after_seconds(retry_after, datetime.now(UTC))
        return Unreachable(
            message or f"The hub cannot answer now (status {status}).",
            remedy=remedy or "Try again later.",
            reason=reason,
            retry_after_seconds=asked,
        )
    if status == 404 and "endpoint-unknown" in (reason, said.get("code")):
        return no_hub_there()
    kind, usual, usual_remedy = _KINDS.get(
        status, (BadAnswer, f"The hub answered with status {status}.", "")
    )
    return kind(message or usual, remedy=remedy or usual_remedy, reason=reason)


def no_hub_there() -> InvalidUse:
    """Something answers, and not as a hub does below its address."""
    return InvalidUse(
        "The address of the hub leads to no endpoint: its path is wrong, or the hub is of another "
        "version than this command.",
        remedy="Check the URL and its path; `entrepot show-config` shows the one in use.",
        reason="endpoint-unknown",
    )


_KINDS: dict[int, tuple[type[ClientError], str, str]] = {
    400: (InvalidUse, "The hub does not understand the request.", "Check the values given."),
    401: (
        NotSignedIn,
        "The hub does not accept the token.",
        "Run `entrepot login` to sign in again.",
    ),
    403: (Denied, "The hub denies this.", "Ask the hub's operator why."),
    404: (
        NotFound,
        "There is no such object, or it is not yours.",
        "Check the id with `entrepot entitlements`.",
    ),
    410: (Denied, "What was asked for has ended.", "Ask for it again."),
    501: (InvalidUse, "This hub does not offer that.", "Use another way (`-m http`)."),
}


def _said(body: bytes) -> JsonObject:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _licence(details: Any) -> tuple[str, int]:
    """Code and revision of the licence that a refusal rests on; empty and 0 where it names none."""
    if not isinstance(details, dict):
        return "", 0
    code, revision = details.get("licence"), details.get("revision")
    # They become a part of a command line that somebody copies.
    if not isinstance(code, str) or not LICENCE_CODE.fullmatch(code):
        return "", 0
    if type(revision) is not int or not 1 <= revision <= REVISION_MAX:
        return "", 0
    return code, revision


def _text(said: JsonObject, key: str) -> str:
    value = said.get(key)
    return value[:_TEXT_CHARS_MAX] if isinstance(value, str) else ""
