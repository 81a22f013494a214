"""`entrepotd sign`: a publisher's signature on releases."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entrepot.daemon.console import say, show_one
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.key_reading import key_options, read_signers
from entrepot.daemon.manifest_keys import check_ways, export_paper, load_paper
from entrepot.daemon.options import LocalPath, hub_command, json_option
from entrepot.errors import Invalid

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from entrepot.assembly import Hub
    from entrepot.core.manifests.signing import Signed

_SHOWN_MAX = 10  # releases that are named


@click.command()
@click.argument("product")
@click.argument("releases", nargs=-1, metavar="[RELEASE]...")
@click.option(
    "--export",
    "export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what is to be signed to a file, to sign it on another machine.",
)
@click.option("--import", "import_", type=LocalPath(), help="Take what was signed from a file.")
@key_options
@json_option
@hub_command
def sign(
    desk: Desk,
    product: str,
    releases: Sequence[str],
    *,
    export: Path | None,
    import_: Path | None,
    keys: Sequence[Path],
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Sign the releases of PRODUCT (code or number) that are not signed yet, or each RELEASE.

    A RELEASE (its UUID) is described anew, with the licence that holds now. Withdrawn releases
    leave what is signed. Customers' programs refuse what is published and not signed, once a
    product has been signed.
    """
    from entrepot.core.manifests.papers import sign_paper
    from entrepot.core.manifests.signing import install_targets, prepare_targets

    check_ways(keys, export, import_)
    signers = read_signers(desk, keys, password_file)
    with desk.hub() as hub:
        if import_ is not None:
            paper = load_paper(import_, product, hub)
        else:
            paper = prepare_targets(
                hub.database,
                hub.blobs,
                product,
                releases,
                publisher=hub.policy.publisher,
                lives=hub.policy.manifest_lives,
                now=hub.now,
            )
        if export is not None:
            export_paper(paper, export)
            return
        if paper.targets is None or paper.root is not None:
            raise Invalid(
                "That paper is not about releases.",
                field="paper",
                remedy="A root is imported by `entrepotd keys root PRODUCT --import FILE`.",
            )
        sign_paper(paper, signers)
        signed = install_targets(
            hub.database,
            hub.keys.box,
            paper,
            lives=hub.policy.manifest_lives,
            actor=OPERATOR,
            now=hub.now,
        )
    show_one(asdict(signed), as_json=as_json)


def say_unsigned(hub: "Hub", product: str) -> None:
    """Where releases of the product are signed: that the newest is not, and what to do."""
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests import ROOT, TARGETS, signed_state

    with hub.database.read() as tx:
        found = find_product(tx, product)
        state = signed_state(tx, found.id)
        if ROOT not in state.versions:
            return
        from entrepot.core.manifests.online import held_keys
        from entrepot.core.manifests.roots import current_root

        root, held = current_root(tx, found.id), held_keys(tx, found.id)
    assert root is not None, "its version was there"
    role = root.signed.roles[TARGETS]
    if len(held.intersection(role.keyids)) >= role.threshold:
        say("A worker signs it within a minute, by the key that the hub keeps.")
        return
    keys = " ".join(["--key FILE"] * role.threshold)
    if state.complete:
        say("It is not signed: customers' programs refuse it until somebody does.")
    else:
        say(f"It is not signed, and nothing of {found.code} is: customers cannot verify it yet.")
    say(f"Sign it: entrepotd sign {found.code} {keys}")


def check_signers(hub: "Hub", product: str, signers: "Sequence[CryptoSigner]") -> None:
    """Invalid or Conflict where these keys could not sign a release of the product."""
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests.roots import current_root

    with hub.database.read() as tx:
        found = find_product(tx, product)
        root = current_root(tx, found.id)
    known = [] if root is None else root.signed.roles["targets"].keyids
    if any(signer.public_key.keyid not in known for signer in signers):
        raise Invalid(
            f"That is no targets key of {found.code}.",
            field="key",
            code="manifest-key-unknown",
            remedy=f"`entrepotd keys list {found.code}` says which keys count.",
        )


def say_signed_too(hub: "Hub", release_id: str, signed: "Signed") -> None:
    """Which other releases the same signature took in: whoever signs is to know what."""
    from entrepot.core.catalogue import find_release

    others = [one for one in signed.added if one != release_id]
    if not others:
        return
    with hub.database.read() as tx:
        shown = [f"{find_release(tx, one).name} ({one})" for one in others[:_SHOWN_MAX]]
    more = f" and {len(others) - len(shown)} more" if len(others) > len(shown) else ""
    say(f"Signed too, for nobody had signed it yet: {', '.join(shown)}{more}.")
    say("What is not yours among them: entrepotd withdraw UUID, then sign once more.")
