"""Lists of a hub, kept in a folder by their ETags: the hub need not send again what it has sent.

They lie in FOLDER/.entrepot/answers.json, and only save requests: what is damaged, of another hub
or of another account is thrown away and asked for anew. The digest finds damage, not intent;
whoever may write to the folder can make a new one, so that `sync --check` believes none of it.
"""

import hashlib
import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

from entrepot.client.answers import JsonObject, parse_object
from entrepot.client.client import Client
from entrepot.client.errors import BadAnswer, LocalFileError
from entrepot.client.inside import Inside
from entrepot.client.tokens import claims_or_none

NAME = "answers.json"
BYTES_MAX = 256 << 20
_VERSION = 2
# It is sent back as it came: RFC 9110, section 8.8.3, with an end.
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Answers:
    """Lists by the entitlement that they are of, with their ETags, for the account `owner`."""

    owner: str = ""
    kept: dict[str, tuple[str, list[JsonObject]]] = field(default_factory=dict)

    def find(self, key: str) -> tuple[str, list[JsonObject]] | None:
        """ETag and items of a list."""
        return self.kept.get(key)

    def keep(self, key: str, etag: str | None, items: list[JsonObject]) -> None:
        """Keep a list, where its ETag can be sent back."""
        if etag and _ETAG.fullmatch(etag):
            self.kept[key] = (etag, items)


def owner_of(client: Client) -> str:
    """The hub and the account, as a digest: what one is told need not be true for another.

    Raises NotSignedIn.
    """
    token = client.api.tokens.token() if client.api.tokens is not None else ""
    claims = claims_or_none(token)
    # A token that says nothing of whom it is for is an account of its own.
    account = [claims.issuer, claims.subject] if claims and claims.subject else [token]
    return hashlib.sha256(json.dumps([client.api.base.url, *account]).encode()).hexdigest()


def load_answers(folder: Path, owner: str) -> Answers:
    """What was kept for this account; nothing where it cannot be read or is not to be believed."""
    try:
        raw = Inside(folder).read(NAME, BYTES_MAX)
    except LocalFileError:
        return Answers(owner)
    return Answers(owner) if raw is None else read_answers(raw, owner)


def save_answers(folder: Path, answers: Answers) -> None:
    """Keep the lists, unless they are larger than what would be read again or cannot be kept."""
    raw = write_answers(answers)
    if len(raw) > BYTES_MAX:
        return
    try:
        Inside(folder).write(NAME, raw)
    except LocalFileError as error:
        _log.warning("The hub's lists are not kept: %s", error.message)


def write_answers(answers: Answers) -> bytes:
    """The lists as JSON."""
    kept = {key: {"etag": etag, "items": items} for key, (etag, items) in answers.kept.items()}
    told = {"version": _VERSION, "owner": answers.owner, "sha256": _digest(kept), "answers": kept}
    return json.dumps(told, separators=(",", ":")).encode()


def read_answers(raw: bytes, owner: str) -> Answers:
    """The lists as they were written, all or none of them."""
    found = Answers(owner)
    try:
        told = parse_object(raw)
        if (told["version"], told["owner"], told["sha256"]) != (
            _VERSION,
            owner,
            _digest(told["answers"]),
        ):
            return found
        for key, one in told["answers"].items():
            etag, items = one["etag"], one["items"]
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                return Answers(owner)
            found.keep(key, etag, items)
    except (BadAnswer, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Answers(owner)
    return found


def _digest(kept: object) -> str:
    return hashlib.sha256(json.dumps(kept, separators=(",", ":")).encode()).hexdigest()
