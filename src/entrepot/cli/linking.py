"""The command links: fresh links to a release's files, for curl, aria2c and other programs."""

from collections.abc import Sequence

import click

from entrepot.cli.console import say
from entrepot.cli.options import COMMAND, artifacts_option, hub_option
from entrepot.cli.output import print_json
from entrepot.cli.setup import Setup
from entrepot.client import Client, NotFound
from entrepot.client.answers import JsonObject
from entrepot.client.countries import country_code
from entrepot.client.finding import (
    find_entitlement,
    find_version,
    match_artifacts,
    parse_wanted,
    product_code,
)
from entrepot.client.holdings import hold_entitlement
from entrepot.client.linking import FileLink, curl_lines, file_links, metalink
from entrepot.client.trust import Trust

_FORMS = ("curl", "metalink", "urls", "json")


@click.command(context_settings=COMMAND)
@click.argument("wanted", metavar="CODE[@VERSION]")
@click.option(
    "--as",
    "form",
    type=click.Choice(_FORMS, case_sensitive=False),
    default="curl",
    show_default=True,
    help="Lines for sh, a Metalink document (aria2c), plain URLs, or JSON.",
)
@artifacts_option
@click.option("--country", help="Country to declare for controlled artifacts, such as GB.")
@hub_option
@click.pass_context
def links(
    ctx: click.Context, wanted: str, form: str, patterns: Sequence[str], country: str | None
) -> None:
    """Print fresh links to the files of a release, good for 10 minutes.

    CODE is a product's code, or the number of an entitlement; without VERSION the newest
    release is taken. Whoever has a link has the file: keep the output to yourself.

    \b
    entrepot links DS000B | sh
    entrepot links DS000B@2022.2 --as metalink | aria2c --metalink-file=-
    """
    setup = ctx.obj
    assert isinstance(setup, Setup)
    country = country or setup.profile().country
    declared = country_code(country) if country else None
    with setup.client() as client:
        asked = parse_wanted(wanted)
        entitlement = find_entitlement(client, asked.what)
        entitlement_id, product = str(entitlement.get("id", "")), product_code(entitlement)
        if product != asked.what:
            trust = Trust(setup.profile().root, client.api.base.url)
            hold_entitlement(trust, entitlement_id, product)
        release = find_version(client, entitlement_id, asked.version)
        chosen = _artifacts(client, entitlement_id, release, patterns)
        release_id = str(release.get("id", ""))
        if form.lower() == "metalink":
            countries = (client.country_for(artifact, declared) for artifact in chosen)
            ids = [str(artifact.get("id", "")) for artifact in chosen] if patterns else []
            document = metalink(
                client,
                entitlement_id,
                release_id,
                only=ids,
                country=next((code for code in countries if code), None),
            )
            click.echo(document, nl=False)
        else:
            found = file_links(client, entitlement_id, release_id, chosen, country=declared)
            _print(found, form.lower())
    say("The links are good for 10 minutes; whoever has one has the file.")


def _artifacts(
    client: Client, entitlement_id: str, release: JsonObject, patterns: Sequence[str]
) -> list[JsonObject]:
    release_id = str(release.get("id", ""))
    artifacts = release.get("artifacts")
    if not isinstance(artifacts, list):
        artifacts = client.artifacts(entitlement_id, release_id)
    if not artifacts:
        raise NotFound(f"Release {release_id} has no artifact.")
    return match_artifacts(artifacts, patterns)


def _print(found: Sequence[FileLink], form: str) -> None:
    if form == "curl":
        click.echo(curl_lines(found))
    elif form == "urls":
        click.echo("\n".join(link.url for link in found))
    else:
        print_json([_object(link) for link in found], "json")


def _object(link: FileLink) -> JsonObject:
    told: JsonObject = {"id": link.artifact_id, "fileName": link.name, "downloadUrl": link.url}
    if link.expected.size is not None:
        told["fileSize"] = link.expected.size
    if link.expected.algorithm:
        told[link.expected.algorithm] = link.expected.digest
    return told
