"""The download link of one file, shared by all connections that fetch it."""

import logging
import threading
from collections.abc import Callable
from urllib.parse import urljoin

from entrepot.client.connections import Address, parse_address
from entrepot.client.errors import BadAnswer, ClientError, InvalidUse

DEAD_LINKS_MAX = 3
_log = logging.getLogger(__name__)


class LinkDied(Exception):  # noqa: N818 - a signal between these modules
    """The link answered that it is over, or that it never was one; `error` is what it meant."""

    def __init__(self, link: Address, error: ClientError) -> None:
        super().__init__(error.message)
        self.link = link
        self.error = error


class Links:
    """Mints a link when there is none, and another when one died."""

    def __init__(self, mint_link: Callable[[], str], name: str) -> None:
        self._mint_link = mint_link
        self._name = name
        self._lock = threading.Lock()
        self._link: Address | None = None
        self._died = 0

    def current(self) -> Address:
        """The link to use. Raises what minting one raises."""
        with self._lock:
            if self._link is None:
                self._link = parse_link(self._mint_link(), None)
            return self._link

    def bury(self, died: LinkDied, *, moved: bool) -> None:
        """Forget a dead link; raises what it meant when one after the other was dead.

        `moved`: bytes have come since the last time.
        """
        with self._lock:
            self._died = 1 if moved else self._died + (self._link == died.link)
            if self._died > DEAD_LINKS_MAX:
                raise died.error from died
            if self._link == died.link:
                self._link = None
                _log.info("%s: the link died; asking for a new one", self._name)

    def forget(self) -> None:
        """The next one asks for a new link."""
        with self._lock:
            self._link = None


def parse_link(url: str, before: Address | None) -> Address:
    """A download link or the target of a redirect. Raises BadAnswer for what is no web link."""
    try:
        link = parse_address(url)
    except InvalidUse as error:
        raise BadAnswer("The hub's download link is not a web address.") from error
    if before is not None and before.scheme == "https" and link.scheme != "https":
        raise BadAnswer("A download link leads from https to plain http; it is not followed.")
    return link


def parse_redirect(location: str, before: Address) -> Address:
    """Where an answer of the link `before` leads. Raises BadAnswer."""
    try:
        return parse_link(urljoin(before.url, location), before)
    except ValueError as error:
        raise BadAnswer("The download link leads to what is not a web address.") from error
