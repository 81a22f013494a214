"""What a folder should hold that `download` filled: by its notes, and by what publishers signed.

The notes lie in the folder and repeat what the hub said; whoever can write there can change them.
So a file that a kept manifest names is held against that, whatever is noted of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from entrepot.client.download_notes import Note
from entrepot.client.errors import Corrupt, Untrusted
from entrepot.client.manifests import Manifest
from entrepot.client.names import distinct_name, safe_name
from entrepot.client.stop import Stop
from entrepot.client.verifying import Should, Verified, of_downloads
from entrepot.client.zips import ZipCheck

_SAME_NAMES_MAX = 100


def of_notes(
    folder: Path, notes: Mapping[str, Note], manifests: Sequence[Manifest]
) -> list[Should]:
    """Each file that was noted or signed, with the size and digest that it must have.

    A signed one that nobody noted counts only where it is there. Raises Untrusted where a note
    says of a file what was signed of another.
    """
    by_release = {manifest.release_id: manifest for manifest in manifests}
    wanted = {one.path: one for one in of_downloads(folder, manifests)}
    for name, note in notes.items():
        if name not in wanted:
            wanted[name] = _should(name, note, by_release.get(note.release_id))
    return list(wanted.values())


def _should(name: str, note: Note, manifest: Manifest | None) -> Should:
    size, sha256 = note.size, note.sha256
    signed = manifest is not None and bool(note.artifact_id)
    if manifest is not None and signed:
        file = manifest.file(note.artifact_id)
        size, sha256 = file.size, file.sha256
        if name not in _names(file.name, note.artifact_id):
            raise Untrusted(
                f"What is noted for {name} was signed as {manifest.product} "
                f"{manifest.release_name}: {file.name}.",
                remedy="Use nothing of this folder; download into another.",
                reason="manifest-file-differs",
            )
    return Should(
        name,
        note.release_id,
        note.artifact_id,
        size,
        sha256,
        signed,
        told="download",
        product=note.product,
    )


def _names(given: str, artifact_id: str) -> set[str]:
    """What `plan_names` calls a file of that name, where others of the release have it too."""
    plain = safe_name(given)
    name = distinct_name(plain, artifact_id[:8])
    found = {plain, name}
    for count in range(2, _SAME_NAMES_MAX):
        name = distinct_name(name, str(count))
        found.add(name)
    return found


def look_into_zips(
    folder: Path,
    found: Iterable[Verified],
    notes: Mapping[str, Note],
    manifests: Sequence[Manifest],
) -> list[Verified]:
    """The same where each ZIP of a signed release was held against what is signed of its files."""
    by_release = {manifest.release_id: manifest for manifest in manifests}
    looked = []
    for one in found:
        note = notes.get(one.path)
        manifest = by_release.get(note.release_id) if note and not note.artifact_id else None
        if manifest is None or one.standing != "ok":
            looked.append(one)
            continue
        files = [
            {"fileName": file.name, "fileSize": file.size, "sha256": file.sha256}
            for file in manifest.files
        ]
        try:
            ZipCheck(files, Stop())(folder / one.path)
            looked.append(Verified(one.path, "ok", found=one.found, signed=True, told=one.told))
        except Corrupt as error:
            looked.append(
                Verified(one.path, "changed", error.message, one.found, signed=True, told=one.told)
            )
    return looked
