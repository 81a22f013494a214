"""Making a lock file from what the hub offers, and installing exactly what one pins."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from entrepot.client.answers import JsonObject
from entrepot.client.choices import Choice, Chosen, choose, files_of, takes_product
from entrepot.client.client import Client
from entrepot.client.errors import (
    ClientError,
    Corrupt,
    Denied,
    InvalidUse,
    NotFound,
    Untrusted,
)
from entrepot.client.kept_answers import Answers
from entrepot.client.lock_files import LockedRelease, LockFile, differences, lock_of
from entrepot.client.manifests import Manifest
from entrepot.client.mirror_state import MirrorState, look_at
from entrepot.client.offers import (
    OfferedFile,
    OfferedRelease,
    ask_for_offers,
    release_of,
)
from entrepot.client.permissions import explain_search
from entrepot.client.sync_plans import Plan, plan_sync
from entrepot.client.syncing import Prepared, Proofs
from entrepot.client.verifying import of_lock, verify_folder

DIFFERENCES_SHOWN_MAX = 20


def make_lock(
    client: Client,
    choices: Sequence[Choice],
    proofs: Proofs,
    *,
    before: LockFile | None = None,
    jobs: int = 3,
) -> LockFile:
    """What pins the releases that the choices mean now, with their signed manifests.

    Nothing is left out: raises NotFound for a choice that means nothing, and what kept a list
    from being had.
    """
    offers = ask_for_offers(client, takes_product(choices), jobs=jobs)
    chosen, empty = choose(choices, offers.releases)
    prepared = Prepared(Plan(), offers, tuple(empty))
    for _, error in prepared.refusals():
        raise error
    manifests: dict[str, str] = {}
    for one in chosen:
        manifest = proofs.of(one.release.product, one.release.id)
        if manifest is not None:
            manifests[one.release.id] = hashlib.sha256(manifest.document).hexdigest()
    return lock_of(client.api.base.url, chosen, manifests=manifests, before=before)


@dataclass(frozen=True, slots=True)
class PreparedLock:
    """What an install by a lock file is going to do, and what is told of it."""

    prepared: Prepared
    notices: tuple[str, ...]


def prepare_locked(
    client: Client,
    folder: Path,
    lock: LockFile,
    state: MirrorState,
    proofs: Proofs,
    *,
    jobs: int = 3,
    check: bool = False,
    answers: Answers | None = None,
) -> PreparedLock:
    """Hold what the hub offers against the lock; nothing is written unless all of it agrees.

    Raises Corrupt that lists every difference, and Denied or NotFound where a pinned release can
    no longer be had and is not whole in the folder already.
    """
    if lock.hub != client.api.base.url:
        raise InvalidUse(
            f"The lock file is for {lock.hub}, not for {client.api.base.url}.",
            remedy="Name its hub with --url, or write a lock file for this one.",
        )
    products = lock.products()
    offers = ask_for_offers(client, products.__contains__, jobs=jobs, answers=answers)
    offered = {(one.product, one.id): one for one in offers.releases}
    differing: list[str] = []
    chosen: list[Chosen] = []
    notices: list[str] = []
    for locked in lock.releases:
        release = offered.get((locked.product, locked.id))
        if release is None:
            error = next(
                (
                    one.error
                    for one in offers.withheld
                    if one.product == locked.product and not one.ended
                ),
                None,
            )
            notices.append(_settled(client, folder, locked, error))
            continue
        differing += differences(locked, release, files_of(release.files, locked.requested))
        if locked.manifest:
            signed = proofs.of(locked.product, locked.id)
            differing += _manifest_differences(locked, signed)
        chosen.append(_chosen(locked, release))
    if differing:
        raise not_as_pinned(differing, products)
    pinned = {file.path for release in lock.releases for file in release.files}
    places = {
        (one.product, file.artifact_id): file.path for one in lock.releases for file in one.files
    }
    plan = plan_sync(
        chosen,
        offers.releases,
        offers.withheld,
        products.__contains__,
        state.files,
        lambda path: look_at(folder / path),
        places=places,
        check=check,
    )
    leftovers = tuple(
        replace(one, fate="unwanted") for one in plan.leftovers if one.path not in pinned
    )
    # Whatever could not be listed: all that is pinned is offered, or settled.
    offers = replace(offers, withheld=())
    return PreparedLock(Prepared(replace(plan, leftovers=leftovers), offers), tuple(notices))


def not_as_pinned(differing: Sequence[str], products: Collection[str]) -> Corrupt:
    """The error that lists what the hub offers otherwise than it was pinned.

    `products` are the codes of those that it can be about.
    """
    code = next(iter(products)) if len(products) == 1 else "CODE"
    shown = differing[:DIFFERENCES_SHOWN_MAX]
    more = len(differing) - len(shown)
    return Corrupt(
        "The hub does not offer what is pinned:\n"
        + "\n".join(f"  {each}" for each in shown)
        + (f"\n  and {more} more" if more else ""),
        remedy="Nothing was fetched. Ask the publisher why; to pin what is offered now: "
        f"entrepot lock --update {code}",
        reason="lock-differs",
    )


def pinned_release(lock: LockFile, product: str, version: str) -> LockedRelease:
    """The one release of a product that the lock pins, by name or id where it pins several.

    Raises InvalidUse that says what there is.
    """
    of_product = [one for one in lock.releases if one.product == product]
    found = [one for one in of_product if not version or version in (one.name, one.id)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{one.product}@{one.name}" for one in of_product)
    pin = f"in it: entrepot lock {product[:80]}@VERSION"
    raise InvalidUse(
        f"The lock file does not say which release of {product[:80]!r}: it pins {names or 'none'}.",
        remedy=f"Give one of these, or pin another {pin}" if names else f"Pin one {pin}",
    )


def require_pinned(
    locked: LockedRelease, release: JsonObject, manifest: Manifest | None
) -> list[JsonObject]:
    """The pinned artifacts of a release as the hub lists it; `manifest` is what is signed of it.

    Raises Corrupt that lists every difference, Untrusted where it was signed and is not any more.
    """
    offered = release_of(release, locked.product, ())
    found = differences(locked, offered, files_of(offered.files, locked.requested))
    found += _manifest_differences(locked, manifest)
    if found:
        raise not_as_pinned(found, (locked.product,))
    return [dict(file.artifact) for file in _chosen(locked, offered).files]


def _chosen(locked: LockedRelease, release: OfferedRelease) -> Chosen:
    pinned = {file.artifact_id for file in locked.files}
    files: tuple[OfferedFile, ...] = tuple(
        file for file in release.files if file.artifact_id in pinned
    )
    return Chosen(release, files, locked.requested)


def _manifest_differences(locked: LockedRelease, manifest: Manifest | None) -> list[str]:
    if not locked.manifest:
        return []
    if manifest is None:
        raise Untrusted(
            f"{locked.product} {locked.name} was pinned with a signed manifest, and has none now.",
            remedy="Nothing was fetched. Ask the publisher why; to pin what is offered now: "
            f"entrepot lock --update {locked.product}",
            reason="manifest-missing",
        )
    found = hashlib.sha256(manifest.document).hexdigest()
    if found == locked.manifest:
        return []
    label = f"{locked.product} {locked.name}"
    return [f"{label}: its signed manifest is {found}, pinned is {locked.manifest}"]


def _settled(
    client: Client, folder: Path, locked: LockedRelease, withheld: ClientError | None
) -> str:
    """What is told of a release that is not offered, where the folder has it whole already."""
    error = withheld or _why_not(client, locked)
    only = LockFile("", (locked,))
    there = folder.is_dir() and all(
        each.standing == "ok"
        for each in verify_folder(folder, of_lock(only), stop=client.stop)
        if each.standing != "unknown"
    )
    if not there:
        raise error
    return f"{error.message} Its files are here, whole and as they were pinned."


def _why_not(client: Client, locked: LockedRelease) -> ClientError:
    label = f"{locked.product} {locked.name}"
    try:
        found, _ = explain_search(client, {"release.id": locked.id})
    except NotFound:
        return NotFound(
            f"{label} ({locked.id}) is pinned, and is not there or not yours.",
            remedy="Pin what is offered now: entrepot lock --update " + locked.product,
        )
    failed = [
        check
        for one in found
        for check in one.get("checks", [])
        if isinstance(check, dict) and check.get("state") == "failed"
    ]
    first = failed[0] if failed else {}
    return Denied(
        f"{label} is pinned, and cannot be had: {first.get('message') or 'the hub says not why'}",
        remedy=str(first.get("remedy") or ""),
        reason=str(first.get("reason") or ""),
    )
