"""The command why: whether a download would be allowed now, with every reason and remedy."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from entrepot.cli.completing import complete_product
from entrepot.cli.console import complain, say
from entrepot.cli.options import COMMAND, hub_option
from entrepot.cli.output import print_json
from entrepot.cli.rows import text
from entrepot.cli.setup import Setup
from entrepot.client.answers import JsonObject
from entrepot.client.client import Client
from entrepot.client.errors import ClientError, ExitCode, NotFound
from entrepot.client.finding import (
    LATEST,
    Wanted,
    find_entitlement,
    find_numbered,
    find_release,
    parse_wanted,
    product_code,
)
from entrepot.client.permissions import explain_search

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MARKS = {"passed": "ok", "failed": "NO", "not-reached": "--"}


@click.command(context_settings=COMMAND)
@click.argument(
    "what",
    metavar="ARTIFACT|PRODUCT[@VERSION]...",
    nargs=-1,
    required=True,
    shell_complete=complete_product,
)
@click.option(
    "--country", help="As if this country were declared, such as GB.  [default: as download does]"
)
@click.option("--json", "as_json", is_flag=True, help="The hub's answers, a JSON list.")
@hub_option
@click.pass_context
def why(
    ctx: click.Context, /, what: tuple[str, ...], country: str | None, *, as_json: bool
) -> None:
    """Say why something may be downloaded, or not, and what to do about it.

    ARTIFACT is the id of a file or of a release. PRODUCT is a code, or the number of an
    entitlement, which alone is asked about then. The product's newest release is meant where no
    VERSION is given: also one that is withdrawn, or that your maintenance does not cover.
    Nothing is downloaded, counted or reported. Ends with 0 where all of it is allowed.
    """
    setup = ctx.obj
    assert isinstance(setup, Setup)
    told: list[JsonObject] = []
    errors: list[ClientError] = []
    with setup.client() as client:
        # As a download would: it counts for controlled files only.
        controlled = {"repository": "controlled"}
        declared = client.country_for(controlled, country or setup.profile().country)
        for one in what:
            try:
                found, total = _ask(client, one, declared)
            except NotFound as error:
                errors.append(error)
                continue
            told += found
            if total > len(found):
                say(f"{one}: {len(found)} are shown, of {total} at most.", color="yellow")
    if as_json:
        print_json(told, "json")
    else:
        _show(told)
    for missing in errors:
        complain(missing)
    ctx.exit(_code_of(told, errors))


def _ask(client: Client, what: str, country: str | None) -> tuple[list[JsonObject], int]:
    """What the hub explains, and how many there are at most."""
    if not _UUID.fullmatch(what):
        return _ask_of_product(client, parse_wanted(what), country)
    for search in ({"artifact.id": what}, {"release.id": what}):
        try:
            return explain_search(client, search, country=country)
        except NotFound:
            continue
    raise _nothing_like(what)


def _ask_of_product(
    client: Client, wanted: Wanted, country: str | None
) -> tuple[list[JsonObject], int]:
    numbered = find_numbered(client, wanted.what)
    code = wanted.what if numbered is None else product_code(numbered)
    try:
        found, total = explain_search(client, _search(code, wanted.version), country=country)
    except NotFound as error:
        _tell_of_group(client, wanted.what, numbered)
        raise (_nothing_like(str(wanted)) if numbered is None else _none_by(wanted)) from error
    if numbered is None:
        return found, total
    # The hub explains a product by each entitlement to it.
    mine = [one for one in found if _number_of(one) == numbered.get("id")]
    if not mine:
        raise _none_by(wanted)
    return mine, total - (len(found) - len(mine))


def _number_of(explained: Mapping[str, Any]) -> object:
    entitlement = explained.get("entitlement")
    return entitlement.get("id") if isinstance(entitlement, dict) else None


def _nothing_like(what: str) -> NotFound:
    return NotFound(
        f"There is no {what[:80]!r}, or it is not yours.",
        remedy="An entitlement gives what `entrepot products` and `entrepot releases CODE` list.",
    )


def _none_by(wanted: Wanted) -> NotFound:
    version = "" if wanted.version.lower() == LATEST else wanted.version
    return NotFound(
        f"The hub explains no release{f' {version[:80]!r}' if version else ''} by entitlement "
        f"{wanted.what}.",
        remedy=f"See what it gives: entrepot releases {wanted.what}",
    )


def _tell_of_group(client: Client, what: str, numbered: JsonObject | None) -> None:
    """Raises NotFound that names the members of a group, which has no files of its own."""
    try:
        entitlement = numbered or find_entitlement(client, what)
    except ClientError:
        return  # that there is nothing is told by who asked
    if entitlement.get("virtualEntitlements"):
        find_release(client, str(entitlement.get("id", "")), None)


def _search(code: str, version: str) -> dict[str, str]:
    search = {"product.id": code}
    if not version or version.lower() == LATEST:
        return search
    if _UUID.fullmatch(version):
        return search | {"release.id": version}
    return search | {"release.name": version}


def _show(told: Sequence[JsonObject]) -> None:
    """By what is the same for several files, so that a release is told once."""
    alike: dict[str, list[JsonObject]] = {}
    for one in told:
        checks = [str(check) for check in one.get("checks", [])]
        key = [str(one.get(name)) for name in ("allowed", "entitlement", "release")]
        alike.setdefault("\0".join(key + checks), []).append(one)
    for group in alike.values():
        _show_group(group)


def _show_group(group: Sequence[JsonObject]) -> None:
    first = group[0]
    names = ", ".join(text(one.get("artifact", {}).get("fileName")) for one in group)
    verdict = "allowed" if first.get("allowed") else f"not allowed ({text(first.get('reason'))})"
    click.echo(
        f"{text(first.get('product', {}).get('id'))} {text(first.get('release', {}).get('name'))}"
        f" by entitlement {text(first.get('entitlement', {}).get('id'))}: {verdict}"
    )
    click.echo(f"  {names}")
    for check in first.get("checks", []):
        mark = _MARKS.get(str(check.get("state")), "??")
        message = text(check.get("message")) or "not asked: the answer is known before"
        click.echo(f"  {mark}  {text(check.get('name')):<17}{message}")
        if check.get("remedy"):
            click.echo(f"      {'':<17}{text(check['remedy'])}")
    if first.get("agreementUrl"):
        click.echo(f"  Read and accept the licence at: {text(first['agreementUrl'])}")


def _code_of(told: Sequence[JsonObject], errors: Sequence[ClientError]) -> int:
    """Allowed is whatever any entitlement allows."""
    if errors:
        return int(errors[0].exit_code)
    by_artifact: dict[str, list[JsonObject]] = {}
    for one in told:
        by_artifact.setdefault(str(one.get("artifact", {}).get("id")), []).append(one)
    for explanations in by_artifact.values():
        if not any(one.get("allowed") for one in explanations):
            licence = all(one.get("reason") == "licence-required" for one in explanations)
            return int(ExitCode.LICENCE_NEEDED if licence else ExitCode.DENIED)
    return 0
