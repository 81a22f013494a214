"""From what a caller names (a file, a release, a product) to the whole chains that end in it.

A chain is the predicate's: what is not in one is not there, whatever link is broken.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, select

from entrepot.core.catalogue.tables import artifacts, releases
from entrepot.core.entitlements.predicate import (
    ORGANISATION,
    Reference,
    entitled,
    entitlement_source,
    release_in_chain,
)
from entrepot.core.entitlements.tables import entitlements
from entrepot.db import Prepared, Tx
from entrepot.db.schema import Number
from entrepot.errors import NotFound
from entrepot.kit.ids import parse_number, parse_uuid
from entrepot.kit.text import is_storable

CHAINS_MAX = 100


@dataclass(frozen=True, slots=True)
class ChainFilter:
    """Conditions that all hold. With a product alone its newest release is meant.

    `product_code` may also be the product's number.
    """

    artifact_id: str | None = None
    release_id: str | None = None
    product_code: str | None = None
    release_name: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """One artifact by one entitlement of the organisation's."""

    reference: Reference
    release_id: str
    artifact_id: str


class _By(NamedTuple):
    """Which conditions a search has; each combination is a statement of its own."""

    artifact: bool
    release: bool
    product_code: bool
    product_id: bool
    name: bool

    def conditions(self) -> list[ColumnElement[bool]]:
        """What holds for the artifacts wanted."""
        columns = (
            (self.artifact, "artifact_id", artifacts.c.id),
            (self.release, "release_id", releases.c.id),
            (self.product_code, "product_code", entitled.c.code),
            (self.product_id, "product_id", entitled.c.id),
            (self.name, "release_name", releases.c.name),
        )
        return [
            column == bindparam(name, type_=column.type)
            for wanted, name, column in columns
            if wanted
        ]


@cache
def _chains(by: _By, *, child: bool) -> Prepared:
    return Prepared(
        select(
            entitlements.c.id.label("entitlement_id"),
            entitled.c.id.label("product_id"),
            releases.c.id.label("release_id"),
            releases.c.available_at,
            artifacts.c.id.label("artifact_id"),
            artifacts.c.position,
            func.count().over().label("total"),
        )
        .select_from(
            entitlement_source(child=child)
            .join(releases, release_in_chain)
            .join(artifacts, artifacts.c.release_id == releases.c.id)
        )
        .where(entitlements.c.organisation_id == ORGANISATION, *by.conditions())
        .order_by(
            releases.c.available_at.desc(), releases.c.id, artifacts.c.position, entitlements.c.id
        )
        .limit(bindparam("take", type_=Number))
    )


def find_chains(
    tx: Tx, organisation_id: int, wanted: ChainFilter, *, now: datetime
) -> tuple[list[Chain], int]:
    """The first 100 chains, newest release first, and how many there are in all.

    NotFound where there is none. ValueError: nothing is asked for.
    """
    if not (wanted.artifact_id or wanted.release_id or wanted.product_code):
        raise ValueError("a search for chains names an artifact, a release or a product")
    if wanted.product_code and not (wanted.artifact_id or wanted.release_id or wanted.release_name):
        newest, _ = _find(tx, organisation_id, wanted, 1, now)
        wanted = replace(wanted, release_id=newest[0].release_id)
    return _find(tx, organisation_id, wanted, CHAINS_MAX, now)


def _find(
    tx: Tx, organisation_id: int, wanted: ChainFilter, take: int, now: datetime
) -> tuple[list[Chain], int]:
    product_id = parse_number(wanted.product_code or "")
    bound: dict[str, Any] = {
        "now": now,
        "organisation_id": organisation_id,
        "artifact_id": parse_uuid(wanted.artifact_id or ""),
        "release_id": parse_uuid(wanted.release_id or ""),
        "product_code": wanted.product_code,
        "product_id": product_id,
        "release_name": wanted.release_name,
        "take": take,
    }
    if not all(is_storable(value) for value in bound.values() if isinstance(value, str)):
        raise NotFound
    by = _By(
        bool(wanted.artifact_id),
        bool(wanted.release_id),
        bool(wanted.product_code) and product_id is None,
        product_id is not None,
        bool(wanted.release_name),
    )
    stored = _chains(by, child=False).all(tx, bound)
    inherited = _chains(by, child=True).all(tx, bound)
    if not stored and not inherited:
        raise NotFound
    total = sum(rows[0].total for rows in (stored, inherited) if rows)
    every = [(row, None) for row in stored] + [(row, row.product_id) for row in inherited]
    every.sort(key=lambda each: each[0].entitlement_id)
    every.sort(key=lambda each: (each[0].release_id, each[0].position))
    every.sort(key=lambda each: each[0].available_at, reverse=True)
    found = [
        Chain(Reference(row.entitlement_id, child), row.release_id, row.artifact_id)
        for row, child in every[:take]
    ]
    return found, total
