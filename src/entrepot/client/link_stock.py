"""Links to many small files of a release, asked for together: one call instead of one for each.

The hub gives them out as a Metalink document (RFC 5854), all or none. Twice as many are asked for
each time, as long as most of them are used; so where most files are there already, few are asked
for in vain. The next are asked for while half of the last are still to be used, so that nobody
waits. Where the hub cannot or will not, each link is asked for by itself, and that says what is
wrong.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from entrepot.client.countries import is_controlled
from entrepot.client.errors import BadAnswer, ClientError

# A large file takes its time; its link would not be fresh any more, and one call is little to it.
SMALL_BYTES_MAX = 4 * 1024 * 1024
AT_ONCE_MAX = 100  # what the hub gives in one document
FRESH_SECONDS = 60.0
_FIRST = 2
_NAMESPACE = "{urn:ietf:params:xml:ns:metalink}"

Ask = Callable[[Sequence[str]], bytes]


class LinkStock:
    """The small files of one release that are about to be fetched in this order, and links to some.

    `ask` gives the Metalink document of artifacts, by their ids. Safe to use from several threads.
    """

    def __init__(self, ask: Ask, artifacts: Sequence[Mapping[str, Any]]) -> None:
        self._ask = ask
        self._changed = threading.Condition()
        small = {str(each.get("id")): str(each["sha256"]) for each in artifacts if _fits(each)}
        self._ids, self._digests = list(small), list(small.values())
        self._places = {artifact_id: place for place, artifact_id in enumerate(small)}
        # By SHA-256, each with the moment until which it is fresh.
        self._links: dict[str, list[tuple[float, str]]] = {}
        self._begin = self._end = 0  # the places that were asked for last
        self._used = 0  # of these
        self._settled: set[int] = set()  # places that want no link any more
        self._asking: threading.Thread | None = None
        self._given_up = False

    def take(self, artifact_id: str) -> str | None:
        """A fresh link to an artifact that nobody has used yet, None where there is none."""
        with self._changed:
            place = self._places.pop(artifact_id, None)
            if place is None:
                return None
            while (link := self._pop(place)) is None:
                if self._asking is not None:
                    self._changed.wait()
                elif self._given_up or not self._ask_for(place, place):
                    self._settled.add(place)
                    return None
            self._settled.add(place)
            self._used += 1
            if place >= (self._begin + self._end) // 2 and self._asking is None:
                self._ask_for(self._end, place)
            return link

    def close(self) -> None:
        """Wait for what is being asked."""
        with self._changed:
            self._given_up = True
            asking = self._asking
        if asking is not None:
            asking.join()

    def _pop(self, place: int) -> str | None:
        digest, now = self._digests[place], monotonic()
        kept = [each for each in self._links.pop(digest, ()) if each[0] > now]
        link = kept.pop()[1] if kept else None
        if kept:
            self._links[digest] = kept
        return link

    def _ask_for(self, begin: int, place: int) -> bool:
        """Begin to ask for links from the place `begin` on; False where that is of no use.

        `place` is where the files are that are being fetched.
        """
        if self._given_up or begin < self._begin:
            return False
        count = _FIRST
        if self._used * 2 > min(place, self._end) - self._begin:
            count = min(AT_ONCE_MAX, max(_FIRST, 2 * (self._end - self._begin)))
        elif begin > place:
            return False  # not before it has to be
        end = min(begin + count, len(self._ids))
        # Several are at work, not always in this order: a link that nobody takes is not asked for.
        places = [each for each in range(begin, end) if each not in self._settled]
        if len(places) < 2:
            return False
        self._begin, self._end, self._used = begin, end, 0
        asking = threading.Thread(target=self._bring, args=(places,), daemon=True)
        try:
            asking.start()
        except RuntimeError:  # no room for another thread: nobody is to wait for it
            self._given_up = True
            return False
        self._asking = asking
        return True

    def _bring(self, places: Sequence[int]) -> None:
        until = monotonic() + FRESH_SECONDS
        links: dict[str, list[str]] = {}
        try:
            links = _links_of(self._ask([self._ids[each] for each in places]))
        except ClientError:
            pass  # one by one from now on: that tells whose fault it is
        finally:
            with self._changed:
                for digest, urls in links.items():
                    self._links.setdefault(digest, []).extend((until, url) for url in urls)
                asked = [self._digests[each] for each in places]
                # What it gives has to be what was asked for.
                self._given_up |= not all(digest in self._links for digest in asked)
                self._asking = None
                self._changed.notify_all()


def _fits(artifact: Mapping[str, Any]) -> bool:
    """Whether an artifact is small and told apart by its digest; controlled ones go alone."""
    size, digest = artifact.get("fileSize"), artifact.get("sha256")
    small = isinstance(size, int) and 0 < size <= SMALL_BYTES_MAX
    return small and isinstance(digest, str) and bool(digest) and not is_controlled(artifact)


def _links_of(document: bytes) -> dict[str, list[str]]:
    """The links in a Metalink document by the SHA-256 of what they lead to. Raises BadAnswer."""
    from xml.etree import ElementTree  # of use to few commands, and slow to load

    links: dict[str, list[str]] = {}
    try:
        told = document.decode()  # in another encoding it could say what is looked for here
        if "<!DOCTYPE" in told or "<!ENTITY" in told:
            raise BadAnswer("The hub's Metalink document defines entities.")
        for file in ElementTree.fromstring(told).iter(f"{_NAMESPACE}file"):  # noqa: S314
            digests = [
                (each.text or "").strip().lower()
                for each in file.findall(f"{_NAMESPACE}hash")
                if each.get("type") == "sha-256"
            ]
            url = file.findtext(f"{_NAMESPACE}url", "").strip()
            if digests and url:
                links.setdefault(digests[0], []).append(url)
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise BadAnswer("The hub's Metalink document is damaged.") from error
    return links
