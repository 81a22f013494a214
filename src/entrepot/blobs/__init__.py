"""Where the bytes live: the object store port and its local-disk form."""

from entrepot.blobs._digesting import digest_chunks
from entrepot.blobs.local import LocalBlobStore
from entrepot.blobs.port import CHUNK_BYTES, BlobStore, Digests
from entrepot.blobs.reserve import DiskReserve, ReserveState

__all__ = [
    "CHUNK_BYTES",
    "BlobStore",
    "Digests",
    "DiskReserve",
    "LocalBlobStore",
    "ReserveState",
    "digest_chunks",
]
