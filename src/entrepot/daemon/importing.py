"""`entrepotd import`: the releases of a bundle from another hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from entrepot.assembly import Hub
from entrepot.core.catalogue import (
    Bundle,
    BundledRelease,
    Imported,
    Index,
    find_product,
    find_targets,
    import_bundle,
    open_bundle,
)
from entrepot.daemon.console import say, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import LocalPath, hub_command, json_option
from entrepot.daemon.progress import ProgressFile
from entrepot.db import Tx
from entrepot.errors import Conflict, Invalid

if TYPE_CHECKING:
    from entrepot.core.manifests.mirroring import Mirrored

ROOT_BYTES_MAX = 256 << 10
_COLUMNS = ("product", "name", "id", "outcome")


@click.command("import")
@click.argument("bundle", metavar="FILE.tar", type=LocalPath())
@click.option(
    "--publish/--draft",
    "publish",
    default=True,
    show_default=True,
    help="Show the releases to customers, or only to publishers.",
)
@click.option(
    "--product-map",
    "maps",
    metavar="CODE=CODE",
    multiple=True,
    help="Import the releases of this product under another code. Can be given several times.",
)
@click.option(
    "--root",
    "roots",
    type=LocalPath(),
    metavar="FILE",
    multiple=True,
    help="Root of a publisher's keys that you trust, as `entrepotd keys export` wrote it; "
    "one for each product.",
)
@click.option(
    "--unsigned",
    is_flag=True,
    help="Take the bundle by its digests alone: you trust whoever brought it.",
)
@json_option
@hub_command
def import_(
    desk: Desk,
    bundle: Path,
    *,
    publish: bool,
    maps: Sequence[str],
    roots: Sequence[Path],
    unsigned: bool,
    as_json: bool,
) -> None:
    """Import the releases of FILE.tar, which `entrepot bundle` made at another hub.

    Nothing can be seen before all of it is verified. Each release comes complete or not at all
    and keeps its ids; what is here already is left alone, so that a run can be repeated.
    Products and licences that lack are made, not listed to everybody.
    """
    codes = _parse_maps(maps)
    _check_trust(codes, roots, unsigned=unsigned)
    rows: list[dict[str, str]] = []

    def done(one: Imported) -> None:
        rows.append(
            {
                "product": one.product,
                "name": one.name,
                "id": one.release_id,
                "outcome": one.outcome,
            }
        )

    with desk.hub() as hub, ProgressFile(bundle) as source:
        hub.blobs.sweep(older_than_seconds=0)
        opened = open_bundle(cast("BinaryIO", source), size=bundle.stat().st_size)
        proof = _Proof(hub, [path.read_bytes()[: ROOT_BYTES_MAX + 1] for path in roots])
        try:
            import_bundle(
                hub.database,
                hub.blobs,
                opened,
                targets=find_targets(opened.index, codes),
                publish=publish,
                prove=proof.prove,
                keep=proof.keep,
                done=done,
                actor=OPERATOR,
                now=hub.now,
            )
        finally:
            if rows:
                show_rows(rows, columns=_COLUMNS, as_json=as_json)
    say(f"Imported from {opened.index.source}.")


def _check_trust(codes: Mapping[str, str], roots: Sequence[Path], *, unsigned: bool) -> None:
    if bool(roots) == unsigned:
        raise Invalid(
            "Say who vouches for this bundle: the publisher by --root FILE, or else whoever "
            "brought it by --unsigned.",
            field="root",
            code="bundle-unsigned",
            remedy="The publisher's root comes by another way than the bundle.",
        )
    if roots and any(there != here for there, here in codes.items()):
        raise Invalid(
            "A signed product keeps its code: it is a part of what was signed.",
            field="product-map",
            remedy="Leave out --product-map, or import --unsigned.",
        )


class _Proof:
    """The publisher's word for a bundle, checked and kept where there are roots to check it by."""

    def __init__(self, hub: Hub, trusted: Sequence[bytes]) -> None:
        self._hub = hub
        self._trusted = trusted
        self._proven: Mapping[str, Mirrored] = {}

    def prove(self, bundle: Bundle) -> Index:
        """What is believed of the index. Invalid where a release is not what was signed."""
        if not self._trusted:
            return bundle.index
        from entrepot.core.manifests.mirroring import look_ahead, prove_bundle

        proven = prove_bundle(bundle, self._trusted, now=self._hub.now())
        self._proven = proven.releases
        with self._hub.database.read() as tx:
            look_ahead(tx, proven)
        for release in proven.unclassified:
            say(
                f"The signature of {release.product} {release.name} does not say whether its files "
                "are controlled, so those that come new are. `entrepotd sign "
                f"{release.product} {release.id} --key FILE` at the publisher's, before the bundle "
                "is made, says it."
            )
        return proven.index

    def keep(self, tx: Tx, release: BundledRelease, imported: Imported) -> None:
        """Keep the signatures of a release in its transaction."""
        mirrored = self._proven.get(release.id)
        if mirrored is None:
            return
        from entrepot.core.manifests.mirroring import keep_mirrored

        if imported.release_id != release.id:
            raise Conflict(
                f"{release.product} {release.name} is here under another id "
                f"({imported.release_id}), which nobody signed.",
                code="release-differs",
                remedy="Withdraw that one first, or import --unsigned.",
            )
        hub = self._hub
        keep_mirrored(
            tx,
            hub.keys.box,
            find_product(tx, imported.product).id,
            release.id,
            mirrored,
            lives=hub.policy.manifest_lives,
            now=hub.now(),
        )


def _parse_maps(maps: Sequence[str]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for each in maps:
        there, equals, here = each.partition("=")
        if not (equals and there and here) or there in parsed:
            raise Invalid(
                f"{each[:80]!r} is not CODE=CODE, or names a product twice.",
                field="product-map",
                remedy="Write the code in the bundle, `=`, and the code here.",
            )
        parsed[there] = here
    return parsed
