"""What a hub lists of a release, held against what its publisher signed."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrepot.client.errors import Untrusted
from entrepot.client.manifests import Manifest
from entrepot.client.verification import Expected, expected_of

_SHOWN_MAX = 5


def attest(
    manifest: Manifest,
    artifacts: Sequence[Mapping[str, Any]],
    *,
    whole: bool = True,
    release: Mapping[str, Any] | None = None,
) -> dict[str, Expected]:
    """What each artifact must be, by its id, as signed: size, digest and digests of its chunks.

    With `whole` the artifacts are all that the hub lists of the release. `release` is what the
    hub calls it: an old release is not taken for a new one. Raises Untrusted where one is listed
    otherwise than it was signed, or one that was signed is not listed.
    """
    _check_name(manifest, release or {})
    expected = {}
    for artifact in artifacts:
        if not isinstance(artifact, Mapping):
            raise _refused(manifest, "lists what is no file")
        identity, given = str(artifact.get("id", "")), artifact.get("fileName")
        signed, told = manifest.file(identity), expected_of(artifact)
        digest = told.digest if told.algorithm == "sha256" else signed.sha256
        if (given, told.size, digest) != (signed.name, signed.size, signed.sha256):
            raise _refused(manifest, f"lists {given!r} otherwise than it was signed")
        expected[identity] = signed.expected()
    hidden = [each.name for each in manifest.files if each.artifact_id not in expected]
    if whole and hidden:
        raise _refused(manifest, f"does not list {', '.join(hidden[:_SHOWN_MAX])}, signed with it")
    return expected


def _check_name(manifest: Manifest, release: Mapping[str, Any]) -> None:
    signed = {"name": manifest.release_name, **manifest.version}
    for key, told in release.items():
        if key in signed and told != signed[key]:
            raise _refused(manifest, f"says {told!r:.80} as {key}, which was signed otherwise")


def _refused(manifest: Manifest, what: str) -> Untrusted:
    return Untrusted(
        f"Of {manifest.product} {manifest.release_name} the hub {what}.",
        remedy="Fetch nothing of it until the publisher has told you why.",
        reason="manifest-file-differs",
    )
