"""`entrepotd keys mirror`: a key by which a hub vouches for what another publisher signed."""

from pathlib import Path

import click

from entrepot.daemon.console import say
from entrepot.daemon.desk import Desk
from entrepot.daemon.key_reading import write_new
from entrepot.daemon.options import hub_command


@click.command(name="mirror")
@click.argument("product")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@hub_command
def mirror_(desk: Desk, product: str, file: Path) -> None:
    """Write a public key of this hub for PRODUCT to FILE, for its publisher to name in the root.

    For a hub that imports bundles. Once a bundle brings a root that names the key, this hub
    says by itself that the publisher's releases are current. It can sign none.
    """
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests.key_files import write_public
    from entrepot.core.manifests.online import mirror_key

    with desk.hub() as hub, hub.database.write() as tx:
        found = find_product(tx, product)
        public = mirror_key(tx, hub.keys.box, found.id, now=hub.now())
    write_new(file, write_public(public).encode(), mode=0o644)
    say(f"The publisher adds it: entrepotd keys root {found.code} --mirror-key {file.name} ...")
    click.echo(public.keyid)
