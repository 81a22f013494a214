"""One run of a download: what is planned, fetched, put right where somebody can, and told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from entrepot.cli.accepting import accept_named
from entrepot.cli.console import complain, is_interactive, say
from entrepot.cli.progress import Report, error_fields, open_display
from entrepot.cli.setup import Setup
from entrepot.cli.transferring import Manner
from entrepot.client import (
    Cancelled,
    Client,
    ClientError,
    Downloaded,
    LicenceNeeded,
    NotFound,
    NotSignedIn,
)
from entrepot.client.answers import JsonObject
from entrepot.client.attesting import attest
from entrepot.client.batch import Item, Outcome, check_room_for_all, download_items, plan_names
from entrepot.client.countries import is_controlled
from entrepot.client.download_notes import NAME as NOTES_NAME
from entrepot.client.download_notes import Notes
from entrepot.client.downloader import Watcher
from entrepot.client.holdings import hold_entitlement, note_entitlement
from entrepot.client.inside import Inside
from entrepot.client.manifests import Manifest, fetch_manifest, save_manifest
from entrepot.client.names import safe_name
from entrepot.client.partial import make_folder
from entrepot.client.tokens import clean_token
from entrepot.client.trust import Pin, Trust
from entrepot.client.verification import Expected, expected_of


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Programs that read events hear of an error that ends the command, and of Ctrl-C, too."""
    try:
        yield
    except ClientError as error:
        report.tell("ended", **error_fields(error))
        raise
    except KeyboardInterrupt:
        report.tell("ended", **error_fields(Cancelled("Stopped.")))
        raise


def trust_of(setup: Setup, client: Client, report: Report) -> Trust:
    """What this machine trusts of the hub; whom it begins to trust is told."""

    def told(pin: Pin) -> None:
        report.say(
            f"From now on releases of {pin.product} must be signed by its publisher, "
            f"who is trusted by what this hub says today: {pin.fingerprint}"
        )
        report.tell("pinned", product=pin.product, fingerprint=pin.fingerprint)

    return Trust(setup.profile().root, client.api.base.url, told=told)


