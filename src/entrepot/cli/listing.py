"""The commands that list: entitlements, entitlement, products, releases, artifacts."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from entrepot.cli.console import say
from entrepot.cli.options import (
    COMMAND,
    entitlement_or_product_option,
    format_option,
    hub_option,
    page_options,
    product_argument,
    release_or_product_option,
)
from entrepot.cli.output import Column, print_json, print_table
from entrepot.cli.rows import (
    ARTIFACT_COLUMNS,
    ENTITLEMENT_COLUMNS,
    PRODUCT_COLUMNS,
    RELEASE_COLUMNS,
    VIRTUAL_COLUMNS,
    artifact_row,
    entitlement_details,
    entitlement_row,
    release_row,
    text,
    virtual_entitlements,
    virtual_row,
)
from entrepot.cli.setup import Setup
from entrepot.client.answers import JsonObject
from entrepot.client.errors import InvalidUse, NotFound
from entrepot.client.finding import (
    Wanted,
    find_entitlement,
    find_release,
    find_version,
    list_products,
    naming_release,
    parse_wanted,
)

if TYPE_CHECKING:
    from entrepot.client import Client

_CHILDREN_SHOWN_MAX = 20


@click.command(context_settings=COMMAND)
@click.option("-e", "--entitlement-id", help="Only the entitlement with this ID.")
@click.option("-p", "--product-code", help="Only entitlements for this product.")
@page_options
@format_option
@hub_option
@click.pass_context
def entitlements(
    ctx: click.Context,
    entitlement_id: str | None,
    product_code: str | None,
    offset: int | None,
    limit: int,
    form: str,
) -> None:
    """List what your organisation is entitled to."""
    with _setup(ctx).client() as client:
        if product_code:
            found = client.entitlements(product=product_code, page=offset, limit=limit)
            if entitlement_id:
                found = [item for item in found if item.get("id") == entitlement_id]
        elif entitlement_id:
            found = [client.entitlement(entitlement_id)]
        else:
            found = client.entitlements(page=offset, limit=limit)
    if entitlement_id or product_code:
        nothing = "No entitlement matches these filters."
    else:
        nothing = "Your organisation has no entitlement."
    if offset is not None and offset > 1:
        nothing = f"Page {offset} is past the end."
    _show(found, form, ENTITLEMENT_COLUMNS, entitlement_row, nothing)


@click.command(context_settings=COMMAND)
@click.argument("entitlement_id")
@click.option("-p", "--product-code", help="In a group: only the children for this product.")
@page_options
@format_option
@hub_option
@click.pass_context
def entitlement(
    ctx: click.Context,
    entitlement_id: str,
    product_code: str | None,
    offset: int | None,
    limit: int,
    form: str,
) -> None:
    """Show one entitlement, with the children of a group."""
    with _setup(ctx).client() as client:
        found = client.entitlement(entitlement_id)
    if form != "table":
        print_json(found, form)
        return
    print_table(
        (Column("Entitlement"), Column(text(found.get("id")))), entitlement_details(found)[1:]
    )
    children = virtual_entitlements(found)
    if not children:
        return
    if product_code:
        children = [child for child in children if _product_code(child) == product_code]
    begin = (offset - 1) * limit if offset is not None else 0
    page = children[begin : begin + limit] if offset is not None else children
    if not page:
        raise NotFound(
            f"No child entitlement to show: {len(children)} match.",
            remedy="Check -p, -o and -l.",
        )
    click.echo(f"\nEntitlements {begin + 1} to {begin + len(page)} of {len(children)}:")
    print_table(VIRTUAL_COLUMNS, [virtual_row(child) for child in page])


@click.command(context_settings=COMMAND)
@format_option
@hub_option
@click.pass_context
def products(ctx: click.Context, form: str) -> None:
    """List the product codes and names that your entitlements are for.

    A group stands for other products, which are listed, too: its releases are theirs.
    """
    with _setup(ctx).client() as client:
        listed = list_products(client)

    def row(entry: JsonObject) -> list[str]:
        ids = ", ".join(text(value) for value in entry["entitlements"])
        kind = "group" if entry["group"] else "product"
        return [text(entry["id"]), text(entry["name"]), kind, ids]

    if listed:
        _show(listed, form, PRODUCT_COLUMNS, row, "")
        return
    if form != "table":
        print_json([], form)
    # An answer, and no failure; that it is one for `entitlements` is edmgr's way.
    say("Your organisation has no entitlement, so there is no product to list.")


@click.command(context_settings=COMMAND)
@product_argument("[PRODUCT[@VERSION]]")
@entitlement_or_product_option
@click.option("-r", "--release-id", help="Only the release with this ID.")
@format_option
@hub_option
@click.pass_context
def releases(
    ctx: click.Context, what: str | None, entitlement_id: str, release_id: str | None, form: str
) -> None:
    """List the releases of a product, or of an entitlement, newest first.

    PRODUCT is a product's code, or the number of an entitlement; -e is another way to give the
    latter. Those of a group belong to its children, which are named then.
    """
    wanted = _wanted(what, release_id)
    with _setup(ctx).client() as client:
        if wanted is not None:
            entitlement_id = _entitlement_of(client, wanted.what)
        if release_id:
            found = [find_release(client, entitlement_id, release_id)]
        elif wanted is not None and wanted.version:
            found = [find_version(client, entitlement_id, wanted.version)]
        else:
            found = client.releases(entitlement_id)
        if not found and (children := _children(client, entitlement_id)):
            _name_children(entitlement_id, children, form)
    nothing = f"Entitlement {entitlement_id} has no release yet."
    _show(found, form, RELEASE_COLUMNS, release_row, nothing)


@click.command(context_settings=COMMAND)
@product_argument("[PRODUCT[@VERSION]]")
@entitlement_or_product_option
@release_or_product_option
@click.option("-a", "--artifact-id", help="Only the artifact with this ID.")
@format_option
@hub_option
@click.pass_context
def artifacts(
    ctx: click.Context,
    what: str | None,
    entitlement_id: str,
    release_id: str,
    artifact_id: str | None,
    form: str,
) -> None:
    """List the files of a release.

    Of a PRODUCT by its code, at VERSION or the newest; or by -e and -r.
    """
    wanted = _wanted(what, release_id)
    with _setup(ctx).client() as client:
        if wanted is not None:
            entitlement_id = _entitlement_of(client, wanted.what)
            if not release_id:
                release = find_version(client, entitlement_id, wanted.version)
                release_id = str(release.get("id", ""))
        with naming_release(entitlement_id, release_id, artifact_id):
            if artifact_id:
                found = [client.artifact(entitlement_id, release_id, artifact_id)]
            else:
                found = client.artifacts(entitlement_id, release_id)
    nothing = f"Release {release_id} has no artifact."
    _show(found, form, ARTIFACT_COLUMNS, artifact_row, nothing)


def _wanted(what: str | None, release_id: str | None) -> Wanted | None:
    """What the argument says; a version and -r at once would be two answers to one question."""
    wanted = parse_wanted(what) if what else None
    if wanted is not None and wanted.version and release_id:
        raise InvalidUse("A version and -r are two ways to say one thing: leave one of them out.")
    return wanted


def _entitlement_of(client: "Client", what: str) -> str:
    return str(find_entitlement(client, what).get("id", ""))


def _setup(ctx: click.Context) -> Setup:
    setup = ctx.obj
    assert isinstance(setup, Setup)
    return setup


def _children(client: "Client", entitlement_id: str) -> list[JsonObject]:
    return virtual_entitlements(client.entitlement(entitlement_id))


def _name_children(entitlement_id: str, children: Sequence[JsonObject], form: str) -> NoReturn:
    """Say which entitlements of the group have the releases, and what to type."""
    if form != "table":
        print_json([], form)
    shown = children[:_CHILDREN_SHOWN_MAX]
    lines = [
        f"  {text(child.get('id'))}  {_product_code(child)}  {_name(child)}" for child in shown
    ]
    if len(children) > len(shown):
        more = len(children) - len(shown)
        lines.append(f"  and {more} more: `entrepot entitlement {entitlement_id}` has all")
    raise NotFound(
        f"Entitlement {entitlement_id} is a group: its {len(children)} children have the releases."
        "\n" + "\n".join(lines),
        remedy=f"Type, for the first: entrepot releases -e {text(shown[0].get('id'))}",
    )


def _name(holder: JsonObject) -> str:
    product = holder.get("product")
    return text(product.get("name")) if isinstance(product, dict) else ""


def _product_code(holder: JsonObject) -> str:
    product = holder.get("product")
    return str(product.get("id", "")) if isinstance(product, dict) else ""


def _show(
    found: Sequence[JsonObject],
    form: str,
    columns: Sequence[Column],
    row: Callable[[JsonObject], list[str]],
    nothing: str,
) -> None:
    """Print what was found; nothing found is an error, with `[]` on stdout for readers of JSON."""
    if form != "table":
        print_json(list(found), form)
    elif found:
        print_table(columns, [row(item) for item in found])
    if not found:
        raise NotFound(nothing, remedy="`entrepot entitlements` lists everything you have.")
