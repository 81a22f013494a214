"""Where the bytes live: the object store port and its local-disk form."""

from entrepot.blobs.local import LocalBlobStore
from entrepot.blobs.port import BlobStore, Digests
from entrepot.blobs.reserve import DiskReserve, ReserveState

__all__ = ["BlobStore", "Digests", "DiskReserve", "LocalBlobStore", "ReserveState"]
