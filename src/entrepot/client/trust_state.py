"""What was seen last of a product whose keys are trusted: versions, and until when they count."""

from typing import Any

from entrepot.client.errors import Untrusted
from entrepot.client.private_files import read_plain
from entrepot.client.proofs import SIGNED_AT
from entrepot.client.trust import Trust

_BYTES_MAX = 32 << 20
_ROLES = ("root", "targets", "snapshot", "timestamp")


def seen_state(trust: Trust, product: str) -> dict[str, Any]:
    """Of each role its version and expiry, the keys of the root, and when it was current last.

    None for what was not seen yet. Raises Untrusted for damaged files.
    """
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata

    folder = trust.folder(product)
    told: dict[str, Any] = {}
    for role in _ROLES:
        path = folder / f"{role}.json"
        if not path.exists():
            told |= {f"{role}_version": None, f"{role}_until": None}
            continue
        try:
            signed = Metadata[Any].from_bytes(read_plain(path, _BYTES_MAX)).signed
        except RepositoryError as error:
            raise Untrusted(
                f"{path} is damaged ({error}).",
                remedy=f"Forget it and begin anew: entrepot trust remove {product}",
                reason="manifest-invalid",
            ) from error
        told[f"{role}_version"] = signed.version
        told[f"{role}_until"] = signed.expires.isoformat()
        if role == "root":
            told["root_keys"] = signed.roles["root"].keyids
            told["targets_keys"] = signed.roles["targets"].keyids
        if role == "timestamp":
            told["current_as_of"] = signed.unrecognized_fields.get(SIGNED_AT)
    return told
