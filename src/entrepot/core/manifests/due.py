"""What a worker has to sign by itself, told without the means to sign."""

from datetime import datetime

from sqlalchemy import func, select

from entrepot.core.catalogue import DRAFT
from entrepot.core.catalogue.tables import releases
from entrepot.core.manifests.lives import Lives
from entrepot.core.manifests.reading import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from entrepot.core.manifests.tables import manifest_keys, manifest_roles
from entrepot.db import Tx


def list_due(tx: Tx, *, lives: Lives, take: int, now: datetime) -> list[int]:
    """Products whose snapshot or timestamp has less than half of its life left.

    Of those whose newest root names a key of the hub: what came in a bundle was signed by
    another hub, also where a mirror's key waits for the publisher to name it.
    """
    roles = manifest_roles.c
    due = ((roles.role == TIMESTAMP) & (roles.expires_at < now + lives.timestamp / 2)) | (
        (roles.role == SNAPSHOT) & (roles.expires_at < now + lives.snapshot / 2)
    )
    newer = manifest_roles.alias()
    newest_only = ~(
        select(newer.c.version)
        .where(
            newer.c.product_id == roles.product_id,
            newer.c.role == roles.role,
            newer.c.version > roles.version,
        )
        .exists()
    )
    root = manifest_roles.alias()
    held = (
        select(manifest_keys.c.key_id)
        .where(
            manifest_keys.c.product_id == roles.product_id,
            manifest_keys.c.role == "online",
            select(root.c.document)
            .where(root.c.product_id == roles.product_id, root.c.role == ROOT)
            .order_by(root.c.version.desc())
            .limit(1)
            .scalar_subquery()
            .contains(manifest_keys.c.key_id),  # hexadecimal: it holds no wildcard
        )
        .exists()
    )
    query = select(roles.product_id).distinct().where(due, newest_only, held)
    return list(tx.execute(query.order_by(roles.product_id).limit(take)).scalars())


def list_to_sign(tx: Tx, *, lives: Lives, now: datetime) -> list[int]:
    """Products that the hub signs by itself, where a release changed since it last did.

    Or where what was signed has less than a quarter of its life left.
    """
    signed = (
        select(
            manifest_roles.c.product_id,
            func.max(manifest_roles.c.created_at).label("signed_at"),
            func.max(manifest_roles.c.expires_at).label("expires_at"),
        )
        .where(manifest_roles.c.role == TARGETS)
        .group_by(manifest_roles.c.product_id)
        .subquery()
    )
    changed = (
        select(releases.c.id)
        .where(
            releases.c.product_id == manifest_keys.c.product_id,
            releases.c.state != DRAFT,
            (signed.c.signed_at.is_(None)) | (releases.c.changed_at >= signed.c.signed_at),
        )
        .exists()
    )
    query = (
        select(manifest_keys.c.product_id)
        .distinct()
        .join(signed, signed.c.product_id == manifest_keys.c.product_id, isouter=True)
        .where(
            manifest_keys.c.role == TARGETS,
            changed | (signed.c.expires_at < now + lives.targets / 4),
        )
    )
    return list(tx.execute(query.order_by(manifest_keys.c.product_id)).scalars())