@dataclass(slots=True)
class Run:
    """One run of the command: what to fetch, how, and the token a person may have added."""

    setup: Setup
    entitlement_id: str
    release_id: str
    manner: Manner
    by_aspera: bool = False
    as_edmgr: bool = False
    new_token: str | None = None
    zipped: JsonObject | None = None
    signed: Mapping[str, Expected] = field(default_factory=dict)
    product: str = ""
    release_name: str = ""
    notes: Notes | None = None

    def client(self) -> Client:
        """A client that is as patient as the options say."""
        manner = self.manner
        return self.setup.client(
            times=manner.times, transfer_backoff=manner.backoff, token=self.new_token
        )

    def signed_manifest(
        self, client: Client, product: str, *, by_number: bool = False
    ) -> Manifest | None:
        """What the publisher signed of the release, None where the product is not signed.

        `by_number`: that it is this product is said by the hub alone.
        """
        self.product = product
        trust = trust_of(self.setup, client, self.manner.report)
        if by_number:
            hold_entitlement(trust, self.entitlement_id, product)
        manifest = fetch_manifest(client, trust, product, self.release_id)
        if manifest is not None:
            note_entitlement(trust, self.entitlement_id, product)
        return manifest

    def attest(
        self,
        manifest: Manifest | None,
        artifacts: Sequence[JsonObject],
        *,
        whole: bool = True,
        release: JsonObject | None = None,
    ) -> None:
        """Hold what is listed against what the publisher signed, where anything is signed."""
        self.release_name = str((release or {}).get("name") or "")
        if manifest is None:
            return
        self.signed = attest(manifest, artifacts, whole=whole, release=release)
        make_folder(self.manner.folder)
        save_manifest(manifest, self.manner.folder)

    def plan(self, artifacts: Sequence[JsonObject]) -> list[Item]:
        """The artifacts with their names; everything that can fail early fails here."""
        if not artifacts:
            raise NotFound(f"Release {self.release_id} has no artifact.")
        items = plan_names(artifacts)
        for item in items:
            if item.error is None and item.name != item.artifact.get("fileName"):
                given = str(item.artifact.get("fileName"))
                self.manner.report.say(
                    f"The name {given[:300]!r} is not used as it is; the file is {item.name}"
                )
        self._open_folder()
        check_room_for_all(items, self.manner.folder)
        return items

    def plan_zip(self, entitlement: JsonObject, release: JsonObject) -> list[Item]:
        """The one ZIP; what its entries must be is checked before anything is fetched."""
        product = entitlement.get("product")
        code = product.get("id") if isinstance(product, dict) else None
        named = f"{code or self.entitlement_id}-{release.get('name') or self.release_id}.zip"
        artifacts = release.get("artifacts")
        if not isinstance(artifacts, list) or not artifacts:
            raise NotFound(f"Release {self.release_id} has no artifact.")
        self._open_folder()
        self.zipped = release | {"artifacts": [self._as_signed(each) for each in artifacts]}
        return [Item({}, safe_name(named))]

    def _open_folder(self) -> None:
        folder = self.manner.folder
        make_folder(folder)
        # A script of edmgr's finds nothing in its folder but files, unless we are known there.
        if Inside(folder).has(NOTES_NAME) or not self.as_edmgr:
            self.notes = Notes(folder)

    def _note(self, client: Client, item: Item, done: Downloaded) -> Downloaded:
        if self.notes is not None:
            self.notes.add(
                done,
                hub=client.api.base.url,
                product=self.product,
                release_id=self.release_id,
                release=self.release_name,
                artifact_id=str(item.artifact.get("id", "")),
                stop=client.stop,
            )
        return done

    def _as_signed(self, artifact: JsonObject) -> JsonObject:
        """What the hub lists, with the size and the SHA-256 that were signed."""
        signed = self.signed.get(str(artifact.get("id", "")))
        if signed is None:
            return artifact
        return artifact | {"fileSize": signed.size, "sha256": signed.digest}

    def fetch(self, items: Sequence[Item]) -> list[Outcome]:
        """Fetch all; what was allowed for, or a person can put right, is tried again."""
        report = self.manner.report
        report.tell(
            "planned",
            entitlement=self.entitlement_id,
            release=self.release_id,
            folder=str(self.manner.folder),
            files=[item.name for item in items],
        )
        outcomes = self._fetch_once(items)
        if self.manner.licences and _lack_licence(outcomes):
            outcomes = self._accept_and_go_on(items, outcomes)
        while is_interactive() and report is Report.PEOPLE:
            again = self._put_right(items, outcomes)
            if not again:
                break
            outcomes = self._fetch_again(items, outcomes, again)
        return outcomes

    def _fetch_once(self, items: Sequence[Item]) -> list[Outcome]:
        with self.client() as client, open_display(self.manner.report) as display:
            if self.zipped is None and not self.by_aspera:
                client.expect_downloads(
                    self.entitlement_id, self.release_id, [item.artifact for item in items]
                )

            def download_one(item: Item) -> Downloaded:
                return self._note(client, item, self._download(client, item, display.watcher))

            try:
                return download_items(
                    items,
                    download_one,
                    jobs=self.manner.jobs,
                    stop=client.stop,
                    done=display.finished,
                )
            finally:
                if self.notes is not None:
                    self.notes.save()

    def _download(self, client: Client, item: Item, watcher: Watcher) -> Downloaded:
        manner = self.manner
        if self.zipped is not None:
            return client.download_zip(
                self.entitlement_id,
                self.zipped,
                manner.folder,
                name=item.name,
                country=manner.country,
                watcher=watcher,
                rate=manner.rate,
            )
        if self.by_aspera and not is_controlled(item.artifact):
            return self._by_aspera(client, item)
        return client.download(
            self.entitlement_id,
            self.release_id,
            item.artifact,
            manner.folder,
            name=item.name,
            country=manner.country,
            watcher=watcher,
            expected=self.signed.get(str(item.artifact.get("id", ""))),
            rate=manner.rate,
            connections=manner.connections,
        )

    def _fetch_again(
        self, items: Sequence[Item], outcomes: Sequence[Outcome], again: set[int]
    ) -> list[Outcome]:
        fresh = iter(self._fetch_once([items[index] for index in sorted(again)]))
        return [
            next(fresh) if index in again else outcome for index, outcome in enumerate(outcomes)
        ]

    def _accept_and_go_on(self, items: Sequence[Item], outcomes: list[Outcome]) -> list[Outcome]:
        """Accept the licence that is named; where another is asked for, that is the error."""
        lacking = _lack_licence(outcomes)
        manner = self.manner
        with self.client() as client:
            error = accept_named(client, self.entitlement_id, manner.licences, manner.report)
        if error is None:
            return self._fetch_again(items, outcomes, lacking)
        known = next(iter(lacking))
        first = outcomes[known].error
        if isinstance(first, LicenceNeeded) and not error.agreement_url:
            error.agreement_url = first.agreement_url
        return [
            Outcome(outcome.name, None, error) if index in lacking else outcome
            for index, outcome in enumerate(outcomes)
        ]

    def _by_aspera(self, client: Client, item: Item) -> Downloaded:
        from entrepot.client.aspera import download_by_aspera

        artifact_id = str(item.artifact.get("id", ""))
        spec = client.transfer_spec(self.entitlement_id, self.release_id, artifact_id)
        target = self.manner.folder / item.name
        expected = self.signed.get(artifact_id) or expected_of(item.artifact)
        return download_by_aspera(spec, target, expected, client.stop)

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


def carry_out(ctx: click.Context, run: Run, plan: Callable[[], Sequence[Item]]) -> None:
    """Plan and fetch, print the paths of what is complete, and end with the right code."""
    report = run.manner.report
    with reporting(report):
        outcomes = run.fetch(plan())
    report.print_paths(one.downloaded.path for one in outcomes if one.downloaded is not None)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    code = int(failed[0].error.exit_code) if failed and failed[0].error else 0
    report.tell("ended", exit_code=code, complete=len(outcomes) - len(failed), failed=len(failed))
    if failed:
        _summarise(failed, len(outcomes))
        ctx.exit(code)
    report.say("All done!", color="green")


def _lack_licence(outcomes: Sequence[Outcome]) -> set[int]:
    return {at for at, one in enumerate(outcomes) if isinstance(one.error, LicenceNeeded)}


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
