"""A product's root: which keys count for what, and how many of them have to sign.

A new root is signed by as many keys as the one before it asks for and as it asks for itself, so
that clients walk from the root that they trust to the newest without asking anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from securesystemslib.signer import Key, SSlibKey
from tuf.api.metadata import Metadata, MetaFile, Root, Targets

from entrepot.core.accounts import SecretBox
from entrepot.core.catalogue import find_product
from entrepot.core.events import Event, record
from entrepot.core.manifests.lives import Lives
from entrepot.core.manifests.online import (
    Word,
    keep_document,
    keep_metadata,
    keep_word,
    name_targets,
    next_online_key,
    sign_word,
)
from entrepot.core.manifests.papers import Paper, from_text, to_text
from entrepot.core.manifests.reading import (
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    newest,
    newest_versions,
    take_turn,
)
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid

KEYS_MAX = 16  # of one role


@dataclass(frozen=True, slots=True)
class RootSpec:
    """What a new root changes; what is not said stays as it is.

    `root_keys`, `targets_keys` and `mirror_keys` replace those that were. `renew_online` makes
    the hub a new key for snapshots and timestamps; the `mirror_keys` of other hubs count as
    much as it does there.
    """

    root_keys: Sequence[SSlibKey] = ()
    targets_keys: Sequence[SSlibKey] = ()
    root_threshold: int | None = None
    targets_threshold: int | None = None
    renew_online: bool = False
    mirror_keys: Sequence[SSlibKey] | None = None
    lives: Lives = field(default_factory=Lives)


def current_root(tx: Tx, product_id: int) -> Metadata[Root] | None:
    """The newest root, or None where the product has none."""
    row = newest(tx, product_id, ROOT)
    return None if row is None else from_text(row.document)


def prepare_root(tx: Tx, box: SecretBox, product: str, spec: RootSpec, *, now: datetime) -> Paper:
    """The next root of a product, to be signed.

    The hub's own key is made on the way, unless `make_online_key` has done so before.

    Where other keys sign targets from then on, the newest targets are to be signed anew as well.
    """
    found = find_product(tx, product)
    current = current_root(tx, found.id)
    keys: dict[str, Sequence[Key]] = {
        ROOT: spec.root_keys or _keys_of(current, ROOT),
        TARGETS: spec.targets_keys or _keys_of(current, TARGETS),
    }
    online = _online_key(tx, box, found.id, current, renew=spec.renew_online, now=now)
    thresholds = {
        ROOT: spec.root_threshold or _threshold(current, ROOT),
        TARGETS: spec.targets_threshold or _threshold(current, TARGETS),
    }
    for role, count in thresholds.items():
        _check_role(role, keys[role], count)
    root = Root(
        version=1 if current is None else current.signed.version + 1,
        expires=now + spec.lives.root,
        consistent_snapshot=True,
    )
    said = [online, *_mirror_keys(current, spec)]
    for role, those in {**keys, SNAPSHOT: said, TIMESTAMP: said}.items():
        for key in those:
            root.add_key(key, role)
        root.roles[role].threshold = thresholds.get(role, 1)
    prepared = Metadata(root)
    targets = _targets_again(tx, found.id, prepared, spec.lives, now)
    return Paper(found.code, current, prepared, targets)


def make_online_key(
    tx: Tx, box: SecretBox, product: str, *, renew: bool = False, now: datetime
) -> None:
    """Make the hub's own key for the next root, where one is needed; `prepare_root` reads then."""
    found = find_product(tx, product)
    _online_key(tx, box, found.id, current_root(tx, found.id), renew=renew, now=now)


def _keys_of(current: Metadata[Root] | None, role: str) -> list[Key]:
    if current is None:
        return []
    return [current.signed.keys[keyid] for keyid in current.signed.roles[role].keyids]


def _mirror_keys(current: Metadata[Root] | None, spec: RootSpec) -> Sequence[Key]:
    """The keys of hubs that mirror the product; the first of a role is this hub's own."""
    found = _keys_of(current, TIMESTAMP)[1:] if spec.mirror_keys is None else spec.mirror_keys
    if len(found) > KEYS_MAX:
        raise Invalid(f"A product has at most {KEYS_MAX} mirrors.", field="mirror-key")
    return found


def _threshold(current: Metadata[Root] | None, role: str) -> int:
    return 1 if current is None else current.signed.roles[role].threshold


def _check_role(role: str, keys: Sequence[Key], threshold: int) -> None:
    distinct = {key.keyid for key in keys}
    if not 1 <= len(distinct) <= KEYS_MAX:
        raise Invalid(
            f"A product has 1 to {KEYS_MAX} {role} keys.",
            field=f"{role}-key",
            remedy=f"Name one: --{role}-key FILE.",
        )
    if not 1 <= threshold <= len(distinct):
        raise Invalid(
            f"{threshold} of {len(distinct)} {role} keys cannot be asked for.",
            field=f"{role}-threshold",
            remedy="The threshold is at most the number of keys.",
        )


