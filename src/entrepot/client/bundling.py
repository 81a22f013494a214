"""Making a bundle: releases with all that another hub needs, in one file, verified on the way.

Straight into the file, in its order and at its place there, so that it takes no more room than
it has bytes. A part that was left behind is looked through and gone on with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from entrepot.client.answers import JsonObject
from entrepot.client.attesting import attest
from entrepot.client.bundle_part import Part, right_bytes
from entrepot.client.bundles import (
    END,
    Member,
    bundle_length,
    encode_index,
    file_member,
    index_member,
    licence_member,
    metadata_member,
)
from entrepot.client.client import Client
from entrepot.client.downloader import Watcher
from entrepot.client.errors import BadAnswer, Corrupt, NotFound
from entrepot.client.licences import Licence, Licences
from entrepot.client.manifests import Manifest
from entrepot.client.old_parts import OldParts
from entrepot.client.partial import check_room, local_error, make_folder
from entrepot.client.rates import RateLimit
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop
from entrepot.client.streaming import ByteStream
from entrepot.client.verification import expected_of

_RELEASE_FIELDS = ("revision", "patch", "majorVersion", "minorVersion", "quality", "type")
_ARTIFACT_FIELDS = ("name", "description", "type", "repository")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A release for the bundle, with the entitlement that gives it, and its signed manifest."""

    entitlement: JsonObject
    release: JsonObject
    licence: Licence | None
    manifest: Manifest | None = None

    @property
    def entitlement_id(self) -> str:
        """The number that links are asked for by."""
        return str(self.entitlement.get("id", ""))

    @property
    def product(self) -> str:
        """The code of the product. Raises BadAnswer."""
        product = self.entitlement.get("product")
        if not isinstance(product, dict) or not product.get("id"):
            raise BadAnswer("The hub's answer names no product.")
        return str(product["id"])

    @property
    def artifacts(self) -> list[JsonObject]:
        """The files of the release. Raises BadAnswer where there are none."""
        found = self.release.get("artifacts")
        if not isinstance(found, list) or not found or not all(isinstance(a, dict) for a in found):
            raise BadAnswer(f"The hub lists no files of release {self.release.get('id')}.")
        return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A member that has to be fetched, by any artifact that has these bytes."""

    chosen: Chosen
    artifact: JsonObject


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bundle will hold, in its order: content that is known, and what is to be fetched.

    `releases` is how many there are in it.
    """

    members: tuple[Member, ...]
    known: Mapping[str, bytes]
    wanted: Mapping[str, _Wanted]
    releases: int

    @property
    def size(self) -> int:
        """Of the whole bundle, in bytes."""
        return bundle_length(self.members)

    @property
    def mark(self) -> str:
        """What tells a part of this bundle from a part of another."""
        return self.members[0].sha256[:16]


def choose(
    client: Client, entitlement: JsonObject, release: JsonObject, manifest: Manifest | None = None
) -> Chosen:
    """The release with the licence that holds for it."""
    try:
        licence = Licences(client.api).required(str(entitlement.get("id", "")))
    except NotFound:
        licence = None
    return Chosen(entitlement, release, licence, manifest)


def plan_bundle(chosen: Sequence[Chosen], *, source: str) -> Plan:
    """What the bundle of these releases holds. Raises BadAnswer where a file has no SHA-256.

    `source` is the address of the hub that they come from. A release that is there several
    times is taken as it comes first.
    """
    licences: dict[tuple[str, int], JsonObject] = {}
    products: dict[str, JsonObject] = {}
    releases: dict[str, JsonObject] = {}
    manifests: dict[str, JsonObject] = {}
    known: dict[str, bytes] = {}
    wanted: dict[str, _Wanted] = {}
    texts: dict[str, Member] = {}
    documents: dict[str, Member] = {}
    files: dict[str, Member] = {}
    once: dict[str, Chosen] = {}
    for one in chosen:
        once.setdefault(str(one.release.get("id", "")), one)
    for release_id, one in sorted(once.items()):
        if one.licence is not None:
            text = one.licence.text.encode()
            member = licence_member(text)
            if member.sha256 != one.licence.sha256:
                raise Corrupt(f"The text of the licence {one.licence.code} is not the one named.")
            licences[one.licence.code, one.licence.revision] = _licence(one.licence, len(text))
            texts[member.name], known[member.name] = member, text
        products[one.product] = _product(one)
        releases[release_id] = _release(one)
        for artifact in one.artifacts:
            member = _file(artifact)
            files[member.name] = member
            wanted.setdefault(member.name, _Wanted(one, artifact))
        if one.manifest is not None and one.manifest.proof is not None:
            attest(one.manifest, one.artifacts, release=one.release)
            manifests[release_id] = _signed(one.manifest, documents, known)
    index = encode_index(
        source=source,
        licences=licences.values(),
        products=products.values(),
        releases=releases.values(),
        manifests=manifests.values(),
    )
    first = index_member(index)
    known[first.name] = index
    members = (first, *_by_name(texts), *_by_name(documents), *_by_name(files))
    return Plan(members, known, wanted, len(releases))


def _by_name(members: Mapping[str, Member]) -> list[Member]:
    return [members[name] for name in sorted(members)]


def _licence(licence: Licence, size: int) -> JsonObject:
    return {
        "code": licence.code,
        "name": licence.name,
        "revision": licence.revision,
        "sha256": licence.sha256,
        "size": size,
    }


