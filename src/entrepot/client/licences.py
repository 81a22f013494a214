"""The licence that an entitlement asks for: seeing which, and accepting it by its revision.

A revision is one text for good. Naming it says which text was read; the hub takes no other than
the one it asks for, so that a new text is never accepted by an old command line.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from entrepot.client.answers import LICENCE_CODE, JsonObject, error_for
from entrepot.client.api import Api, Reply
from entrepot.client.errors import BadAnswer, ClientError, InvalidUse, LicenceNeeded

ME, ORGANISATION = "me", "organisation"
_ROOT = ("e-product-entitlement-customer", "v1", "entitlements")
_NAMED = re.compile(rf"(?:({LICENCE_CODE.pattern})@)?([1-9]\d{{0,8}})")


@dataclass(frozen=True, slots=True)
class Named:
    """A revision as a person names it, and for whom it is accepted.

    Without `code` it is of whatever licence is asked for.
    """

    code: str | None
    revision: int
    for_organisation: bool = False

    def is_of(self, code: str) -> bool:
        """Whether it can be a revision of this licence."""
        return self.code in (None, code)


@dataclass(frozen=True, slots=True)
class Licence:
    """The licence that an entitlement asks for, and whether the caller may go on."""

    code: str
    name: str
    revision: int
    sha256: str
    url: str
    accepted: bool
    text: str


class Licences:
    """The licences of one hub: `client.licences`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def required(self, entitlement_id: str) -> Licence:
        """The licence that this entitlement asks for. Raises NotFound where it asks for none."""
        return _licence(self._api.get((*_ROOT, entitlement_id, "licence")))

    def accept(self, entitlement_id: str, named: Named | str) -> Licence:
        """Accept a revision, such as `TERMS@2`, of what an entitlement asks for.

        For oneself; with `for_organisation` for everybody in it, by its administrator. Accepting
        what is accepted does no harm. Raises LicenceNeeded where the hub asks for another revision
        (the message names it), Denied, NotFound.
        """
        if isinstance(named, str):
            named = parse_named(named)
        told = {"revision": named.revision, "for": ORGANISATION if named.for_organisation else ME}
        if named.code is not None:
            told["licence"] = named.code
        reply = self._api.call(
            "PUT",
            (*_ROOT, entitlement_id, "licence"),
            headers={"Content-Type": "application/json"},
            body=json.dumps(told).encode("ascii"),
            refuse=_refusal,
        )
        return _licence(_said(reply.body))


def parse_named(text: str, *, for_organisation: bool = False) -> Named:
    """`TERMS@2` or `2`. Raises InvalidUse."""
    parts = _NAMED.fullmatch(text.strip())
    if parts is None:
        raise InvalidUse(
            f"{text[:80]!r} names no revision of a licence.",
            remedy="Write it like TERMS@2; the refusal of a download names the one it needs.",
        )
    return Named(parts[1], int(parts[2]), for_organisation)


def _refusal(reply: Reply) -> ClientError:
    error = error_for(reply.status, reply.body)
    if reply.status != 409:
        return error
    return LicenceNeeded(error.message, agreement_url="", remedy=error.remedy, reason=error.reason)


def _said(body: bytes) -> Any:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _licence(said: JsonObject) -> Licence:
    try:
        return Licence(
            str(said["licence"]),
            str(said["name"]),
            int(said["revision"]),
            str(said["sha256"]),
            str(said["agreementUrl"]),
            said["accepted"] is True,
            str(said["text"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer("The hub's answer holds no licence.") from error
