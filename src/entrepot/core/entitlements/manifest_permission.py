"""Who may read the signed metadata of a product, and the manifests of its releases.

The metadata is for whoever has, or had, an entitlement to the product: it names releases by
random ids and digests alone, and whoever holds a file must be able to verify it. A manifest,
which names files, is for whoever may see its release, by the same statement that lists releases.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select

from entrepot.core.accounts import Principal
from entrepot.core.catalogue.tables import products
from entrepot.core.entitlements.asset_permission import (
    bind_caller,
    products_with_any_right,
    require_caller,
)
from entrepot.core.entitlements.chains import ChainFilter, find_chains
from entrepot.core.entitlements.permitting import permitted_release
from entrepot.db import Prepared, Tx
from entrepot.errors import Denied, NotFound
from entrepot.kit.ids import parse_uuid
from entrepot.kit.text import is_storable

_PRODUCT = Prepared(
    select(products.c.id).where(
        products.c.code == bindparam("code", type_=products.c.code.type),
    )
)


def permitted_metadata(
    tx: Tx, who: Principal, code: str, *, embargoed: Sequence[str] = (), now: datetime
) -> int:
    """The number of the product with this code; NotFound, or Denied where the caller may have
    nothing at all now (blocked, under embargo)."""
    row = _PRODUCT.one_or_none(tx, {"code": code if is_storable(code) else ""})
    # Asked in any case: what is not there must not be answered sooner than what is not theirs.
    rights = products_with_any_right(tx, who.organisation_id)
    if row is None or row.id not in rights:
        raise NotFound
    bound = bind_caller(
        who.organisation_id, who.user_id, who.api_client_id, who.country, embargoed, now
    )
    require_caller(tx, bound)
    return int(row.id)


def permitted_manifest(
    tx: Tx,
    who: Principal,
    code: str,
    release_id: str,
    *,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> int:
    """The number of the product whose release this is, for those who may see the release.

    NotFound, or Denied as the entitlement that came last says.
    """
    product_id = permitted_metadata(tx, who, code, embargoed=embargoed, now=now)
    if parse_uuid(release_id) is None:
        raise NotFound
    wanted = ChainFilter(release_id=release_id, product_code=code)
    chains, _ = find_chains(tx, who.organisation_id, wanted, now=now)
    refused: Denied | None = None
    for reference in dict.fromkeys(chain.reference for chain in chains):
        try:
            permitted_release(tx, who, str(reference.number), release_id, now=now)
        except Denied as error:
            refused = error
        else:
            return product_id
    raise refused or NotFound
