"""`entrepotd check`: are the settings sound, and does everything they name work?"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from entrepot.blobs import DiskReserve, LocalBlobStore, ReserveState
from entrepot.core.accounts import SecretBox, find_organisation, load_keyring, load_providers
from entrepot.core.conversions.office import find_office
from entrepot.core.conversions.rules import load_media_rules
from entrepot.daemon.console import complain, show_json
from entrepot.daemon.desk import Desk
from entrepot.daemon.exit_codes import ExitCode
from entrepot.daemon.listening import load_tls
from entrepot.daemon.options import hub_command, json_option
from entrepot.db import connect
from entrepot.db.migrate import require_current
from entrepot.errors import EntrepotError, Unavailable
from entrepot.kit.clock import Clock
from entrepot.settings import Settings, describe


@dataclass(frozen=True, slots=True)
class _Finding:
    """One check: `fault` is empty where it passed."""

    name: str
    fault: str
    note: str = ""


@click.command()
@json_option
@hub_command
def check(desk: Desk, *, as_json: bool) -> int:
    """Print the settings in force, and test database, keys, stored files and disk.

    Exit code 0: everything works; 1: something does not.
    """
    try:
        settings = desk.settings()
    except EntrepotError as error:
        if as_json:
            show_json({"ok": False, "settings": [], "faults": dict(error.details)})
        complain(error)
        return ExitCode.UNEXPECTED
    findings = list(_findings(settings))
    sound = not any(finding.fault for finding in findings)
    if as_json:
        _show_json(settings, findings, sound=sound)
    else:
        _show(settings, findings)
    return ExitCode.DONE if sound else ExitCode.UNEXPECTED


def _show_json(settings: Settings, findings: list[_Finding], *, sound: bool) -> None:
    rows = [
        {"name": name, "value": value, "source": source}
        for name, value, source in describe(settings)
    ]
    checks = [
        {"name": each.name, "ok": not each.fault, "fault": each.fault, "note": each.note}
        for each in findings
    ]
    show_json({"ok": sound, "settings": rows, "checks": checks})


def _show(settings: Settings, findings: list[_Finding]) -> None:
    rows = describe(settings)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        print(f"{name:{widths[0]}}  {value:{widths[1]}}  {source}")
    print()
    for finding in findings:
        state = f"FAULT: {finding.fault}" if finding.fault else f"ok {finding.note}"
        print(f"{finding.name:18}  {state}".rstrip())


def _findings(settings: Settings) -> Iterator[_Finding]:
    tests: dict[str, Callable[[Settings], str]] = {
        "database": _test_database,
        "keys": _test_keys,
        "stored files": _test_blobs,
        "disk": _test_disk,
        "tls": _test_tls,
        "media rules": _test_media_rules,
        "office documents": _test_office,
        "identity providers": _test_identity_providers,
    }
    for name, test in tests.items():
        try:
            yield _Finding(name, "", test(settings))
        except EntrepotError as error:
            gap = "\n" if "\n" in error.message else " "  # several faults have a line each
            yield _Finding(name, f"{error.message}{gap}{error.remedy}".strip())


def _test_database(settings: Settings) -> str:
    if settings.database_url.startswith("sqlite:") and not settings.data.is_dir():
        raise Unavailable(
            f"The folder {settings.data} does not exist.", remedy="Run `entrepotd init`."
        )
    database = connect(settings.database_url)
    try:
        require_current(database)
        return database.dialect
    finally:
        database.close()


def _test_keys(settings: Settings) -> str:
    _test_database(settings)
    database = connect(settings.database_url)
    now = Clock()()
    try:
        with database.read() as tx:
            ring = load_keyring(tx, SecretBox(settings.secret_key), now=now)
        token, link = ring.signing_token_key(now), ring.signing_link_key(now)
    finally:
        database.close()
    return f"token {token.kid}, link {link.kid}"


def _test_blobs(settings: Settings) -> str:
    LocalBlobStore(settings.blobs_dir, reserve_bytes=settings.reserve_bytes).check()
    return str(settings.blobs_dir)


def _test_disk(settings: Settings) -> str:
    if DiskReserve(settings.data, size_bytes=settings.reserve_bytes).state() is ReserveState.HELD:
        free = shutil.disk_usage(settings.data).free
        return f"{free >> 20} MiB free, the reserve is held"
    raise Unavailable(
        "The reserve is used up or was never made.",
        remedy="Free some space, then run `entrepotd migrate`.",
    )


def _test_tls(settings: Settings) -> str:
    return "certificate and key fit" if load_tls(settings) else "not used"


def _test_media_rules(settings: Settings) -> str:
    rules = load_media_rules(settings.media_rules)
    return f"{len(rules.renditions)} renditions, {len(rules.presets)} presets"


def _test_office(settings: Settings) -> str:
    """No fault: what is needed for it may be left out."""
    del settings
    office = find_office()
    return office.version if office else "not converted: LibreOffice is not installed"


def _test_identity_providers(settings: Settings) -> str:
    """The file, and that every organisation which it names is registered."""
    providers = load_providers(settings.identity_providers)
    if not providers:
        return "not used"
    wanted = {rule.organisation for provider in providers for rule in provider.members}
    database = connect(settings.database_url)
    try:
        with database.read() as tx:
            for organisation in sorted(wanted, key=str):
                find_organisation(tx, organisation)
    finally:
        database.close()
    return ", ".join(provider.name for provider in providers)
