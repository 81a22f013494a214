"""Metadata and manifests as the door gives them out: rows, byte for byte as they were signed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, func, select

from entrepot.core.catalogue.tables import releases
from entrepot.core.manifests.tables import manifest_roles, manifests
from entrepot.db import Tx, take_turns
from entrepot.errors import NotFound

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
VERSION_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SignedState:
    """What there is for a product: newest versions, when each part expires."""

    versions: dict[str, int]
    expires: dict[str, datetime]

    @property
    def complete(self) -> bool:
        """Whether clients can verify anything: a root alone promises nothing yet."""
        return TIMESTAMP in self.versions


def find_metadata(tx: Tx, product_id: int, role: str, version: int | None) -> str:
    """The metadata of this version, the newest for None; NotFound before the first signing."""
    if version is not None and not 1 <= version <= VERSION_MAX:
        raise NotFound
    stamped = manifest_roles.alias()
    complete = exists().where(
        stamped.c.product_id == product_id,
        stamped.c.role == TIMESTAMP,
    )
    query = select(manifest_roles.c.document).where(
        manifest_roles.c.product_id == product_id, manifest_roles.c.role == role, complete
    )
    if version is not None:
        query = query.where(manifest_roles.c.version == version)
    query = query.order_by(manifest_roles.c.version.desc()).limit(1)
    document = tx.execute(query).scalar_one_or_none()
    if document is None:
        raise NotFound
    return str(document)


def find_manifest(tx: Tx, product_id: int, release_id: str, sha256: str) -> str:
    """The manifest of a release of this product with this digest; NotFound where there is none."""
    query = (
        select(manifests.c.document)
        .join(releases, releases.c.id == manifests.c.release_id)
        .where(
            releases.c.product_id == product_id,
            manifests.c.release_id == release_id,
            manifests.c.sha256 == sha256,
        )
    )
    document = tx.execute(query).scalar_one_or_none()
    if document is None:
        raise NotFound
    return str(document)


def newest(tx: Tx, product_id: int, role: str) -> Row[Any] | None:
    """The row of the newest version of a role."""
    query = (
        select(manifest_roles)
        .where(manifest_roles.c.product_id == product_id, manifest_roles.c.role == role)
        .order_by(manifest_roles.c.version.desc())
        .limit(1)
    )
    return tx.execute(query).one_or_none()


def newest_versions(tx: Tx, product_id: int) -> dict[str, int]:
    """The newest version of each role that there is; another one once anything was signed."""
    query = (
        select(manifest_roles.c.role, func.max(manifest_roles.c.version))
        .where(manifest_roles.c.product_id == product_id)
        .group_by(manifest_roles.c.role)
    )
    return {role: int(version) for role, version in tx.execute(query)}


def take_turn(tx: Tx, product_id: int) -> None:
    """Wait for whoever else signs for this product: each version is one more than the last."""
    take_turns(tx, f"manifests of {product_id}")


def signed_state(tx: Tx, product_id: int) -> SignedState:
    """The newest version of each role and when it expires."""
    each = (
        select(
            manifest_roles.c.role,
            func.max(manifest_roles.c.version).label("version"),
        )
        .where(manifest_roles.c.product_id == product_id)
        .group_by(manifest_roles.c.role)
        .subquery()
    )
    query = select(*manifest_roles.c["role", "version", "expires_at"]).join(
        each,
        (each.c.role == manifest_roles.c.role) & (each.c.version == manifest_roles.c.version),
    )
    rows = tx.execute(query.where(manifest_roles.c.product_id == product_id)).all()
    return SignedState(
        {row.role: row.version for row in rows}, {row.role: row.expires_at for row in rows}
    )


def list_signed_products(tx: Tx) -> list[Row[Any]]:
    """Each product whose releases are signed: `product_id`, and when root and targets expire."""
    query = (
        select(*manifest_roles.c["product_id", "role", "version", "expires_at"])
        .where(manifest_roles.c.role.in_((ROOT, TARGETS)))
        .order_by(manifest_roles.c.product_id, manifest_roles.c.role, manifest_roles.c.version)
    )
    newest_of = {(row.product_id, row.role): row for row in tx.execute(query)}
    return list(newest_of.values())
