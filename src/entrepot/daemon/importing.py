"""`entrepotd import`: the releases of a bundle from another hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

import click

from entrepot.core.catalogue import (
    Imported,
    find_targets,
    import_bundle,
    open_bundle,
)
from entrepot.daemon.console import say, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.options import LocalPath, hub_command, json_option
from entrepot.daemon.progress import ProgressFile
from entrepot.errors import Invalid

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
    unsigned: bool,
    as_json: bool,
) -> None:
    """Import the releases of FILE.tar, which `entrepot bundle` made at another hub.

    Nothing can be seen before all of it is verified. Each release comes complete or not at all
    and keeps its ids; what is here already is left alone, so that a run can be repeated.
    Products and licences that lack are made, not listed to everybody.
    """
    if not unsigned:
        raise Invalid(
            "Nothing says who vouches for this bundle.",
            field="root",
            code="bundle-unsigned",
            remedy="Trust whoever brought it: --unsigned.",
        )
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
        try:
            import_bundle(
                hub.database,
                hub.blobs,
                opened,
                targets=find_targets(opened.index, _parse_maps(maps)),
                publish=publish,
                prove=lambda _: None,
                keep=lambda _tx, _release, _imported: None,
                done=done,
                actor=OPERATOR,
                now=hub.now,
            )
        finally:
            if rows:
                show_rows(rows, columns=_COLUMNS, as_json=as_json)
    say(f"Imported from {opened.index.source}.")


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
