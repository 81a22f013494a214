"""What a ZIP is laid out from: a list of entries, at hand or stored, and one moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from entrepot.blobs import BlobStore
from entrepot.blobs.port import bytes_missing
from entrepot.core.delivery.archive import Archive, lay_out
from entrepot.core.orders.packages import PackageEntry, decode_package


@dataclass(frozen=True, slots=True)
class Package:
    """The list of entries, by the SHA-256 of what `encode_package` makes of it, and the moment
    that every entry is stamped with. Equal packages give the same ZIP.

    `entries` None: the list is stored under its digest.
    """

    list_sha256: str
    modified: datetime
    entries: Sequence[PackageEntry] | None = field(default=None, compare=False)


def lay_out_package(package: Package, blobs: BlobStore) -> Archive:
    """The ZIP of a package; reads the stored list, with no transaction open.

    Unavailable (`bytes-missing`): the list is not there or damaged.
    """
    entries = package.entries
    if entries is None:
        with blobs.open(package.list_sha256) as stored:
            data = stored.read()
        try:
            entries = decode_package(data)
        except msgspec.DecodeError as error:
            raise bytes_missing() from error
    return lay_out(entries, modified=package.modified)
