"""What is to be signed, on its way to the keys and back: a paper.

The hub writes it, a publisher signs it with keys that the hub never sees, on another machine if
need be, and the hub takes it back. It holds new root metadata, new targets metadata, or both,
with the manifests that the targets name, and the root that counts now.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization.json import JSONSerializer

from entrepot.errors import Conflict, Invalid

KIND, FORMAT = "entrepot-signing-paper", 1
PAPER_BYTES_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class Paper:
    """`current` is the root that counts now; `documents` are manifests by the targets' names."""

    product: str
    current: Metadata[Root] | None
    root: Metadata[Root] | None = None
    targets: Metadata[Targets] | None = None
    documents: Mapping[str, str] = field(default_factory=dict, repr=False)

    def keys_of(self, role: str) -> dict[str, int]:
        """The ids of the keys that may sign a part, and how many have to.

        A new root is signed by the keys that it names and by those that the current one names.
        """
        roots = [self.current, self.root] if role == "root" else [self.root or self.current]
        return {
            keyid: root.signed.roles[role].threshold
            for root in roots
            if root is not None
            for keyid in root.signed.roles[role].keyids
        }

    def sign(self, signer: Signer) -> list[str]:
        """Sign every part that this key may sign; their roles. Invalid where there is none."""
        signed = []
        for role, part in (("root", self.root), ("targets", self.targets)):
            if part is not None and signer.public_key.keyid in self.keys_of(role):
                part.sign(signer, append=True)
                signed.append(role)
        if not signed:
            raise Invalid(
                f"The key {signer.public_key.keyid} may sign nothing of this for {self.product}.",
                field="key",
                code="manifest-key-unknown",
                remedy=f"`entrepotd keys list {self.product}` says which keys count.",
            )
        return signed

    def require_signed(self) -> None:
        """Conflict where a part lacks signatures."""
        for role, part in (("root", self.root), ("targets", self.targets)):
            if part is None:
                continue
            by = [self.current, self.root] if role == "root" else [self.root or self.current]
            try:
                for root in by:
                    if root is not None:
                        root.signed.verify_delegate(role, part.signed_bytes, part.signatures)
            except UnsignedMetadataError as error:
                raise Conflict(
                    f"The {role} metadata of {self.product} lacks signatures: {error}.",
                    code="manifest-unsigned",
                    remedy="Sign it by more of its keys (--key FILE, again and again).",
                ) from error

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(
            {
                "kind": KIND,
                "format": FORMAT,
                "product": self.product,
                "current": _plain(self.current),
                "root": _plain(self.root),
                "targets": _plain(self.targets),
                "documents": self.documents,
            },
            indent=1,
        )


def read_paper(text: bytes | str) -> Paper:
    """The inverse of `Paper.encode`; Invalid for anything else."""
    try:
        told = json.loads(text)
        known = (told["kind"], told["format"]) == (KIND, FORMAT)
        paper = Paper(
            told["product"],
            _metadata(told["current"], Root),
            _metadata(told["root"], Root),
            _metadata(told["targets"], Targets),
            told["documents"],
        )
    except (ValueError, KeyError, TypeError, RecursionError, RepositoryError) as error:
        raise _no_paper() from error
    texts = [paper.product, *paper.documents, *paper.documents.values()]
    if not known or not all(isinstance(each, str) for each in texts):
        raise _no_paper()
    if paper.root is None and (paper.targets is None or paper.current is None):
        raise _no_paper()
    return paper


def _no_paper() -> Invalid:
    return Invalid(
        "That is not what `entrepotd sign --export` or `entrepotd keys root --export` wrote.",
        field="paper",
        remedy="Name the right file.",
    )


def _plain(part: Metadata[Any] | None) -> dict[str, Any] | None:
    return None if part is None else part.to_dict()


def _metadata(told: Any, kind: type[Any]) -> Any:
    if told is None:
        return None
    found: Metadata[Any] = Metadata.from_dict(told)
    if not isinstance(found.signed, kind):
        raise TypeError("another kind of metadata")
    return found


def sign_paper(paper: Paper, signers: Iterable[Signer]) -> None:
    """Sign by every key; Invalid for one that may sign nothing of it."""
    for signer in signers:
        paper.sign(signer)


def to_text(metadata: Metadata[Any]) -> str:
    """As it is kept and given out: JSON without white space."""
    return metadata.to_bytes(JSONSerializer(compact=True)).decode()


def from_text(document: str) -> Metadata[Any]:
    """The inverse of `to_text`, for what the hub itself keeps."""
    return Metadata.from_bytes(document.encode())
