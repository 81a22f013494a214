"""The commands sync and lock: a folder in step with the hub, and releases pinned by digest."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import click

from entrepot.cli.accepting import accept_named
from entrepot.cli.completing import complete_folder, complete_product
from entrepot.cli.console import complain, say
from entrepot.cli.fetching import reporting, trust_of
from entrepot.cli.options import COMMAND, directory_argument, hub_option
from entrepot.cli.progress import Report, error_fields, open_display
from entrepot.cli.rows import size_text
from entrepot.cli.setup import Setup
from entrepot.cli.transferring import Manner, manner_of, patience_options
from entrepot.client import lock_files, sync_folder, syncing
from entrepot.client.batch import JOBS_MAX, Outcome
from entrepot.client.choices import Choice, choice_of, read_choices
from entrepot.client.client import Client
from entrepot.client.errors import InvalidUse, LicenceNeeded
from entrepot.client.finding import parse_wanted
from entrepot.client.lock_files import LockFile, read_lock, save_lock
from entrepot.client.locking import make_lock
from entrepot.client.mirroring import Synced, choices_of
from entrepot.client.sync_plans import REMOVABLE, Leftover
from entrepot.client.syncing import Proofs

_MEANS = {
    "withdrawn": "the publisher has withdrawn it",
    "ended": "your entitlement gives it no more",
    "gone": "the hub knows it no more",
    "unwanted": "it is not asked for any more",
    "unsure": "it is not known whether your right to it has ended",
    "missing": "it is no longer listed",
}


@click.command(context_settings=COMMAND)
@directory_argument
@click.option(
    "--wanted",
    "wanted_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="What to hold.  [default: DIR/entrepot.toml, else everything]",
)
@click.option("--locked", is_flag=True, help="Exactly what the lock file pins, or nothing.")
@click.option(
    "--lock-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="With --locked.  [default: DIR/entrepot.lock]",
)
@click.option("--remove", is_flag=True, help="Remove what is wanted or offered no more.")
@click.option("--check", is_flag=True, help="Read every file, whatever is noted of it.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@patience_options
@hub_option
@click.pass_context
def sync(
    ctx: click.Context,
    /,
    directory: str,
    wanted_file: str | None,
    lock_file: str | None,
    *,
    locked: bool,
    remove: bool,
    check: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Keep DIR in step with what your entitlements give, as DIR/CODE/RELEASE/FILE.

    Says what is new, changed, withdrawn or ended, fetches what is not there, and verifies it.
    Removes nothing without --remove. Run it again whenever you like: what is complete is not
    fetched twice, and what was stopped goes on. The paths of new files are printed on stdout.
    """
    if locked and wanted_file:
        raise InvalidUse("--locked and --wanted are two ways to say what is wanted.")
    if lock_file and not locked:
        raise InvalidUse("--lock-file is for --locked.")
    setup = _setup(ctx)
    manner = manner_of(setup, download_dir=directory, **options)
    job = _Job(setup, manner, remove=remove, check=check, dry_run=dry_run)
    with reporting(manner.report):
        if locked:
            path = Path(lock_file) if lock_file else manner.folder / lock_files.FILE_NAME
            code = job.run(None, read_lock(path))
        else:
            code = job.run(read_choices(Path(wanted_file)) if wanted_file else None)
    ctx.exit(code)


