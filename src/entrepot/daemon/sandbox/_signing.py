"""Signatures on releases of the sample world.

Its publisher is made up, and so are the keys: the root key signs once and is dropped, the
targets key is left with the hub, which goes on signing by itself. A real publisher does neither
(docs/howto/sign-releases.md).
"""

from securesystemslib.signer import CryptoSigner

from entrepot.assembly import Hub
from entrepot.core.catalogue import find_product
from entrepot.core.manifests.online import keep_key
from entrepot.core.manifests.papers import sign_paper
from entrepot.core.manifests.roots import RootSpec, install_root, prepare_root
from entrepot.core.manifests.signing import sign_releases

_ACTOR = "operator"


def sign_sample(hub: Hub, code: str) -> None:
    """Give the product a root, and sign what it has released."""
    root, targets = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    lives, box, now = hub.policy.manifest_lives, hub.keys.box, hub.now
    with hub.database.write() as tx:
        keys = RootSpec([root.public_key], [targets.public_key], lives=lives)
        paper = prepare_root(tx, box, code, keys, now=now())
        sign_paper(paper, [root])
        install_root(tx, box, paper, lives=lives, actor=_ACTOR, now=now())
        keep_key(tx, box, find_product(tx, code).id, "targets", targets, now=now())
    sign_releases(
        hub.database,
        hub.blobs,
        box,
        code,
        (),
        [targets],
        publisher="Harbour (sample)",
        lives=lives,
        actor=_ACTOR,
        now=now,
    )
