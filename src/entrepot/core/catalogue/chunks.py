"""The digests of an object's chunks, by which a reader finds and fetches again only what is bad.

They are computed in the one read of the ingest. What was stored before there were any is filled
in by the worker, and by whoever needs them at once. An object of one chunk has no row: its own
digest says it.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import exists, insert, select
from sqlalchemy.exc import IntegrityError

from entrepot.blobs import CHUNK_BYTES, BlobStore, digest_chunks
from entrepot.core.catalogue.tables import artifacts, blob_chunks, blobs
from entrepot.db import Database, Tx

_DIGEST_BYTES = 32


def chunk_digests(tx: Tx, sha256: str) -> tuple[bytes, ...]:
    """The SHA-256 of each chunk of CHUNK_BYTES, in order.

    Empty where they are not computed yet, where nothing of that digest is stored, and of an
    object without a byte.
    """
    query = (
        select(blobs.c.size, blob_chunks.c.digests)
        .join_from(blobs, blob_chunks, blob_chunks.c.sha256 == blobs.c.sha256, isouter=True)
        .where(blobs.c.sha256 == sha256)
    )
    row = tx.execute(query).one_or_none()
    if row is None or row.size == 0:
        return ()
    if row.size <= CHUNK_BYTES:
        return (bytes.fromhex(sha256),)
    digests = row.digests or b""
    return tuple(
        digests[start : start + _DIGEST_BYTES] for start in range(0, len(digests), _DIGEST_BYTES)
    )


def list_unchunked(
    tx: Tx, *, release_ids: Sequence[str] | None = None, after: str = "", take: int = 100
) -> list[str]:
    """Objects of artifacts, of all or of some releases, whose chunk digests are not computed yet.

    At most `take`, in the order of their digests, from behind `after` on.
    """
    used = select(artifacts.c.sha256)
    if release_ids is not None:
        used = used.where(artifacts.c.release_id.in_(release_ids))
    query = select(blobs.c.sha256).where(
        blobs.c.size > CHUNK_BYTES,
        blobs.c.sha256 > after,
        blobs.c.sha256.in_(used),
        ~exists().where(blob_chunks.c.sha256 == blobs.c.sha256),
    )
    return list(tx.execute(query.order_by(blobs.c.sha256).limit(take)).scalars())


def fill_in_chunks(database: Database, store: BlobStore, identities: Iterable[str]) -> int:
    """Read each object and keep the digests of its chunks; how many were filled in.

    No transaction is open while bytes are read. May run twice at once. Unavailable where the
    bytes of one are missing.
    """
    filled = 0
    for sha256 in identities:
        with store.open(sha256) as source:
            digests = digest_chunks(source)
        with database.write() as tx:
            filled += _keep(tx, sha256, digests)
    return filled


def _keep(tx: Tx, sha256: str, digests: bytes) -> bool:
    try:
        with tx.begin_nested():
            tx.execute(insert(blob_chunks).values(sha256=sha256, digests=digests))
    except IntegrityError:
        return False  # somebody else was faster, or the bytes went meanwhile
    return True
