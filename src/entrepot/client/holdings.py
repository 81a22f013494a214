"""Which product an entitlement was for when its signed release was first fetched, by its number.

Whoever names a product by an entitlement's number is told by the hub which product that is. A hub
in wrong hands could name one that nobody signs; of a number that was once used for a signed
product, it cannot.
"""

from pathlib import Path

from entrepot.client.errors import Untrusted
from entrepot.client.private_files import locked, read_private, write_private
from entrepot.client.trust import Trust

NUMBERS_MAX = 2_000  # for a hub; the oldest are forgotten


def hold_entitlement(trust: Trust, number: str, product: str) -> None:
    """That the entitlement is for the product that it was for. Raises Untrusted."""
    before = read_private(_file(trust)).get(number)
    # What is no longer trusted by a pin binds nobody either (`entrepot trust remove`).
    if before in (None, product) or trust.pin_of(str(before)) is None:
        return
    raise Untrusted(
        f"Entitlement {number} was for the signed product {before}, and the hub says now that it "
        f"is for {product}.",
        remedy=f"Name the product that you mean by its code ({before}, {product}), or ask the "
        f"hub's operator. To trust {before} as if never seen: entrepot trust remove {before}",
        reason="entitlement-product-changed",
    )


def note_entitlement(trust: Trust, number: str, product: str) -> None:
    """Remember that a signed release of the product came by this entitlement."""
    path = _file(trust)
    if read_private(path).get(number) == product:
        return
    with locked(path):
        held = read_private(path)
        held.pop(number, None)
        write_private(path, dict([*held.items(), (number, product)][-NUMBERS_MAX:]))


def _file(trust: Trust) -> Path:
    return trust.hub_folder / "entitlements.json"
