"""The commands order create, list, show, watch, download, cancel and retry."""

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from entrepot.cli.completing import complete_order
from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, format_option, hub_option, page_options
from entrepot.cli.order_display import (
    ORDER_COLUMNS,
    failures_text,
    open_order_display,
    order_details,
    order_row,
    print_json_line,
    report_text,
)
from entrepot.cli.output import Column, print_json, print_table
from entrepot.cli.progress import open_display
from entrepot.cli.rows import text
from entrepot.cli.selecting import assets_argument, read_assets
from entrepot.cli.setup import Setup
from entrepot.cli.wishes import collect, read_json, request_of
from entrepot.client import Client, Downloaded, Incomplete, InvalidUse, OrderEnded
from entrepot.client.answers import JsonObject
from entrepot.client.batch import Outcome
from entrepot.client.order_answers import can_be_retried
from entrepot.client.order_zips import read_papers
from entrepot.client.profiles import downloads_folder
from entrepot.client.selections import target_of

_Function = TypeVar("_Function", bound=Callable[..., Any])
_INTERRUPTED = 130
_order_argument = click.argument(
    "order_id", metavar="ID", type=click.IntRange(1), shell_complete=complete_order
)
_json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout.")
_watch_option = click.option("--watch", is_flag=True, help="Wait for its end, and show progress.")
_verify_option = click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Check every file in the ZIP by its SHA-256 before the ZIP is put in place.",
)