class _Job:
    """One run of sync."""

    def __init__(
        self, setup: Setup, manner: Manner, *, remove: bool, check: bool, dry_run: bool
    ) -> None:
        self._setup = setup
        self._manner = manner
        self._folder = manner.folder
        self._report = manner.report
        self._remove, self._check, self._dry_run = remove, check, dry_run

    def run(self, choices: Sequence[Choice] | None, lock: LockFile | None = None) -> int:
        """In step with the choices (None: as the folder says), or what the lock pins."""
        manner = self._manner
        with (
            self._setup.client(times=manner.times, transfer_backoff=manner.backoff) as client,
            open_display(self._report) as display,
        ):
            synced = sync_folder(
                client,
                self._folder,
                choices=choices,
                lock=lock,
                trust=trust_of(self._setup, client, self._report),
                manner=self._patience(client),
                remove=self._remove,
                check=self._check,
                dry_run=self._dry_run,
                planned=self._tell_plan,
                watcher=display.watcher,
                done=display.finished,
            )
        return self._end(synced)

    def _patience(self, client: Client) -> syncing.Manner:
        manner, lock = self._manner, Lock()
        answered: dict[str, LicenceNeeded | None] = {}

        def accept(entitlement: str) -> LicenceNeeded | None:
            with lock:  # once for each entitlement, however many files ask
                if entitlement not in answered:
                    answered[entitlement] = accept_named(
                        client, entitlement, manner.licences, self._report
                    )
                return answered[entitlement]

        return syncing.Manner(
            manner.jobs,
            manner.country,
            manner.rate,
            manner.connections,
            accept if manner.licences else None,
        )

    def _tell_plan(self, begun: Synced) -> None:
        report, prepared, plan = self._report, begun.prepared, begun.prepared.plan
        for notice in begun.notices:
            report.say(notice, color="yellow")
            report.tell("notice", message=notice)
        fetching = plan.to_fetch()
        size = sum(step.file.size for step in fetching)
        report.tell(
            "planned",
            folder=str(self._folder),
            files=[step.path for step in fetching],
            complete=len(plan.steps) - len(fetching),
            bytes=size,
            lists_unchanged=prepared.offers.unchanged,
            dry_run=self._dry_run,
        )
        for step in fetching:
            report.say(f"{step.why:<10}{step.path}  {size_text(step.file.size)}")
            report.tell(
                "difference",
                file=step.path,
                state=step.why,
                product=step.release.product,
                release=step.release.id,
                artifact=step.file.artifact_id,
                size=step.file.size,
                sha256=step.file.sha256,
            )

    def _end(self, synced: Synced) -> int:
        report, prepared, outcomes = self._report, synced.prepared, synced.outcomes
        plan = prepared.plan
        for one in plan.leftovers:
            self._tell_leftover(one, synced.removed.get(one.path, "kept"))
        for each in prepared.offers.withheld:
            if each.ended:
                report.say(each.error.message, color="yellow")
                report.tell("withheld", entitlement=each.entitlement, **error_fields(each.error))
        for name, refused in prepared.refusals():
            report.tell("refused", name=name, **error_fields(refused))
            complain(refused)
        fetched = [
            one.downloaded for one in outcomes if one.downloaded and not one.downloaded.skipped
        ]
        report.print_paths(each.path for each in fetched)
        error = synced.error
        code = int(error.exit_code) if error else 0
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        report.tell(
            "ended",
            exit_code=code,
            complete=synced.complete,
            fetched=len(fetched),
            failed=len(failed),
            leftover=len(plan.leftovers),
        )
        self._complain_of(failed)
        report.say(
            f"{synced.complete} of {len(plan.steps)} files complete"
            + (
                f"; {len(plan.to_fetch())} would be fetched."
                if self._dry_run
                else f", {len(fetched)} of them fetched now"
                + (f"; {len(failed)} failed." if failed else ".")
            ),
            color="red" if code else "green",
        )
        return code

    def _complain_of(self, failed: Sequence[Outcome]) -> None:
        """Each error once; people have seen all but those about licences when they happened."""
        alike: dict[str, list[Outcome]] = {}
        for outcome in failed:
            if outcome.error is not None:
                alike.setdefault(outcome.error.message, []).append(outcome)
        for outcomes in alike.values():
            error = outcomes[0].error
            if error is None or (
                self._report is Report.PEOPLE and not isinstance(error, LicenceNeeded)
            ):
                continue
            complain(error)
            names = "\n".join(f"  {outcome.name}" for outcome in outcomes)
            say(f"It is in the way of:\n{names}")

    def _tell_leftover(self, one: Leftover, became: str) -> None:
        more = ""
        if self._remove and one.fate in REMOVABLE and became == "kept":
            # What has been changed since is found when it would go.
            more = " (would be removed, unless it was changed)"
            if not self._dry_run:
                more = ", for somebody has changed it: remove it yourself"
        self._report.say(
            f"{one.fate:<10}{one.path}: {_MEANS[one.fate]}; {became}{more}", color="yellow"
        )
        self._report.tell(
            "leftover",
            file=one.path,
            state=one.fate,
            result=became,
            product=one.held.product,
            release=one.held.release_id,
            artifact=one.held.artifact_id,
        )


