"""That signatures speak of the files that lie in a folder, and of all that they should.

Whoever can write to a folder can also take away the manifests that are kept in it, or say in its
notes that an old signed file is the one at a new path. What this machine trusts is out of reach.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence

from entrepot.client.errors import Untrusted
from entrepot.client.manifests import Manifest
from entrepot.client.names import distinct_name, name_key, safe_name
from entrepot.client.verifying import Should

_SAME_NAMES_MAX = 100  # files of one name in a folder that are told apart by a number
_SHOWN_MAX = 5


def check_places(wanted: Iterable[Should], manifests: Iterable[Manifest]) -> None:
    """That each signed file lies at the place (CODE/RELEASE/FILE) that it was signed for.

    Raises Untrusted.
    """
    by_release = {manifest.release_id: manifest for manifest in manifests}
    for one in wanted:
        manifest = by_release.get(one.release_id)
        if manifest is not None and not _fits(one, manifest):
            name = manifest.file(one.artifact_id).name
            raise Untrusted(
                f"What is noted for {one.path} was signed as "
                f"{manifest.product} {manifest.release_name}: {name}.",
                remedy="Use nothing of this folder; make it anew: entrepot sync",
                reason="manifest-file-differs",
            )


def require_signed(
    wanted: Iterable[Should], manifests: Iterable[Manifest], products: Collection[str] | None
) -> None:
    """That a manifest speaks for every file of these products, or of all where that is None.

    Raises Untrusted.
    """
    signed = {manifest.release_id for manifest in manifests}
    folders = None if products is None else {name_key(safe_name(code)) for code in products}
    bare = [
        one.path
        for one in wanted
        if one.release_id not in signed and (folders is None or _code_key(one) in folders)
    ]
    if bare:
        more = f" and {len(bare) - _SHOWN_MAX} more" if len(bare) > _SHOWN_MAX else ""
        raise Untrusted(
            "Files are here without their signed manifests, of publishers who sign: "
            f"{', '.join(bare[:_SHOWN_MAX])}{more}.",
            remedy="Fetch what proves them: run the same sync with --check, or the same download.",
            reason="manifest-missing",
        )


def _code_key(one: Should) -> str:
    return name_key(safe_name(one.product or one.path.split("/")[0]))


def check_agreement(pinned: Sequence[Should], signed: Sequence[Should]) -> None:
    """That what a lock file pins is what was signed. Raises Untrusted."""
    for one, other in zip(pinned, signed, strict=True):
        if (one.size, one.sha256) != (other.size, other.sha256):
            raise Untrusted(
                f"The lock file pins {one.path} with {one.size} bytes and SHA-256 {one.sha256}, "
                f"signed are {other.size} bytes and {other.sha256}.",
                remedy="Ask the publisher why.",
                reason="manifest-file-differs",
            )


def _fits(one: Should, manifest: Manifest) -> bool:
    wanted = (
        (manifest.product, hashlib.sha256(manifest.product.encode()).hexdigest()[:8]),
        (manifest.release_name, one.release_id[:8]),
        (manifest.file(one.artifact_id).name, one.artifact_id[:8]),
    )
    found = one.path.split("/")
    return all(_is_name_of(part, *told) for part, told in zip(found, wanted, strict=True))


def _is_name_of(found: str, name: str, mark: str) -> bool:
    """Whether `layouts` gives that name to it, where others may have had its name before."""
    plain = safe_name(name)
    marks = (mark, *(f"{mark}-{count}" for count in range(2, _SAME_NAMES_MAX)))
    return found == plain or any(found == distinct_name(plain, each) for each in marks)