def _online_key(
    tx: Tx,
    box: SecretBox,
    product_id: int,
    current: Metadata[Root] | None,
    *,
    renew: bool,
    now: datetime,
) -> Key:
    if current is not None and not renew:
        return _keys_of(current, TIMESTAMP)[0]
    old = _keys_of(current, TIMESTAMP)
    return next_online_key(tx, box, product_id, other_than=old[0].keyid if old else None, now=now)


def _targets_again(
    tx: Tx, product_id: int, root: Metadata[Root], lives: Lives, now: datetime
) -> Metadata[Targets] | None:
    """The newest targets under the next version, where the new root does not take them as is."""
    row = newest(tx, product_id, TARGETS)
    if row is None:
        return None
    held: Metadata[Targets] = from_text(row.document)
    if root.signed.get_verification_result(TARGETS, held.signed_bytes, held.signatures):
        return None
    again = Targets(
        version=held.signed.version + 1,
        expires=now + lives.targets,
        targets=held.signed.targets,
    )
    return Metadata(again)


@dataclass(frozen=True, slots=True)
class CheckedRoot:
    """A signed root that would be put in force: after which versions, and what is to be kept.

    0 for none, `targets` None where those that are held go on counting.
    """

    product_id: int
    after_root: int
    after_targets: int
    root: Metadata[Root]
    targets: Metadata[Targets] | None
    targets_text: str
    named: MetaFile | None  # the targets that count then
    word: Word  # by the key that the new root names, whether or not it is another one


def check_root(tx: Tx, box: SecretBox, paper: Paper, *, lives: Lives, now: datetime) -> CheckedRoot:
    """Whether a signed root can be put in force now, and what the hub says then; reads only.

    Of a product with thousands of releases it takes long. Conflict where signatures lack or
    another root came in between, Invalid for one that would not work.
    """
    assert paper.root is not None
    product = find_product(tx, paper.product)
    current = current_root(tx, product.id)
    _check_next(paper.root.signed, current, now)
    Paper(paper.product, current, paper.root, paper.targets).require_signed()
    held = newest(tx, product.id, TARGETS)
    if held is not None:
        old: Metadata[Targets] = from_text(held.document)
        root = paper.root.signed
        if paper.targets is None:
            fits = bool(root.get_verification_result(TARGETS, old.signed_bytes, old.signatures))
        else:
            new = paper.targets.signed
            fits = new.version == held.version + 1 and new.targets == old.signed.targets
    else:
        fits = paper.targets is None
    if not fits:
        raise _overtaken(product.code)
    text = "" if paper.targets is None else to_text(paper.targets)
    named = None
    if held is not None:
        version = held.version + (1 if text else 0)
        named = name_targets(version, text or held.document)
    word = _word(tx, box, product.id, paper.root, named, lives, now)
    return CheckedRoot(
        product.id,
        0 if current is None else current.signed.version,
        0 if held is None else held.version,
        paper.root,
        paper.targets,
        text,
        named,
        word,
    )


def _word(
    tx: Tx,
    box: SecretBox,
    product_id: int,
    root: Metadata[Root],
    named: MetaFile | None,
    lives: Lives,
    now: datetime,
) -> Word:
    if named is None:
        return Word(newest_versions(tx, product_id), ())
    return sign_word(tx, box, product_id, root=root, named=named, lives=lives, now=now)


def install_root(
    tx: Tx,
    box: SecretBox,
    paper: Paper,
    *,
    checked: CheckedRoot | None = None,
    lives: Lives,
    actor: str,
    now: datetime,
) -> int:
    """Put a signed root in force, with its targets if it brings some; returns its version.

    `checked`: what `check_root` gave of the paper before, so that others do not wait meanwhile.
    Conflict and Invalid as it says, and Conflict where something came in between.
    """
    ready = checked or check_root(tx, box, paper, lives=lives, now=now)
    number, signed, word = ready.product_id, ready.root.signed, ready.word
    take_turn(tx, number)
    found = newest_versions(tx, number)
    if (found.get(ROOT, 0), found.get(TARGETS, 0)) != (ready.after_root, ready.after_targets):
        raise _overtaken(paper.product)
    if found != word.after:  # the hub renewed its word in this moment
        word = _word(tx, box, number, ready.root, ready.named, lives, now)
    keep_metadata(tx, number, ready.root, now=now)
    if ready.targets is not None:
        new = ready.targets.signed
        keep_document(tx, number, TARGETS, new.version, new.expires, ready.targets_text, now=now)
    keep_word(tx, number, word, now=now)
    event = Event("manifest.root", actor, f"product:{number}", data={"version": signed.version})
    record(tx, event, now=now)
    return signed.version


def _check_next(root: Root, current: Metadata[Root] | None, now: datetime) -> None:
    if root.version != (1 if current is None else current.signed.version + 1):
        raise _overtaken("the product")
    if root.expires <= now:
        raise Invalid("The root has expired already.", field="paper", remedy="Prepare it again.")


def _overtaken(product: str) -> Conflict:
    return Conflict(
        f"What was signed for {product} has been overtaken by something newer.",
        code="manifest-overtaken",
        remedy="Prepare and sign it again.",
    )
