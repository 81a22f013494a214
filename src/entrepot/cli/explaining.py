"""The command why: whether a download would be allowed now, with every reason and remedy."""

import re
from collections.abc import Sequence

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
from entrepot.client.finding import LATEST, find_entitlement, find_release, parse_wanted
from entrepot.client.permissions import explain_search

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MARKS = {"passed": "ok", "failed": "NO", "not-reached": "--"}


@click.command(context_settings=COMMAND)
@click.argument(
    "what",
    metavar="ARTIFACT|CODE[@VERSION]...",
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

    ARTIFACT is the id of a file or of a release, CODE a product, whose newest release is meant
    where no VERSION is given: also one that is withdrawn, or that your maintenance does not
    cover. Nothing is downloaded, counted or reported. Ends with 0 where all of it is allowed.
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
                say(f"{one}: the first {len(found)} of {total} are shown.", color="yellow")
    if as_json:
        print_json(told, "json")
    else:
        _show(told)
    for missing in errors:
        complain(missing)
    ctx.exit(_code_of(told, errors))


def _ask(client: Client, what: str, country: str | None) -> tuple[list[JsonObject], int]:
    for search in _searches(what):
        try:
            return explain_search(client, search, country=country)
        except NotFound:
            continue
    if not _UUID.fullmatch(what):
        _tell_of_group(client, parse_wanted(what).what)
    raise NotFound(
        f"There is no {what[:80]!r}, or it is not yours.",
        remedy="An entitlement gives what `entrepot products` and `entrepot releases CODE` list.",
    )


def _tell_of_group(client: Client, code: str) -> None:
    """Raises NotFound that names the members of a group, which has no files of its own."""
    try:
        entitlement = find_entitlement(client, code)
    except ClientError:
        return  # that there is nothing is told by who asked
    if entitlement.get("virtualEntitlements"):
        find_release(client, str(entitlement.get("id", "")), None)


def _searches(what: str) -> list[dict[str, str]]:
    if _UUID.fullmatch(what):
        return [{"artifact.id": what}, {"release.id": what}]
    wanted = parse_wanted(what)
    search = {"product.id": wanted.what}
    if not wanted.version or wanted.version.lower() == LATEST:
        return [search]
    if _UUID.fullmatch(wanted.version):
        return [search | {"release.id": wanted.version}]
    return [search | {"release.name": wanted.version}]


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
