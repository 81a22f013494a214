"""`entrepotd assets`: media files with titles, folders, and who may have them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Row

from entrepot.core.catalogue import (
    DEFAULT_CULTURE,
    ENTITLED,
    MEDIA_GROUPS,
    PUBLIC,
    AssetFilter,
    AssetSpec,
    TakenIn,
    change_asset,
    check_asset,
    count_assets,
    delete_asset,
    describe_asset,
    find_asset,
    list_assets,
    take_in_assets,
)
from entrepot.daemon.console import printable, say, show_json, show_one, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.exit_codes import ExitCode
from entrepot.daemon.facts import measuring
from entrepot.daemon.options import (
    Command,
    LocalPath,
    Noun,
    hub_command,
    json_option,
    page_options,
)
from entrepot.daemon.paging import note_rest
from entrepot.daemon.walking import Found, LeftOut, asset_source, walk
from entrepot.errors import Invalid, NotFound

_COLUMNS = ("id", "identifier", "media_group", "folder", "file_name", "size", "visibility")
_FIELDS = (
    "id",
    "identifier",
    "title",
    "folder",
    "media_group",
    "file_name",
    "content_type",
    "size",
    "md5",
    "sha256",
    "facts",
    "visibility",
    "product_code",
    "created_at",
    "changed_at",
)
_PROGRESS_FILES = 200
_KEPT = (
    "What was there keeps its title and who may have it; `entrepotd assets change` changes them."
)


def _describing(command: Command) -> Command:
    """Options that say who may have an asset, and what it is called."""
    options: tuple[Callable[[Command], Command], ...] = (
        click.option("--product", metavar="PRODUCT", help="Its entitlements give the asset."),
        click.option("--public", "is_public", is_flag=True, help="Everyone who signs in has it."),
        click.option("--title", help="In the language of --culture."),
        click.option(
            "--culture", default=DEFAULT_CULTURE, show_default=True, help="Language of --title."
        ),
        click.option("--folder", help="Folder of the asset in the hub, such as a/b."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Noun)
def assets() -> None:
    """Add, list, show, change and delete media assets."""


@assets.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=LocalPath(folders=True),
)
@_describing
@click.option("--identifier", help="For one file.  [default: one is made]")
@click.option("--facts/--no-facts", default=True, help="Measure width, height, pages, ...")
@json_option
@hub_command
def add(
    desk: Desk,
    paths: Sequence[Path],
    *,
    product: str | None,
    is_public: bool,
    title: str | None,
    culture: str,
    folder: str | None,
    identifier: str | None,
    facts: bool,
    as_json: bool,
) -> None:
    """Add files, and folders with all that lies below, as media assets; prints what was added.

    Who may have them must be said: just one of --product and --public.

    The folders below a PATH become folders of the hub. A file that is there already, with the
    same bytes, folder and name, is not added again, so a run that was interrupted can simply be
    repeated; it keeps its title and who may have it. Hidden and unreadable files are left out
    and named, and the exit code then is 9.
    """
    spec = AssetSpec(
        "",
        titles={} if title is None else {culture: title},
        identifier=identifier,
        folder=folder or "",
        visibility=_visibility(product, is_public),
        product=product,
    )
    found = list(walk(paths))
    files = [each for each in found if isinstance(each, Found)]
    if len(files) != 1 and (title is not None or identifier is not None):
        raise Invalid(
            f"--title and --identifier are for one file; there are {len(files)}.", field="title"
        )
    done: list[TakenIn] = []
    with desk.hub() as hub, measuring(wanted=facts) as probe:
        with hub.database.read() as tx:
            check_asset(tx, replace(spec, file_name="any"), fresh=False)
        # What killed runs left behind; the files of those at work are locked.
        hub.blobs.sweep(older_than_seconds=0)
        sources = (asset_source(each, spec) for each in files)
        for each in take_in_assets(
            hub.database, hub.blobs, sources, probe=probe, actor=OPERATOR, now=hub.now
        ):
            done.append(each)
            if len(done) % _PROGRESS_FILES == 0:
                say(f"{len(done)} of {len(files)} files")
    left_out = [each for each in found if isinstance(each, LeftOut)]
    left_out += [
        LeftOut(file.path, one.note or "")
        for file, one in zip(files, done, strict=True)
        if one.outcome == "skipped"
    ]
    _report(files, done, left_out, as_json=as_json)
    if left_out:
        click.get_current_context().exit(ExitCode.LOCAL_FILE)


def _visibility(product: str | None, is_public: bool) -> str:
    if is_public == (product is not None):
        raise Invalid(
            "It is said twice who may have the assets."
            if is_public
            else "It is not said who may have the assets.",
            field="product",
            remedy="Give either --product PRODUCT or --public.",
        )
    return PUBLIC if is_public else ENTITLED


def _report(
    files: Sequence[Found], done: Sequence[TakenIn], left_out: Sequence[LeftOut], *, as_json: bool
) -> None:
    rows = [
        {"id": one.asset_id, "path": str(file.path), "outcome": one.outcome, "note": one.note}
        for file, one in zip(files, done, strict=True)
        if one.outcome != "skipped"
    ]
    for each in left_out:
        say(f"Left out: {printable(str(each.path))}: {each.reason}")
    if as_json:
        skipped = [{"path": str(each.path), "reason": each.reason} for each in left_out]
        show_json({"assets": rows, "left_out": skipped})
        return
    show_rows(rows, columns=("id", "outcome", "path"), as_json=False, none="")
    for file, one in zip(files, done, strict=True):
        if one.outcome == "added" and _is_empty(file.path):
            say(f"Empty: {printable(str(file.path))}")
    for row in rows:
        if row["note"]:
            say(f"Not measured: {row['path']}: {row['note']}")
    added = sum(one.outcome == "added" for one in done)
    there = sum(one.outcome == "there" for one in done)
    say(f"{added} added, {there} there already, {len(left_out)} left out.")
    if there:
        say(_KEPT)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False  # gone since it was added


@assets.command(name="list")
@click.option("--product", metavar="PRODUCT", help="Only those that this product gives.")
@click.option(
    "--group",
    "media_group",
    type=click.Choice([group.name for group in MEDIA_GROUPS], case_sensitive=False),
    help="Only of this media group.",
)
@click.option("--folder", help="Only in this folder of the hub, with all that lies below.")
@click.option(
    "--visibility",
    type=click.Choice([PUBLIC, ENTITLED]),
    help="Only those for everyone who signs in, or only those that a product gives.",
)
@page_options
@json_option
@hub_command
def list_(desk: Desk, *, skip: int, take: int, as_json: bool, **wanted: str | None) -> None:
    """List assets by number."""
    conditions = AssetFilter(**wanted)  # type: ignore[arg-type]
    with desk.hub() as hub, hub.database.read() as tx:
        found = list_assets(tx, conditions, skip=skip, take=take)
        total = count_assets(tx, conditions)
    none = "There is no such asset." if any(wanted.values()) else "There are no assets."
    rows = [_fields(row) for row in found]
    show_rows(rows, columns=_COLUMNS, as_json=as_json, none="" if total else none)
    note_rest(len(found), skip=skip, total=total)


def _fields(row: Row[Any]) -> dict[str, Any]:
    return {name: row._mapping[name] for name in _FIELDS}


@assets.command()
@click.argument("asset")
@json_option
@hub_command
def show(desk: Desk, asset: str, *, as_json: bool) -> None:
    """Print all that is known of ASSET (number or identifier)."""
    with desk.hub() as hub, hub.database.read() as tx:
        row = find_asset(tx, asset)
    show_one(_fields(row), as_json=as_json)


@assets.command()
@click.argument("asset")
@_describing
@hub_command
def change(
    desk: Desk,
    asset: str,
    *,
    product: str | None,
    is_public: bool,
    title: str | None,
    culture: str,
    folder: str | None,
) -> None:
    """Change what is said of ASSET (number or identifier); what is left out stays.

    --title sets, and --title '' takes away, the title in one language.
    """
    if (title, folder, product, is_public) == (None, None, None, False):
        raise Invalid(
            "Nothing to change was said.",
            field="options",
            remedy="Give --title, --folder, --product or --public.",
        )
    with desk.hub() as hub, hub.database.write() as tx:
        spec = describe_asset(tx, asset)
        if title is not None:
            titles = {**spec.titles, culture: title}
            spec = replace(spec, titles={each: text for each, text in titles.items() if text})
        if folder is not None:
            spec = replace(spec, folder=folder)
        if is_public or product is not None:
            spec = replace(spec, visibility=_visibility(product, is_public), product=product)
        change_asset(tx, asset, spec, actor=OPERATOR, now=hub.now())
    say("The asset is changed.")


@assets.command()
@click.argument("asset", nargs=-1, required=True)
@hub_command
def delete(desk: Desk, asset: Sequence[str]) -> None:
    """Take each ASSET (number or identifier) away from everyone.

    Orders placed before still deliver it. Its room comes back with `entrepotd sweep`.
    """
    with desk.hub() as hub, hub.database.write() as tx:
        for each in asset:
            try:
                delete_asset(tx, each, actor=OPERATOR, now=hub.now())
            except NotFound as error:
                raise NotFound(f"{error.message} Nothing was deleted.") from error
    say(f"{len(asset)} deleted.")