@click.command(context_settings=COMMAND)
@click.argument("what", metavar="[CODE[@VERSION]]...", nargs=-1, shell_complete=complete_product)
@click.option(
    "--update",
    metavar="CODE",
    multiple=True,
    help="Only pin this product anew, as it was asked for. Can be given several times.",
)
@click.option(
    "-a",
    "--artifact",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="Only files of such names, with CODE. Can be given several times.",
)
@click.option(
    "-d",
    "--directory",
    metavar="DIR",
    default=".",
    show_default=True,
    shell_complete=complete_folder,
    help="Where entrepot.toml and entrepot.lock lie.",
)
@click.option(
    "--lock-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where to write it.  [default: DIR/entrepot.lock]",
)
@click.option(
    "--wanted",
    "wanted_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="What to pin.  [default: DIR/entrepot.toml, else everything]",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    default=3,
    show_default=True,
    help="Releases to look at at once.",
)
@hub_option
@click.pass_context
def lock(
    ctx: click.Context,
    /,
    what: tuple[str, ...],
    update: tuple[str, ...],
    patterns: tuple[str, ...],
    directory: str,
    lock_file: str | None,
    wanted_file: str | None,
    jobs: int,
) -> None:
    """Pin releases by id, and their files by size and SHA-256, in entrepot.lock.

    Pins the newest release of each CODE, or VERSION; of other products what is pinned stays.
    Without CODE it pins what entrepot.toml names, else everything. `sync --locked` and `download
    --locked` then bring exactly these bytes, or fail.
    """
    if update and (what or wanted_file or patterns):
        raise InvalidUse("--update pins again what the lock file has; leave the rest out.")
    if patterns and not what:
        raise InvalidUse("--artifact goes with CODE.")
    setup = _setup(ctx)
    folder = Path(directory).absolute()
    path = Path(lock_file).absolute() if lock_file else folder / lock_files.FILE_NAME
    before = read_lock(path) if path.exists() else None
    with setup.client() as client:
        hub = client.api.base.url
        if before is not None and before.hub != hub:
            raise InvalidUse(f"{path} is for {before.hub}, not for {hub}.")
        proofs = Proofs(client, trust_of(setup, client, Report.PEOPLE), None)
        if update:
            choices = _pinned_choices(before, update)
        elif what:
            choices = _typed_choices(what, patterns)
        else:
            named = read_choices(Path(wanted_file)) if wanted_file else choices_of(folder)
            choices = list(named)
        made = make_lock(client, choices, proofs, before=before, jobs=jobs)
    if before is not None and (what or update):
        made = before.replacing(made.releases, {choice.product for choice in choices})
    changed = save_lock(path, made)
    for release in made.releases:
        Report.PEOPLE.say(
            f"{release.product} {release.name}: {len(release.files)} files"
            + (", signed" if release.manifest else "")
        )
    told = "The lock file is written:" if changed else "The lock file says so already:"
    Report.PEOPLE.say(told, color="green")
    click.echo(str(path))


def _typed_choices(what: Sequence[str], patterns: Sequence[str]) -> list[Choice]:
    return [choice_of(parse_wanted(one), patterns, bare_is_latest=True) for one in what]


def _pinned_choices(before: LockFile | None, products: Sequence[str]) -> list[Choice]:
    """What was once asked for of these products. Raises InvalidUse for one that is not pinned."""
    found: list[Choice] = []
    for product in products:
        releases = [one for one in before.releases if one.product == product] if before else []
        if not releases:
            raise InvalidUse(
                f"{product} is not in the lock file.", remedy=f"Pin it: entrepot lock {product}"
            )
        found += [choice for release in releases for choice in release.requested]
    return list(dict.fromkeys(found))


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    return setup
