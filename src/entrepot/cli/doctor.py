"""The command doctor: one line for each thing that a download depends on."""

from pathlib import Path

import click

from entrepot.cli.completing import complete_folder, complete_product
from entrepot.cli.console import for_profile
from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.output import print_json
from entrepot.cli.setup import Setup
from entrepot.client.connections import Address, Times
from entrepot.client.diagnosis import (
    FAIL,
    OK,
    SKIP,
    WARN,
    Finding,
    Patient,
    examine,
    exposed_files,
)
from entrepot.client.errors import ClientError, ExitCode
from entrepot.client.names import printable
from entrepot.client.profiles import downloads_folder, files_root

_COLOURS = {OK: "green", WARN: "yellow", FAIL: "red", SKIP: None}
_SECONDS_MAX = 10.0
_VARIABLES = ("ENTREPOT_TOKEN", "EDM_ACCESS_TOKEN", "ENTREPOT_CLIENT_ID")


@click.command(context_settings=COMMAND)
@click.option("-d", "--download-dir", shell_complete=complete_folder, help="Folder to look at.")
@click.option(
    "--try",
    "product",
    metavar="PRODUCT",
    shell_complete=complete_product,
    help="Ask for a link to the newest release of this product, to see whether a download can "
    "be resumed. No byte of a file is sent.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@hub_option
@click.pass_context
def doctor(
    ctx: click.Context, download_dir: str | None, product: str | None, *, as_json: bool
) -> None:
    """Look at all that a download depends on, and say what to do where something is wrong.

    The program, files, folder, proxy, name, port, certificate and clock; the hub, the sign-in.
    Each line is ok, warn, fail or skip. The exit code is 0 unless something fails; then that of
    a download which fails for this reason.
    """
    setup = ctx.obj
    assert isinstance(setup, Setup)
    findings = []
    for finding in examine(_patient(setup, download_dir, product)):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([_fields(finding) for finding in findings], "jsonpp")
    failed = next((one for one in findings if one.verdict == FAIL), None)
    if failed is not None:
        ctx.exit(int(failed.code or ExitCode.UNEXPECTED))


def _patient(setup: Setup, download_dir: str | None, product: str | None) -> Patient:
    """What the options and the environment give; a fault in them is a finding, not an end."""
    hub: Address | None = None
    problem: ClientError | None = None
    name, folder = "?", Path(download_dir or ".").expanduser()
    times = None
    root = files_root(setup.variables)
    exposed = exposed_files(root)
    try:
        profile = setup.profile()
        name = profile.name
        folder = Path(download_dir or downloads_folder(setup.variables, profile)).expanduser()
        times = setup.times(_SECONDS_MAX, _SECONDS_MAX, 2 * _SECONDS_MAX)
        hub = setup.hub()
    except ClientError as error:
        problem = error
    known, patience = hub, times or Times()
    given = next((one for one in _VARIABLES if setup.variables.get(one)), "the saved sign-in")
    return Patient(
        root=root,
        profile=name,
        hub=known,
        problem=problem,
        tokens=None if known is None else lambda: setup.tokens(known, patience),
        token_from=given,
        times=patience,
        folder=folder.absolute(),
        product=product,
        exposed=exposed,
    )


def _print(finding: Finding) -> None:
    verdict = click.style(f"{finding.verdict:4}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict}  {finding.check:8} {printable(finding.said)}")
    if finding.remedy:
        click.echo(f"{'':15}{printable(for_profile(finding.remedy))}")


def _fields(finding: Finding) -> dict[str, object]:
    told: dict[str, object] = {
        "check": finding.check,
        "verdict": finding.verdict,
        "said": finding.said,
    }
    if finding.remedy:
        told["remedy"] = for_profile(finding.remedy)
    return {**told, **finding.facts}
