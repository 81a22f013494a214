"""Links to many small files of a release, asked for together: one call instead of one for each.

The hub gives them out as a Metalink document (RFC 5854), all or none. As many are asked for at a
time as were used since the last time, and twice that; so where most files are there already, few
are asked for in vain. Where the hub cannot or will not, each link is asked for by itself, and
that says what is wrong.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Any

from entrepot.client.errors import BadAnswer, Cancelled, ClientError

# A large file takes its time; its link would not be fresh any more, and one call is little to it.
SMALL_BYTES_MAX = 4 * 1024 * 1024
AT_ONCE_MAX = 100  # what the hub gives in one document
FRESH_SECONDS = 60.0
_FIRST = 2
_NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"

Ask = Callable[[Sequence[str]], bytes]


class LinkStock:
    """The small files of one release that are about to be fetched, and links to some of them.

    `ask` gives the Metalink document of artifacts, by their ids. Safe to use from several threads.
    """

    def __init__(self, ask: Ask, artifacts: Sequence[Mapping[str, Any]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._wanted = {
            str(each.get("id")): str(each["sha256"]) for each in artifacts if _fits(each)
        }
        self._links: dict[str, list[str]] = {}  # by SHA-256
        self._asked_at = 0.0
        self._used = self._got = 0
        self._count = _FIRST

    def take(self, artifact_id: str) -> str | None:
        """A fresh link to an artifact that nobody has used yet, None where there is none."""
        with self._lock:
            digest = self._wanted.pop(artifact_id, None)
            if digest is None:
                return None
            if not self._is_there(digest):
                self._refill(artifact_id)
            links = self._links.get(digest)
            if not links:
                self._wanted.clear()  # what it gives is not what was asked for
                return None
            self._used += 1
            return links.pop()

    def _is_there(self, digest: str) -> bool:
        return bool(self._links.get(digest)) and monotonic() - self._asked_at < FRESH_SECONDS

    def _refill(self, artifact_id: str) -> None:
        if self._got:
            self._count = min(AT_ONCE_MAX, 2 * self._used) if self._used * 2 > self._got else _FIRST
        following = list(islice(self._wanted, self._count - 1))
        ids = [artifact_id, *following]
        if not following:
            return
        try:
            self._links = _links_of(self._ask(ids))
        except Cancelled:
            raise
        except ClientError:
            # One by one from now on: that tells whose fault it is.
            self._wanted.clear()
            self._links = {}
        self._asked_at, self._used, self._got = monotonic(), 0, len(ids)


def _fits(artifact: Mapping[str, Any]) -> bool:
    """Whether an artifact is small and told apart by its digest; controlled ones go alone."""
    size, digest = artifact.get("fileSize"), artifact.get("sha256")
    alone = "controlled" in str(artifact.get("repository", ""))
    small = isinstance(size, int) and 0 < size <= SMALL_BYTES_MAX
    return small and isinstance(digest, str) and bool(digest) and not alone


def _links_of(document: bytes) -> dict[str, list[str]]:
    """The links in a Metalink document by the SHA-256 of what they lead to. Raises BadAnswer."""
    from xml.etree import ElementTree  # of use to few commands, and slow to load

    if b"<!DOCTYPE" in document or b"<!ENTITY" in document:
        raise BadAnswer("The hub's Metalink document defines entities.")
    links: dict[str, list[str]] = {}
    try:
        for file in ElementTree.fromstring(document).iter(f"{_NAMESPACE}file"):  # noqa: S314
            digests = [
                (each.text or "").strip().lower()
                for each in file.findall(f"{_NAMESPACE}hash")
                if each.get("type") == "sha-256"
            ]
            url = file.findtext(f"{_NAMESPACE}url", "").strip()
            if digests and url:
                links.setdefault(digests[0], []).append(url)
    except ElementTree.ParseError as error:
        raise BadAnswer("The hub's Metalink document is damaged.") from error
    return links
