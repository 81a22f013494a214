"""Signing in on another device: RFC 8628. The command shows a code, a person types it at the hub.

Each poll waits at least as long as the hub asks; a connection that times out makes the next one
wait twice as long (section 3.5).
"""

import re
from dataclasses import dataclass, field
from time import monotonic

from entrepot.client.answers import JsonObject, error_for, parse_object
from entrepot.client.api import Api
from entrepot.client.auth import form_error, grant_of, post_token_form
from entrepot.client.connections import Address, Times, parse_address
from entrepot.client.errors import (
    BadAnswer,
    ClientError,
    Denied,
    InvalidUse,
    NotSignedIn,
    Unreachable,
)
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop
from entrepot.client.token_store import Grant

# The public client that every hub knows, and what a customer's command needs.
CLIENT_ID = "entrepot-cli"
SCOPE = "entitlements orders products.readonly offline_access"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_SECONDS = 5.0  # where the hub names none (section 3.2), and what slow_down adds
SECONDS_MAX = 3600.0
_CODE_CHARS_MAX = 4096
_USER_CODE = re.compile(r"[A-Za-z0-9]{1,16}(?:[- ][A-Za-z0-9]{1,16}){0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeviceSignIn:
    """A sign-in that waits for a person: open `page` and type `user_code` there.

    `whole_page` carries the code already, where the hub offers that.
    """

    device_code: str = field(repr=False)
    user_code: str
    page: str
    whole_page: str | None
    seconds: float
    interval: float


def begin_device_sign_in(hub: Address, times: Times, *, scope: str = SCOPE) -> DeviceSignIn:
    """Ask the hub for a code. Raises Denied where it offers no such sign-in, Unreachable."""
    api = Api(hub, None, times, Backoff(), Stop())
    form = {"client_id": CLIENT_ID, "scope": scope}
    status, body = api.post_form(["oauth", "device_authorization"], form)
    if status == 404 and isinstance(error := error_for(status, body), InvalidUse):
        raise error
    if status in (404, 405, 501):
        raise Denied("This hub does not offer signing in with a code.")
    if status != 200:
        raise form_error(status, body)
    return _begun(parse_object(body))


def _begun(said: JsonObject) -> DeviceSignIn:
    code, shown = said.get("device_code"), said.get("user_code")
    good = isinstance(code, str) and 0 < len(code) <= _CODE_CHARS_MAX and code.isascii()
    if not good or not isinstance(shown, str) or not _USER_CODE.fullmatch(shown):
        raise BadAnswer("The hub's answer holds no code to sign in with.")
    return DeviceSignIn(
        device_code=str(code),
        user_code=shown,
        page=_page(said.get("verification_uri")),
        whole_page=(
            _page(said["verification_uri_complete"])
            if "verification_uri_complete" in said
            else None
        ),
        seconds=min(_seconds(said.get("expires_in"), 0.0), SECONDS_MAX),
        interval=_seconds(said.get("interval"), INTERVAL_SECONDS),
    )


def _page(value: object) -> str:
    """An address that a browser may be sent to: http or https, nothing else."""
    try:
        return parse_address(value if isinstance(value, str) else "").url
    except InvalidUse as error:
        raise BadAnswer("The hub's answer names no page to sign in at.") from error


def _seconds(value: object, otherwise: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(float(value), 0.0), SECONDS_MAX) if number else otherwise  # type: ignore[arg-type]


def wait_for_device_sign_in(
    hub: Address, begun: DeviceSignIn, times: Times, stop: Stop | None = None
) -> Grant:
    """Poll until the person has decided. Raises Denied (they said no), NotSignedIn (too late)."""
    stop = stop or Stop()
    ends, interval = monotonic() + begun.seconds, begun.interval
    while True:
        left = ends - monotonic()
        if left <= 0:
            raise _too_late()
        stop.wait(min(interval, left))
        try:
            answer = _poll(hub, begun, times)
        except Unreachable as error:
            if not error.worth_retrying:
                raise
            interval = max(interval * 2, error.retry_after_seconds or 0.0)
            continue
        if isinstance(answer, Grant):
            return answer
        if answer == "slow_down":
            interval += INTERVAL_SECONDS


def _poll(hub: Address, begun: DeviceSignIn, times: Times) -> Grant | str:
    """The grant, or the hub's word for why there is none yet."""
    form = {"grant_type": GRANT_TYPE, "device_code": begun.device_code, "client_id": CLIENT_ID}
    status, body = post_token_form(hub, form, times)
    if status == 200:
        return grant_of(parse_object(body), CLIENT_ID)
    raise_for, kind = _read_error(status, body)
    if raise_for is not None:
        raise raise_for
    return kind


def _read_error(status: int, body: bytes) -> tuple[ClientError | None, str]:
    try:
        kind = str(parse_object(body).get("error"))
    except BadAnswer:
        return error_for(status, body), ""
    if kind in ("authorization_pending", "slow_down"):
        return None, kind
    if kind == "access_denied":
        return Denied("The sign-in was refused on the page.", remedy="Run the command again."), ""
    if kind in ("expired_token", "invalid_grant"):
        return _too_late(), ""
    return form_error(status, body), ""


def _too_late() -> NotSignedIn:
    return NotSignedIn(
        "Nobody typed the code in time.", remedy="Run `entrepot login` again for a new one."
    )
