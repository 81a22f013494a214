"""Which keys this machine trusts for which product: one pinned root for each, and what was seen.

A pin is the root metadata of a product as somebody vouched for it, or as the hub gave it when
the product was first seen; everything newer must lead back to it. The newest metadata that was
seen is kept beside the pin, so that no hub can go back behind it.
"""

import contextlib
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from entrepot.client.connections import parse_hub_address
from entrepot.client.errors import InvalidUse, LocalFileError, NotFound, Untrusted
from entrepot.client.private_files import locked, read_plain, read_private, write_private
from entrepot.client.proofs import fingerprint

FIRST_USE, BY_FILE, BY_FINGERPRINT = "first use", "file", "fingerprint"
METADATA_PATH = ("e-product-entitlement-customer", "v1", "entitlements", "manifests")
ROOT_BYTES_MAX = 256 << 10
_PRODUCT = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,63}")
_HEX = re.compile(r"[0-9a-f]{64}")
_FILE = "pinned.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pin:
    """What is trusted for a product: the root's `fingerprint`, since when, and who vouched.

    `root` is empty while only its fingerprint is known. `source` is `first use`, `file` or
    `fingerprint`.
    """

    hub: str
    product: str
    fingerprint: str
    since: datetime
    source: str
    root: bytes = b""


class Trust:
    """The pins for one hub, in `root_folder`/trust.

    With `first_use` false a product that is not pinned is refused instead of being trusted as
    the hub presents it. `told` hears of each pin that is made so; by default the log does.
    """

    def __init__(
        self,
        root_folder: Path,
        hub_url: str,
        *,
        first_use: bool = True,
        told: Callable[[Pin], None] | None = None,
    ) -> None:
        self.hub = parse_hub_address(hub_url).url
        self.first_use = first_use
        self.opened: dict[str, Any] = {}  # what this process verified, by product (manifests.py)
        self.hub_folder = root_folder / "trust" / quote(self.hub, safe="")
        self._told = told or _log_pin

    def folder(self, product: str) -> Path:
        """Where pin and metadata of the product lie. Raises InvalidUse for no product's code."""
        if not _PRODUCT.fullmatch(product):
            raise InvalidUse(f"{product[:80]!r} is not the code of a product.")
        return self.hub_folder / product

    def pin_of(self, product: str) -> Pin | None:
        """The pin, or None. Raises Untrusted for a damaged one."""
        return _read(self.hub, product, self.folder(product))

    @contextlib.contextmanager
    def locked(self, product: str) -> Iterator[Path]:
        """The product's folder, while nobody else changes it."""
        folder = self.folder(product)
        with locked(folder.with_name(f"{product}.lock")):
            yield folder

    def add(self, product: str, *, root: bytes | None = None, expected: str | None = None) -> Pin:
        """Pin a product to this root, or to the one with this fingerprint, in place of any other.

        What was seen of the product before is forgotten. Raises Untrusted where `root` is none.
        """
        if root is not None:
            check_root(root, product)
            found, source = fingerprint(root), BY_FILE
            if expected is not None and _digits(expected) != found:
                raise Untrusted(
                    f"The fingerprint of that root is {found}, not the one given.",
                    remedy="Ask the publisher for the right file.",
                    reason="manifest-root-unknown",
                )
        elif expected is not None:
            found, source = _digits(expected), BY_FINGERPRINT
        else:
            raise InvalidUse("Give a root's file or its fingerprint.")
        pin = Pin(self.hub, product, found, datetime.now(UTC), source, root or b"")
        with self.locked(product) as folder:
            _remove(folder)
            self.write(pin)
        return pin

    def write(self, pin: Pin) -> None:
        """Keep the pin; the caller holds the lock."""
        held = {
            "hub": pin.hub,
            "product": pin.product,
            "fingerprint": pin.fingerprint,
            "since": pin.since.isoformat(),
            "source": pin.source,
            "root": pin.root.decode(),
        }
        write_private(self.folder(pin.product) / _FILE, held)
        self.opened.pop(pin.product, None)
        if pin.source == FIRST_USE:
            self._told(pin)

    def remove(self, product: str) -> Pin:
        """Forget a product. Raises NotFound."""
        with self.locked(product) as folder:
            pin = _read(self.hub, product, folder)
            if pin is None:
                raise NotFound(
                    f"No key of {product} is trusted for {self.hub}.",
                    remedy="`entrepot trust list` shows those that are.",
                )
            _remove(folder)
            self.opened.pop(product, None)
        return pin

    def roots(self, product: str) -> list[bytes]:
        """The pinned root and every later one that was verified by it, oldest first."""
        pin, folder = self.pin_of(product), self.folder(product) / "root_history"
        if pin is None or not pin.root:
            return []
        later = sorted(folder.glob("*.root.json"), key=lambda path: int(path.name.split(".")[0]))
        return [pin.root, *(read_plain(path, ROOT_BYTES_MAX) for path in later)]


def list_pins(root_folder: Path) -> list[Pin]:
    """Every pin for every hub, by hub and product."""
    found = []
    for path in sorted((root_folder / "trust").glob(f"*/*/{_FILE}")):
        pin = _read(unquote(path.parent.parent.name), path.parent.name, path.parent)
        if pin is not None:
            found.append(pin)
    return found


def check_root(root: bytes, product: str) -> None:
    """That these bytes are root metadata, signed by as many of its own keys as it asks for.

    Raises Untrusted.
    """
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    try:
        found: Metadata[Root] = Metadata.from_bytes(root[: ROOT_BYTES_MAX + 1])
        if isinstance(found.signed, Root) and len(root) <= ROOT_BYTES_MAX:
            found.signed.verify_delegate("root", found.signed_bytes, found.signatures)
            return
        error: Exception = ValueError("it is too large, or other metadata")
    except RepositoryError as found_wrong:
        error = found_wrong
    raise Untrusted(
        f"That is not a root of {product}: {error}.",
        remedy="Ask the publisher for the file that `entrepotd keys export` wrote.",
        reason="manifest-root-unknown",
    ) from error


def _read(hub: str, product: str, folder: Path) -> Pin | None:
    held = read_private(folder / _FILE)
    if not held:
        return None
    try:
        root = held["root"].encode()
        pin = Pin(
            hub,
            product,
            _digits(held["fingerprint"]),
            datetime.fromisoformat(held["since"]),
            held["source"],
            root,
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidUse) as error:
        raise _damaged(product, folder) from error
    if root and fingerprint(root) != pin.fingerprint:
        raise _damaged(product, folder)
    return pin


def _damaged(product: str, folder: Path) -> Untrusted:
    return Untrusted(
        f"What is trusted for {product} is damaged: {folder / _FILE}.",
        remedy=f"Get the root from the publisher, then: entrepot trust add {product} --root FILE",
        reason="manifest-root-unknown",
    )


def _digits(text: str) -> str:
    """A fingerprint in its one spelling; colons and blanks between the digits are taken."""
    digits = text.replace(":", "").replace(" ", "").lower()
    if not _HEX.fullmatch(digits):
        raise InvalidUse("A fingerprint has 64 hexadecimal digits.")
    return digits


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LocalFileError(f"Cannot remove {folder}: {error.strerror}.") from error


def _log_pin(pin: Pin) -> None:
    _log.warning(
        "Trusting %s at %s on first use; the fingerprint of its root is %s.",
        pin.product,
        pin.hub,
        pin.fingerprint,
    )
