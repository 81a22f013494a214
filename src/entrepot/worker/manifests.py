"""What a worker signs: for products whose keys the hub keeps, and the hub's own word.

What signs is loaded only where there is something to sign.
"""

from entrepot.assembly import Hub
from entrepot.core.catalogue import find_product

_WORKER = "worker"


def renew_product(hub: Hub, product_id: int) -> None:
    """A fresh timestamp for a product, and a snapshot where that is due."""
    from entrepot.core.manifests.online import renew

    lives = hub.policy.manifest_lives
    renew(hub.database, hub.keys.box, product_id, lives=lives, now=hub.now())


def sign_by_kept_keys(hub: Hub, product_id: int) -> None:
    """Sign the releases of a product by the targets keys that the hub keeps for it.

    Conflict where they are fewer than the root asks for.
    """
    from entrepot.core.manifests.online import kept_signers

    with hub.database.read() as tx:
        product = find_product(tx, product_id).code
        signers = kept_signers(tx, hub.keys.box, product_id, "targets")
    hub.sign(product, signers, actor=_WORKER)