def _wish_options(function: _Function) -> _Function:
    """What is made of the assets."""
    options = (
        click.option(
            "--rendition",
            "renditions",
            multiple=True,
            metavar="NAME",
            help="A form in which the hub has it, such as downloadOriginal. Repeatable.",
        ),
        click.option(
            "--preset",
            "presets",
            multiple=True,
            metavar="NAME",
            help="A conversion that the hub has a name for, such as web. Repeatable.",
        ),
        click.option(
            "--convert",
            "pipelines",
            multiple=True,
            metavar="STEPS",
            help="A conversion of your own: steps as type=value, such as "
            "resize.width=800,fileExtension=jpg. Repeatable.",
        ),
        click.option(
            "--conversions",
            type=click.File(encoding="utf-8"),
            metavar="FILE",
            help="Conversions as JSON: a list of lists of steps, or such a list by media group.",
        ),
        click.option(
            "--custom",
            is_flag=True,
            help="Only what is asked for here, without the hub's default renditions.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group(context_settings=COMMAND)
def order() -> None:
    """Order assets, converted where you wish, as one ZIP."""


@order.command(context_settings=COMMAND)
@assets_argument(required=False)
@click.option("--selection", metavar="POOL", help="Order what is selected in this pool.")
@_wish_options
@click.option("--name", help="A name for people.")
@click.option("--zip-name", metavar="NAME", help="File name of the ZIP.")
@click.option(
    "--resolver", metavar="ID", help="How the files in the ZIP are named, such as by-group."
)
@click.option("--culture", metavar="CODE", help="Language of titles in names, such as en-US.")
@click.option(
    "--config",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="The order as JSON, as the orders API takes it.",
)
@_watch_option
@click.option("--download", "folder", metavar="DIR", help="Wait, then bring the ZIP there.")
@_json_option
@hub_option
@click.pass_context
def create(
    ctx: click.Context,
    /,
    assets: tuple[str, ...],
    watch: bool,
    folder: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Place an order of ASSETs (numbers or identifiers; `-` reads them from stdin).

    Prints its number. Assets of which nothing is asked come in the hub's default renditions.
    To ask something of one media group only, write the group before it: --preset Images:web,
    --convert Videos:fileExtension=mp4.
    """
    with _setup(ctx).client() as client:
        try:
            placed = _place(client, read_assets(assets), **options)
        except InvalidUse as error:
            if not error.remedy and "order.global" in error.message:
                error.remedy = (
                    "To ask something of one media group only, write the group before it: "
                    "--preset Images:web"
                )
            raise
        number = int(placed["order_id"])
        if as_json:
            print_json_line("order", placed)
        else:
            click.echo(str(number))
            say(f"Order {number}: {text(placed.get('status'))}.")
        run = _Run(ctx, client, number, as_json)
        if folder is not None:
            run.watch()
            run.download(Path(folder), verify=True)
        elif watch:
            run.watch()
            run.conclude()


@order.command("list", context_settings=COMMAND)
@page_options
@format_option
@hub_option
@click.pass_context
def list_(ctx: click.Context, offset: int | None, limit: int, form: str) -> None:
    """List your orders, newest first. An empty list is no error."""
    if limit > 100:
        raise click.BadParameter("a page has at most 100 orders", param_hint="-l")
    with _setup(ctx).client() as client:
        found = client.orders.list(page=offset, limit=limit)
    if form != "table":
        print_json(found, form)
    elif found:
        print_table(ORDER_COLUMNS, [order_row(one) for one in found])
    if not found:
        say("There is no order here. Place one: entrepot order create ASSET")


@order.command(context_settings=COMMAND)
@_order_argument
@format_option
@hub_option
@click.pass_context
def show(ctx: click.Context, order_id: int, form: str) -> None:
    """Show one order, with a link to its ZIP that is good for 5 to 10 minutes."""
    with _setup(ctx).client() as client:
        found = client.orders.show(order_id)
    if form != "table":
        print_json(found, form)
    else:
        print_table(
            (Column("Order"), Column(text(found.get("order_id")))),
            [row for row in order_details(found) if row[1]],
        )


@order.command(context_settings=COMMAND)
@_order_argument
@_json_option
@hub_option
@click.pass_context
def watch(ctx: click.Context, order_id: int, as_json: bool) -> None:
    """Show how far an order is, until it has ended. Ctrl-C stops watching, not the order."""
    with _setup(ctx).client() as client:
        run = _Run(ctx, client, order_id, as_json)
        run.watch()
        run.conclude()


@order.command(context_settings=COMMAND)
@_order_argument
@click.option("-d", "--download-dir", help="Folder for the ZIP.  [default: ~/Artifacts]")
@_verify_option
@_watch_option
@_json_option
@hub_option
@click.pass_context
def download(
    ctx: click.Context,
    order_id: int,
    download_dir: str | None,
    verify: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """Download the ZIP of an order, and verify it; prints its path.

    Goes on with what an earlier run left in the folder, if the ZIP is still the same.
    """
    setup = _setup(ctx)
    folder = Path(download_dir) if download_dir else downloads_folder(setup.variables)
    with setup.client() as client:
        run = _Run(ctx, client, order_id, as_json)
        if watch:
            run.watch()
        run.download(folder, verify=verify)


@order.command(context_settings=COMMAND)
@click.argument(
    "order_ids",
    metavar="ID...",
    nargs=-1,
    required=True,
    type=click.IntRange(1),
    shell_complete=complete_order,
)
@click.option("--yes", is_flag=True, help="Of delivered orders too, without asking.")
@_json_option
@hub_option
@click.pass_context
def cancel(ctx: click.Context, order_ids: tuple[int, ...], yes: bool, as_json: bool) -> None:
    """Stop orders that are at work; of delivered ones, end the download for good."""
    with _setup(ctx).client() as client:
        for order_id in order_ids:
            if yes or _may_end(client.orders.show(order_id)):
                _tell(client.orders.cancel(order_id), as_json)


def _may_end(shown: JsonObject) -> bool:
    """Whether an order may be cancelled: nobody loses a ready ZIP by a slip."""
    if shown["status"] not in ("Completed", "CompletedWithErrors"):
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"Order {shown['order_id']} is delivered; cancelling ends its download: add --yes."
        )
    question = f"Order {shown['order_id']} is delivered. End its download for good?"
    return click.confirm(question, err=True)


@order.command(context_settings=COMMAND)
@_order_argument
@_watch_option
@_json_option
@hub_option
@click.pass_context
def retry(ctx: click.Context, order_id: int, watch: bool, as_json: bool) -> None:
    """Try again what failed in an order, or go on with a cancelled one."""
    with _setup(ctx).client() as client:
        _tell(client.orders.retry(order_id), as_json)
        if watch:
            run = _Run(ctx, client, order_id, as_json)
            run.watch()
            run.conclude()


@dataclass(frozen=True, slots=True)
class _Run:
    """One order in one run of the command."""

    ctx: click.Context
    client: Client
    order_id: int
    as_json: bool

    def watch(self) -> None:
        """Show the order until it has ended; Ctrl-C leaves it running."""
        try:
            with open_order_display(self.order_id, as_json=self.as_json) as display:
                for event in self.client.orders.watch(self.order_id):
                    display.show(event)
        except KeyboardInterrupt:
            say(
                f"Stopped watching; the order goes on. See it again: "
                f"entrepot order watch {self.order_id}"
            )
            self.ctx.exit(_INTERRUPTED)

    def conclude(self) -> None:
        """Say how it ended. Raises Incomplete and OrderEnded."""
        shown = self.client.orders.show(self.order_id)
        if self.as_json:
            print_json_line("order", shown)
        status = shown.get("status")
        if status == "Completed":
            say(f"Download it: entrepot order download {self.order_id}")
            return
        errors = self.client.orders.errors(self.order_id) if status != "Expired" else []
        if errors:
            say(failures_text(errors))
        told = str(shown.get("additional_info") or "")
        retried = self._retrying(errors)
        if status == "CompletedWithErrors":
            raise Incomplete(
                f"Order {self.order_id} is not complete. {told}".rstrip(),
                remedy=f"Download the rest: entrepot order download {self.order_id}\n{retried}",
            )
        raise OrderEnded(
            f"Order {self.order_id} has ended: {status}. {told}".rstrip(),
            remedy="Place it again." if status == "Expired" else retried,
        )

    def _retrying(self, missing: Sequence[JsonObject]) -> str:
        """How to try again; where that cannot help, what can."""
        if can_be_retried(missing):
            return f"Try again: entrepot order retry {self.order_id}"
        return "To try again would fail again: do what is said above, and order that anew."

    def download(self, folder: Path, *, verify: bool) -> None:
        """Bring the ZIP into the folder; print its path. Raises Incomplete where it lacks files."""
        folder = folder.expanduser().absolute()
        try:
            with open_display() if not self.as_json else nullcontext() as display:
                done = self.client.orders.download(
                    self.order_id,
                    folder,
                    verify=verify,
                    watcher=display.watcher if display is not None else None,
                )
                if display is not None:
                    display.finished(Outcome(done.path.name, done, None))
        except KeyboardInterrupt:
            say(
                "Stopped. Run it again to go on where it stopped: "
                f"entrepot order download {self.order_id} -d {folder}"
            )
            self.ctx.exit(_INTERRUPTED)
        self._tell_file(done)
        papers = read_papers(done.path)
        if papers.missing:
            say(report_text(papers.report))
            count = len(papers.missing)
            raise Incomplete(
                f"{done.path.name} lacks {count} file{'' if count == 1 else 's'}.",
                remedy=self._retrying(papers.missing),
            )

    def _tell_file(self, done: Downloaded) -> None:
        if not self.as_json:
            click.echo(str(done.path))
            return
        told = {"path": str(done.path), "size": done.size, "verified": done.verified}
        print_json_line("file", {**told, "skipped": done.skipped})


def _place(
    client: Client,
    assets: list[str],
    *,
    selection: str | None,
    renditions: tuple[str, ...],
    presets: tuple[str, ...],
    pipelines: tuple[str, ...],
    conversions: IO[str] | None,
    custom: bool,
    name: str | None,
    zip_name: str | None,
    resolver: str | None,
    culture: str | None,
    config: IO[str] | None,
) -> JsonObject:
    every, groups = collect(renditions, presets, pipelines, conversions)
    if config is None:
        return client.orders.create(
            assets,
            selection=selection,
            renditions=every.renditions,
            presets=every.presets,
            conversions=every.conversions,
            groups=groups,
            name=name,
            zip_name=zip_name,
            resolver=resolver,
            culture=culture,
            order_type="Custom" if custom else "Standard",
        )
    if every or groups:
        raise click.UsageError("Say what is wished either in the --config file or by options.")
    body = request_of(read_json(config, "--config"))
    if selection is not None:
        body["target_selection"] = target_of(selection)
    if assets:
        individual = body["order"].get("individual")
        known = individual if isinstance(individual, dict) else {}
        body["order"]["individual"] = {**{asset: {} for asset in assets}, **known}
    if zip_name is not None:
        body["order"]["zip_filename"] = zip_name
    told = {"name": name, "item_name_resolver_id": resolver, "culture": culture}
    told["download_order_type"] = "Custom" if custom else None
    body |= {key: value for key, value in told.items() if value is not None}
    return client.orders.place(body)


def _tell(order: JsonObject, as_json: bool) -> None:
    if as_json:
        print_json_line("order", order)
    else:
        say(f"Order {text(order.get('order_id'))}: {text(order.get('status'))}.")


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    return setup
