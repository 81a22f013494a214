"""What the orders API's refusals mean: its error bodies are of another shape than all others'.

A 400 is `{"path of the key": "what is wrong and what to do"}`, anything else is
`{"Message": "..."}`; the stable code is in the header X-Error-Code (docs/reference/orders-api.md).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from entrepot.client.answers import error_for, no_hub_there, parse_object
from entrepot.client.api import Reply
from entrepot.client.errors import (
    BadAnswer,
    ClientError,
    Denied,
    InvalidUse,
    NotFound,
    NotSignedIn,
    Unreachable,
)
from entrepot.client.retries import retry_after_seconds

LIST_ASSETS = "`entrepot select assets` lists those that you may have."
LIST_ORDERS = "`entrepot order list` shows your orders."
ASSETS_UNKNOWN = "assets-unknown"
# Why a file could not be made, where making it again from the same would fail again: by the
# file itself, or by what is wished of it (docs/reference/orders-api.md).
LASTING = frozenset(
    {
        "crop-outside",
        "frame-outside",
        "max-bytes",
        "media-damaged",
        "media-too-large",
        "media-unsupported",
        "page-outside",
        "start-outside",
        "watermark-too-small",
    }
)
_FAULTS_SHOWN = 10
_TEXT_CHARS_MAX = 2000
_KINDS: dict[int, tuple[type[ClientError], str, str]] = {
    401: (NotSignedIn, "The hub does not accept the token.", "Run `entrepot login`."),
    403: (Denied, "The hub denies this.", "The token needs the scope `orders`."),
    404: (
        NotFound,
        "There is no such order or asset, or it is not yours.",
        f"{LIST_ORDERS} {LIST_ASSETS}",
    ),
    409: (Denied, "The state it is in does not allow this.", ""),
    410: (Denied, "What was asked for has ended.", "Order it again."),
    413: (InvalidUse, "That is more than the hub takes at once.", "Send it in parts."),
}


def refusal(reply: Reply) -> ClientError:
    """The error that an answer of the orders API other than 2xx stands for."""
    status, reason = reply.status, reply.headers.get("X-Error-Code", "")
    if status == 400 and (faults := _faults(reply.body, reason)):
        if reason == ASSETS_UNKNOWN:
            return NotFound(faults, remedy=LIST_ASSETS, reason=reason)
        return InvalidUse(faults, reason=reason)
    # Every 404 has the same words, with addresses that a command has no use for.
    message = "" if status == 404 else _message(reply.body)
    if status == 404 and not reason and isinstance(error_for(404, reply.body), InvalidUse):
        return no_hub_there()
    if status == 429 or (status >= 500 and status != 501):
        return Unreachable(
            message or f"The hub cannot answer now (status {status}).",
            reason=reason,
            retry_after_seconds=retry_after_seconds(
                reply.headers.get("Retry-After"), datetime.now(UTC)
            ),
        )
    if status in _KINDS:
        kind, usual, remedy = _KINDS[status]
        # A message of the hub ends with what to do; only where it is alone does ours help.
        return kind(message or usual, remedy="" if message else remedy, reason=reason)
    return error_for(status, reply.body, location=reply.headers.get("Location"))


def of_order(order_id: int) -> Callable[[Reply], ClientError]:
    """As `refusal`, for what is asked of one order: where it is not there, it is named."""

    def refuse(reply: Reply) -> ClientError:
        error = refusal(reply)
        if not isinstance(error, NotFound):
            return error
        told = f"There is no order {order_id}, or it is not yours."
        return NotFound(told, remedy=LIST_ORDERS, reason=error.reason)

    return refuse


def can_be_retried(errors: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the files could be made by a retry: not all are at fault themselves."""
    codes = [one.get("code") for one in errors]
    return not codes or any(code not in LASTING for code in codes)


def _faults(body: bytes, reason: str) -> str:
    """The faults of a 400, one a line, each with the path of its key; assets name themselves."""
    try:
        told = parse_object(body)
    except BadAnswer:
        return ""
    found = [(path, text) for path, text in told.items() if isinstance(text, str)]
    plain = reason == ASSETS_UNKNOWN
    shown = [
        text if plain or path == "request" else f"{path}: {text}"
        for path, text in found[:_FAULTS_SHOWN]
    ]
    if len(found) > len(shown):
        shown.append(f"and {len(found) - len(shown)} more")
    return "\n".join(line[:_TEXT_CHARS_MAX] for line in shown)


def _message(body: bytes) -> str:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    text = told.get("Message") if isinstance(told, dict) else None
    return text[:_TEXT_CHARS_MAX] if isinstance(text, str) else ""
