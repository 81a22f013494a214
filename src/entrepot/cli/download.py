"""The commands download and download-artifacts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from entrepot.cli.console import complain, is_interactive, say
from entrepot.cli.options import COMMAND, entitlement_option, hub_option, release_option
from entrepot.cli.progress import open_display
from entrepot.cli.setup import Setup
from entrepot.client import Backoff, Client, Downloaded, LicenceNeeded, NotFound, NotSignedIn, Times
from entrepot.client.answers import JsonObject
from entrepot.client.aspera import download_by_aspera
from entrepot.client.batch import (
    JOBS_MAX,
    Item,
    Outcome,
    check_room_for_all,
    download_items,
    plan_names,
)
from entrepot.client.client import country_code, is_controlled
from entrepot.client.finding import find_entitlement, find_release
from entrepot.client.names import safe_name
from entrepot.client.partial import make_folder
from entrepot.client.profiles import downloads_folder
from entrepot.client.tokens import clean_token
from entrepot.client.verification import expected_of

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _transfer_options(function: _Function) -> _Function:
    """Where the files go, and how patient the transfers are."""
    options = (
        click.option("-d", "--download-dir", help="Folder for the files.  [default: ~/Artifacts]"),
        click.option("--country", help="Country to declare for controlled artifacts, such as GB."),
        click.option(
            "-j",
            "--jobs",
            type=click.IntRange(1, JOBS_MAX),
            default=3,
            show_default=True,
            help="How many files at a time.",
        ),
        click.option(
            "--retries",
            type=click.IntRange(0, 100),
            default=7,
            show_default=True,
            help="How often in a row a transfer is tried again without getting on.",
        ),
        click.option(
            "--connect-timeout",
            type=click.FloatRange(0.1, 600),
            default=10.0,
            show_default=True,
            help="Seconds to wait for a connection.",
        ),
        click.option(
            "--stall-timeout",
            type=click.FloatRange(0.1, 3600),
            default=30.0,
            show_default=True,
            help="Seconds without a byte after which a transfer is tried again.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command("download-artifacts", context_settings=COMMAND)
@entitlement_option
@release_option
@click.option("-a", "--artifact-id", help="Only the artifact with this ID.")
@click.option(
    "-m",
    "--mode",
    type=click.Choice(["http", "fasp"], case_sensitive=False),
    default="http",
    show_default=True,
    help="How: http, or fasp through IBM Aspera's own program.",
)
@_transfer_options
@hub_option
@click.pass_context
def download_artifacts(
    ctx: click.Context,
    /,
    entitlement_id: str,
    release_id: str,
    artifact_id: str | None,
    mode: str,
    **options: Any,
) -> None:
    """Download all files of a release, or one, and verify them.

    Prints the path of each complete file on stdout. A file that is already there and right is
    left alone. Files are put in place only when they are whole and verified.
    """
    order = _order(ctx, entitlement_id, release_id, by_aspera=mode == "fasp", **options)
    _carry_out(ctx, order, order.plan(artifact_id))


@click.command(context_settings=COMMAND)
@click.argument("what", metavar="PRODUCT")
@click.option("-r", "--release-id", help="This release.  [default: the newest]")
@click.option("--zip", "as_zip", is_flag=True, help="All files in one ZIP, checked one by one.")
@_transfer_options
@hub_option
@click.pass_context
def download(
    ctx: click.Context, /, what: str, release_id: str | None, as_zip: bool, **options: Any
) -> None:
    """Download the newest release of a product, and verify it.

    PRODUCT is a product's code, or the number of an entitlement. Prints the path of each
    complete file on stdout. A file that is already there and right is left alone.
    """
    setup = ctx.obj
    assert isinstance(setup, Setup)
    with setup.client() as client:
        entitlement = find_entitlement(client, what)
        release = find_release(client, str(entitlement.get("id", "")), release_id)
    order = _order(ctx, str(entitlement.get("id", "")), str(release.get("id", "")), **options)
    items = order.plan_zip(entitlement, release) if as_zip else order.plan(None)
    _carry_out(ctx, order, items)


def _order(
    ctx: click.Context,
    entitlement_id: str,
    release_id: str,
    *,
    download_dir: str | None,
    country: str | None,
    jobs: int,
    retries: int,
    connect_timeout: float,
    stall_timeout: float,
    by_aspera: bool = False,
) -> "_Order":
    setup = ctx.obj
    assert isinstance(setup, Setup)
    folder = Path(download_dir).expanduser() if download_dir else downloads_folder(setup.variables)
    return _Order(
        setup=setup,
        entitlement_id=entitlement_id,
        release_id=release_id,
        folder=folder.absolute(),
        by_aspera=by_aspera,
        country=country_code(country) if country else None,
        jobs=jobs,
        times=Times(connect_seconds=connect_timeout, stall_seconds=stall_timeout),
        backoff=Backoff(attempts=retries + 1),
    )


def _carry_out(ctx: click.Context, order: "_Order", items: Sequence[Item]) -> None:
    outcomes = order.fetch(items)
    for outcome in outcomes:
        if outcome.downloaded is not None:
            click.echo(str(outcome.downloaded.path))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        _summarise(failed, len(outcomes))
        ctx.exit(int(failed[0].error.exit_code) if failed[0].error else 1)
    say("All done!", color="green")


@dataclass(slots=True)
class _Order:
    """One run of the command: what to fetch, how, and the token a person may have added."""

    setup: Setup
    entitlement_id: str
    release_id: str
    folder: Path
    by_aspera: bool
    country: str | None
    jobs: int
    times: Times
    backoff: Backoff
    new_token: str | None = None
    zipped: JsonObject | None = None

    def plan(self, artifact_id: str | None) -> list[Item]:
        """The artifacts with their names; everything that can fail early fails here."""
        with self._client() as client:
            if artifact_id:
                artifacts = [client.artifact(self.entitlement_id, self.release_id, artifact_id)]
            else:
                artifacts = client.artifacts(self.entitlement_id, self.release_id)
        if not artifacts:
            raise NotFound(f"Release {self.release_id} has no artifact.")
        items = plan_names(artifacts)
        for item in items:
            if item.error is None and item.name != item.artifact.get("fileName"):
                given = str(item.artifact.get("fileName"))
                say(f"The name {given[:300]!r} is not used as it is; the file is {item.name}")
        make_folder(self.folder)
        check_room_for_all(items, self.folder)
        return items

    def plan_zip(self, entitlement: JsonObject, release: JsonObject) -> list[Item]:
        """The one ZIP; what its entries must be is checked before anything is fetched."""
        product = entitlement.get("product")
        code = product.get("id") if isinstance(product, dict) else None
        named = f"{code or self.entitlement_id}-{release.get('name') or self.release_id}.zip"
        artifacts = release.get("artifacts")
        if not isinstance(artifacts, list) or not artifacts:
            raise NotFound(f"Release {self.release_id} has no artifact.")
        make_folder(self.folder)
        self.zipped = release
        return [Item({}, safe_name(named))]

    def fetch(self, items: Sequence[Item]) -> list[Outcome]:
        """Fetch all; what a person can put right is asked for and tried again."""
        outcomes = self._fetch_once(items)
        while is_interactive():
            again = self._put_right(items, outcomes)
            if not again:
                break
            fresh = iter(self._fetch_once([items[index] for index in again]))
            outcomes = [
                next(fresh) if index in again else outcome for index, outcome in enumerate(outcomes)
            ]
        return outcomes

    def _fetch_once(self, items: Sequence[Item]) -> list[Outcome]:
        with self._client() as client, open_display() as display:

            def download_one(item: Item) -> Downloaded:
                if self.zipped is not None:
                    return client.download_zip(
                        self.entitlement_id,
                        self.zipped,
                        self.folder,
                        name=item.name,
                        country=self.country,
                        watcher=display.watcher,
                    )
                if self.by_aspera and not is_controlled(item.artifact):
                    return self._by_aspera(client, item)
                return client.download(
                    self.entitlement_id,
                    self.release_id,
                    item.artifact,
                    self.folder,
                    name=item.name,
                    country=self.country,
                    watcher=display.watcher,
                )

            return download_items(
                items, download_one, jobs=self.jobs, stop=client.stop, done=display.finished
            )

    def _by_aspera(self, client: Client, item: Item) -> Downloaded:
        artifact_id = str(item.artifact.get("id", ""))
        spec = client.transfer_spec(self.entitlement_id, self.release_id, artifact_id)
        target = self.folder / item.name
        return download_by_aspera(spec, target, expected_of(item.artifact), client.stop)

    def _client(self) -> Client:
        return self.setup.client(
            times=self.times, transfer_backoff=self.backoff, token=self.new_token
        )

    def _put_right(self, items: Sequence[Item], outcomes: Sequence[Outcome]) -> set[int]:
        """Ask about licences and an ended token; the indexes of what is worth another try."""
        again: set[int] = set()
        licences: dict[str, bool] = {}
        ended: bool | None = None
        for index in range(len(items)):
            error = outcomes[index].error
            if isinstance(error, LicenceNeeded):
                url = error.agreement_url
                if url not in licences:
                    licences[url] = _ask_for_licence(error)
                if licences[url]:
                    again.add(index)
            elif isinstance(error, NotSignedIn):
                if ended is None:
                    ended = self._ask_for_token(error)
                if ended:
                    again.add(index)
        return again

    def _ask_for_token(self, error: NotSignedIn) -> bool:
        complain(error)
        answer: str = click.prompt(
            "Paste a new token to go on (Enter alone stops)",
            default="",
            show_default=False,
            hide_input=True,
            err=True,
        )
        self.new_token = clean_token(answer) if answer.strip() else None
        return self.new_token is not None


def _ask_for_licence(error: LicenceNeeded) -> bool:
    """Show where the licence is, open it if wanted, and wait for the person."""
    complain(error)
    if error.agreement_url.startswith(("https://", "http://")) and click.confirm(
        "Open it in your web browser?", default=True, err=True
    ):
        import webbrowser

        webbrowser.open(error.agreement_url)
    return click.confirm("Accepted: go on with the download?", default=True, err=True)


def _summarise(failed: Sequence[Outcome], count: int) -> None:
    say(f"{len(failed)} of {count} failed:", color="red")
    alike: dict[str, list[Outcome]] = {}
    for outcome in failed:
        assert outcome.error is not None, "only failed ones come here"
        alike.setdefault(outcome.error.message, []).append(outcome)
    for outcomes in alike.values():
        first = outcomes[0].error
        assert first is not None
        complain(first)
        if isinstance(first, LicenceNeeded):
            say("It is needed for:\n" + "\n".join(f"  {outcome.name}" for outcome in outcomes))
    say("Run the same command again: files that are complete are not fetched twice.")
