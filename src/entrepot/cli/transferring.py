"""Options of commands that fetch files: where to, how fast, how patient, what is reported."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from entrepot.cli.completing import complete_folder
from entrepot.cli.progress import Report
from entrepot.cli.setup import Setup
from entrepot.client import Backoff, RateLimit, Times
from entrepot.client.batch import JOBS_MAX
from entrepot.client.countries import country_code
from entrepot.client.errors import InvalidUse
from entrepot.client.licences import Named, parse_named
from entrepot.client.profiles import downloads_folder

CONNECTIONS_MAX = 16
RATE_MAX = 1 << 50
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kmgt]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Manner:
    """How files are fetched, from the options: `folder` is absolute."""

    folder: Path
    country: str | None
    jobs: int
    times: Times
    backoff: Backoff
    rate: RateLimit | None
    connections: int | None
    licences: tuple[Named, ...]
    report: Report


def transfer_options(function: _Function) -> _Function:
    """The options that `manner_of` takes."""
    folder = click.option(
        "-d",
        "--download-dir",
        shell_complete=complete_folder,
        help="Folder for the files.  [default: the profile's, else ~/Artifacts]",
    )
    return folder(patience_options(function))


def patience_options(function: _Function) -> _Function:
    """Those but for the folder, for a command that is given one in another way."""
    return _added(function, _COUNTRY, *_LICENCES, _JOBS, _CONNECTIONS, *_PATIENCE, *_REPORT)


def stream_options(function: _Function) -> _Function:
    """Those for a command that writes one file by one connection."""
    return _added(function, _COUNTRY, *_LICENCES, *_PATIENCE, *_REPORT)


def _added(function: _Function, *options: Callable[[_Function], _Function]) -> _Function:
    for option in reversed(options):
        function = option(function)
    return function


_COUNTRY = click.option(
    "--country", help="Country to declare for controlled artifacts, such as GB."
)
_LICENCES = (
    click.option(
        "--accept-licence",
        "accept_licence",
        metavar="REVISION",
        multiple=True,
        help="Accept this revision of a licence where one is asked for: CODE@REVISION, "
        "or the number alone. Have it read before. Can be given several times.",
    ),
    click.option(
        "--for-organisation",
        is_flag=True,
        help="With --accept-licence: for everybody in it, where you are its administrator.",
    ),
)
_JOBS = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    default=3,
    show_default=True,
    help="How many files at a time.",
)
_CONNECTIONS = click.option(
    "--connections",
    type=click.IntRange(1, CONNECTIONS_MAX),
    help="How many connections for a file.  [default: as many as pay]",
)
_PATIENCE = (
    click.option(
        "--limit-rate",
        metavar="RATE",
        help="Bytes per second for all files together, such as 500k or 10M (of 1024).",
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
_REPORT = (
    click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout: an event a line."),
    click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors."),
)


def manner_of(
    setup: Setup,
    *,
    download_dir: str | None,
    country: str | None,
    accept_licence: tuple[str, ...],
    for_organisation: bool,
    jobs: int = 1,
    connections: int | None = None,
    limit_rate: str | None,
    retries: int,
    connect_timeout: float,
    stall_timeout: float,
    as_json: bool,
    quiet: bool,
) -> Manner:
    """What the options of `transfer_options` say, with what the profile says."""
    profile = setup.profile()
    declared = country or profile.country
    folder = Path(download_dir or downloads_folder(setup.variables, profile)).expanduser()
    return Manner(
        folder=folder.absolute(),
        country=country_code(declared) if declared else None,
        jobs=jobs,
        times=setup.times(connect_timeout, stall_timeout),
        backoff=Backoff(attempts=retries + 1),
        rate=RateLimit(parse_rate(limit_rate)) if limit_rate else None,
        connections=connections,
        licences=tuple(
            parse_named(one, for_organisation=for_organisation) for one in accept_licence
        ),
        report=Report.JSON if as_json else Report.ERRORS if quiet else Report.PEOPLE,
    )


def parse_rate(text: str) -> float:
    """Bytes per second of `500k`, `10M`, `1.5G` (units of 1024, as curl has them).

    Raises InvalidUse.
    """
    parts = _RATE.fullmatch(text.strip())
    rate = float(parts[1]) * _UNITS[parts[2].lower()] if parts else 0.0
    if not 0 < rate <= RATE_MAX:
        raise InvalidUse(
            f"{text[:40]!r} is not a rate.", remedy="Write bytes per second like 500k or 10M."
        )
    return rate