def _product(one: Chosen) -> JsonObject:
    product, rules = one.entitlement["product"], one.entitlement.get("compliance")
    rules = rules if isinstance(rules, dict) else {}
    licence = one.licence
    return {
        "code": one.product,
        "name": str(product.get("name") or one.product),
        "deliveryMethod": str(product.get("standardDeliveryMethod") or "download"),
        "usECCN": [str(number) for number in rules.get("usECCN") or ()],
        "eccnRestricted": bool(rules.get("eccnRestricted")),
        "licence": licence and {"code": licence.code, "revision": licence.revision},
    }


def _release(one: Chosen) -> JsonObject:
    told: JsonObject = {
        "product": one.product,
        "id": str(one.release.get("id", "")),
        "name": str(one.release.get("name", "")),
        "availableAt": str(one.release.get("availableAt", "")),
        "artifacts": [_artifact(artifact) for artifact in one.artifacts],
    }
    return told | {key: str(one.release[key]) for key in _RELEASE_FIELDS if key in one.release}


def _artifact(artifact: JsonObject) -> JsonObject:
    member = _file(artifact)
    told: JsonObject = {
        "id": str(artifact.get("id", "")),
        "fileName": str(artifact.get("fileName", "")),
        "size": member.size,
        "sha256": member.sha256,
    }
    return told | {key: str(artifact[key]) for key in _ARTIFACT_FIELDS if key in artifact}


def _file(artifact: JsonObject) -> Member:
    expected = expected_of(artifact)
    if expected.algorithm != "sha256" or expected.size is None:
        raise BadAnswer("The hub announces no SHA-256 and size of a file; it cannot be bundled.")
    return file_member(expected.digest, expected.size)


def _signed(
    manifest: Manifest, documents: dict[str, Member], known: dict[str, bytes]
) -> JsonObject:
    """The metadata that proves a manifest, byte for byte as the publisher signed it."""

    def keep(document: bytes) -> JsonObject:
        member = metadata_member(document)
        documents[member.name], known[member.name] = member, document
        return {"sha256": member.sha256, "size": member.size}

    proof = manifest.proof
    assert proof is not None, "asked of signed manifests only"
    return {
        "product": manifest.product,
        "release": manifest.release_id,
        "roots": [keep(root) for root in proof.roots],
        "timestamp": keep(proof.timestamp),
        "snapshot": keep(proof.snapshot),
        "targets": keep(proof.targets),
        "manifest": keep(manifest.document),
    }


@dataclass(frozen=True, slots=True)
class Bundled:
    """A complete bundle: where it is, how many bytes it has, and how many of them were there."""

    path: Path
    size: int
    reused: int
    seconds: float = 0.0


def write_bundle(
    client: Client,
    plan: Plan,
    target: Path,
    *,
    country: str | None = None,
    rate: RateLimit | None = None,
    backoff: Backoff | None = None,
    watcher: Watcher | None = None,
) -> Bundled:
    """Fetch what the plan wants into `target`, every digest checked as the bytes arrive.

    What an earlier run left beside it is verified and gone on with; a bundle that is there and
    right is left alone. Raises every kind of ClientError; the target is then as it was, and the
    part stays for the next run.
    """
    started = monotonic()
    make_folder(target.parent)
    shown = watcher or Watcher()
    shown.started(target.name, plan.size)
    old_parts = OldParts()
    if _is_whole(target, plan, client.stop):
        old_parts.sweep(target)
        return Bundled(target, plan.size, plan.size, monotonic() - started)
    with Part(target, plan, client.stop) as part:
        old_parts.sweep(target, keep=plan.mark)
        reused = part.size
        shown.at(target.name, reused)
        check_room(target.parent, plan.size - reused)
        fetch = _Fetch(client, plan, country, rate, backoff or Backoff(attempts=8), shown, target)
        for member in plan.members:
            if not part.has(member):
                fetch.into(part, member)
        part.commit()
    return Bundled(target, plan.size, reused, monotonic() - started)


def _is_whole(target: Path, plan: Plan, stop: Stop) -> bool:
    try:
        if not target.is_file() or target.stat().st_size != plan.size:
            return False
        with target.open("rb") as held:
            found = right_bytes(held.fileno(), plan, stop)
            return found == plan.size - len(END)
    except OSError as error:
        raise local_error(error, target) from error


@dataclass(frozen=True, slots=True)
class _Fetch:
    client: Client
    plan: Plan
    country: str | None
    rate: RateLimit | None
    backoff: Backoff
    watcher: Watcher
    target: Path

    def into(self, part: Part, member: Member) -> None:
        """Write a member; one that turns out wrong is fetched once more from its start."""
        for last in (False, True):
            try:
                part.begin(member)
                for data in self._content(member, part.filled):
                    part.append(data)
                    self.watcher.at(self.target.name, part.size)
                part.finish(member)
            except Corrupt as error:
                part.drop(member)
                if last:
                    raise
                self.watcher.trouble(self.target.name, error.message, 0.0)
            else:
                return

    def _content(self, member: Member, at: int) -> Iterable[bytes]:
        known = self.plan.known.get(member.name)
        if known is not None:
            return (known[at:],)
        wanted = self.plan.wanted[member.name]
        artifact, client = wanted.artifact, self.client
        declared = client.country_for(artifact, self.country)

        def mint_link() -> str:
            return client.link(
                wanted.chosen.entitlement_id,
                str(wanted.chosen.release.get("id", "")),
                str(artifact.get("id", "")),
                country=declared,
            )

        stream = ByteStream(
            mint_link,
            member.size,
            times=client.times,
            backoff=self.backoff,
            stop=client.stop,
            rate=self.rate,
            trouble=lambda message, pause: self.watcher.trouble(self.target.name, message, pause),
        )
        return stream.read_from(at)
