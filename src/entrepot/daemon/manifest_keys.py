"""`entrepotd keys make|root|sign|export|keep|forget`: the keys that sign releases."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from entrepot.daemon.console import say, show_rows
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.key_reading import (
    PUBLIC_SUFFIX,
    Passwords,
    key_options,
    password_option,
    read_public_keys,
    read_signers,
    refuse_inside,
    write_new,
    write_over,
)
from entrepot.daemon.mirrors import mirror_
from entrepot.daemon.options import LocalPath, hub_command
from entrepot.errors import Conflict, Invalid

if TYPE_CHECKING:
    from entrepot.assembly import Hub
    from entrepot.core.manifests.papers import Paper

_COLUMNS = ("key_id", "role", "threshold", "held_by_hub")
_PAPER = click.Path(dir_okay=False, path_type=Path)
_KEYS_MAX = 16


@click.command(name="make")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@password_option
@click.make_pass_decorator(Desk, ensure=True)
def make_(desk: Desk, file: Path, *, password_file: Path | None) -> None:
    """Make a publisher's key: FILE, encrypted by a password, and FILE.pub; prints its id.

    It needs no hub. Keep FILE and its password where the hub is not, and a copy of both in
    another place.
    """
    from entrepot.core.manifests.key_files import make_key, write_public

    refuse_inside(desk, file)
    password = Passwords(password_file).read("Password of the new key", confirm=True)
    pem, public = make_key(password)
    write_new(file, pem, mode=0o600)
    write_new(file.with_name(file.name + PUBLIC_SUFFIX), write_public(public).encode(), mode=0o644)
    click.echo(public.keyid)


@click.command(name="root")
@click.argument("product")
@click.option(
    "--root-key",
    "root_keys",
    type=LocalPath(),
    multiple=True,
    metavar="FILE",
    help="Public key that says which keys count; again for each. Replaces those that did.",
)
@click.option(
    "--targets-key",
    "targets_keys",
    type=LocalPath(),
    multiple=True,
    metavar="FILE",
    help="Public key that signs releases; again for each. Replaces those that did.",
)
@click.option("--root-threshold", type=click.IntRange(1, _KEYS_MAX), help="Root keys that sign.")
@click.option(
    "--targets-threshold", type=click.IntRange(1, _KEYS_MAX), help="Targets keys that sign."
)
@click.option("--renew-online", is_flag=True, help="Give the hub a new key of its own.")
@click.option(
    "--mirror-key",
    "mirror_keys",
    type=LocalPath(),
    multiple=True,
    metavar="FILE",
    help="Public key of a hub that imports bundles (`keys mirror`); again for each. Replaces "
    "those that were.",
)
@click.option("--no-mirrors", is_flag=True, help="No other hub vouches for the product any more.")
@click.option("--export", "export", type=_PAPER, help="Write what is to be signed to a file.")
@click.option("--import", "import_", type=LocalPath(), help="Take what was signed from a file.")
@key_options
@hub_command
def root_(
    desk: Desk,
    product: str,
    *,
    root_keys: Sequence[Path],
    targets_keys: Sequence[Path],
    root_threshold: int | None,
    targets_threshold: int | None,
    renew_online: bool,
    mirror_keys: Sequence[Path],
    no_mirrors: bool,
    export: Path | None,
    import_: Path | None,
    keys: Sequence[Path],
    password_file: Path | None,
) -> None:
    """Say which keys count for PRODUCT (code or number), first or anew; prints the version.

    What is not said stays as it is; with nothing said the root is renewed before it expires. A
    new root is signed by the old root keys and the new; where targets keys change, by the new
    ones as well.
    """
    from entrepot.core.manifests.papers import sign_paper
    from entrepot.core.manifests.roots import (
        RootSpec,
        check_root,
        install_root,
        make_online_key,
        prepare_root,
    )

    check_ways(keys, export, import_)
    signers = read_signers(desk, keys, password_file)
    with desk.hub() as hub:
        if import_ is not None:
            paper = load_paper(import_, product, hub)
        else:
            spec = RootSpec(
                read_public_keys(root_keys),
                read_public_keys(targets_keys),
                root_threshold,
                targets_threshold,
                renew_online,
                read_public_keys(mirror_keys) if mirror_keys or no_mirrors else None,
                hub.policy.manifest_lives,
            )
            with hub.database.write() as tx:
                make_online_key(tx, hub.keys.box, product, renew=renew_online, now=hub.now())
            with hub.database.read() as tx:
                paper = prepare_root(tx, hub.keys.box, product, spec, now=hub.now())
        if export is not None:
            export_paper(paper, export)
            return
        if paper.root is None:
            raise Invalid("That paper holds no root.", field="paper", remedy="Name another file.")
        sign_paper(paper, signers)
        box, lives = hub.keys.box, hub.policy.manifest_lives
        with hub.database.read() as tx:
            checked = check_root(tx, box, paper, lives=lives, now=hub.now())
        with hub.database.write() as tx:
            version = install_root(
                tx, box, paper, checked=checked, lives=lives, actor=OPERATOR, now=hub.now()
            )
        _say_root(hub, paper.product)
    click.echo(version)


def _say_root(hub: "Hub", product: str) -> None:
    document = _newest_root(hub, product)
    say(f"The root of {product} is in force. Its fingerprint, for customers to compare:")
    say(hashlib.sha256(document.encode()).hexdigest())


def _newest_root(hub: "Hub", product: str) -> str:
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests.reading import newest

    with hub.database.read() as tx:
        found = find_product(tx, product)
        row = newest(tx, found.id, "root")
    if row is None:
        raise Conflict(
            f"{found.code} has no signing keys yet.",
            code="manifest-root-missing",
            remedy=f"`entrepotd keys root {found.code} --help` says how it gets some.",
        )
    return str(row.document)


@click.command(name="sign")
@click.argument("paper", type=LocalPath())
@key_options
@click.make_pass_decorator(Desk, ensure=True)
def sign_(desk: Desk, paper: Path, *, keys: Sequence[Path], password_file: Path | None) -> None:
    """Sign PAPER, written by --export, on a machine that needs no hub; says what is in it."""
    from entrepot.core.manifests.papers import sign_paper

    if not keys:
        raise click.UsageError("Name a key: --key FILE.")
    held = load_paper(paper, None, None)
    for line in _contents(held):
        say(line)
    sign_paper(held, read_signers(desk, keys, password_file))
    write_over(paper, held.encode().encode())


def _contents(paper: "Paper") -> list[str]:
    """What somebody signs, in words."""
    import json

    lines = [f"For {paper.product}:"]
    if paper.root is not None:
        signed = paper.root.signed
        lines.append(f"root, version {signed.version}, until {_day(signed.expires)}")
        for role, told in signed.roles.items():
            lines.append(f"  {role}: {told.threshold} of {', '.join(told.keyids)}")
    if paper.targets is not None:
        targets = paper.targets.signed
        lines.append(
            f"{len(targets.targets)} releases, version {targets.version}, "
            f"until {_day(targets.expires)}; "
            + ("new or changed:" if paper.documents else "nothing is new or changed")
        )
        for document in paper.documents.values():
            told = json.loads(document)
            lines.append(f"  {told['release']['name']} ({told['release']['id']})")
            lines += [f"    {each['sha256']}  {each['name']}" for each in told["files"]]
    return lines


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


@click.command(name="export")
@click.argument("product")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@hub_command
def export_(desk: Desk, product: str, file: Path) -> None:
    """Write the root of PRODUCT to FILE, for customers to pin; prints its fingerprint."""
    with desk.hub() as hub:
        document = _newest_root(hub, product).encode()
    write_new(file, document, mode=0o644)
    click.echo(hashlib.sha256(document).hexdigest())


@click.command(name="keep")
@click.argument("product")
@key_options
@hub_command
def keep_(desk: Desk, product: str, *, keys: Sequence[Path], password_file: Path | None) -> None:
    """Let the hub keep a targets key of PRODUCT, so that it signs what is published by itself.

    It is convenient, and it costs what signing is for: whoever takes over the hub can then sign
    files of this product. The root keys stay with you, and end that by `keys root`.
    """
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests.online import keep_key
    from entrepot.core.manifests.roots import current_root

    if not keys:
        raise click.UsageError("Name the key: --key FILE.")
    signers = read_signers(desk, keys, password_file)
    with desk.hub() as hub, hub.database.write() as tx:
        found = find_product(tx, product)
        root = current_root(tx, found.id)
        for signer in signers:
            if root is None or signer.public_key.keyid not in root.signed.roles["targets"].keyids:
                raise Invalid(
                    f"That is no targets key of {found.code}.",
                    field="key",
                    code="manifest-key-unknown",
                    remedy=f"`entrepotd keys list {found.code}` says which keys count.",
                )
            keep_key(tx, hub.keys.box, found.id, "targets", signer, now=hub.now())
    say("The hub signs releases of this product by itself from now on. Whoever takes it over can")
    say("sign files of this product as well, until a new root names other keys.")


@click.command(name="forget")
@click.argument("product")
@hub_command
def forget_(desk: Desk, product: str) -> None:
    """Take the targets keys of PRODUCT away from the hub; releases are signed by hand again."""
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests.online import drop_keys

    with desk.hub() as hub, hub.database.write() as tx:
        gone = drop_keys(tx, find_product(tx, product).id, "targets")
    say(f"Keys taken away: {gone}. If the hub may have been taken over, name others as well:")
    say(f"entrepotd keys root {product} --targets-key FILE --key FILE")


def show_product_keys(desk: Desk, product: str, *, as_json: bool) -> None:
    """The keys that count for a product now: `entrepotd keys list PRODUCT`."""
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests.online import held_keys
    from entrepot.core.manifests.roots import current_root

    with desk.hub() as hub, hub.database.read() as tx:
        found = find_product(tx, product)
        root = current_root(tx, found.id)
        held = held_keys(tx, found.id)
    if root is None:
        show_rows([], columns=_COLUMNS, as_json=as_json)
        return
    rows: list[dict[str, Any]] = [
        {
            "key_id": keyid,
            "role": role,
            "threshold": told.threshold,
            "held_by_hub": keyid in held,
            "root_version": root.signed.version,
            "root_expires": root.signed.expires,
        }
        for role, told in root.signed.roles.items()
        for keyid in told.keyids
    ]
    show_rows(rows, columns=_COLUMNS, as_json=as_json)


def check_ways(keys: Sequence[Path], export: Path | None, import_: Path | None) -> None:
    """A usage error unless exactly one way to sign is told."""
    if export is not None and (keys or import_ is not None):
        raise click.UsageError("--export goes without --key and --import.")
    if export is None and import_ is None and not keys:
        raise click.UsageError(
            "Name a key (--key FILE), or sign on another machine: --export FILE, there "
            "`entrepotd keys sign FILE --key KEY`, then --import FILE."
        )


def export_paper(paper: "Paper", path: Path) -> None:
    """Write what is to be signed to a new file; it can name what is not published yet."""
    write_new(path, paper.encode().encode(), mode=0o600)
    say(f"Sign it where the keys are: entrepotd keys sign {path.name} --key FILE")


def load_paper(path: Path, product: str | None, hub: "Hub | None") -> "Paper":
    """What was exported; Invalid for another file, or one for another product."""
    from entrepot.core.catalogue import find_product
    from entrepot.core.manifests.papers import PAPER_BYTES_MAX, read_paper

    with path.open("rb") as file:
        data = file.read(PAPER_BYTES_MAX + 1)
    if len(data) > PAPER_BYTES_MAX:
        raise Invalid(f"{path} has more than {PAPER_BYTES_MAX} bytes.", field="paper")
    paper = read_paper(data)
    if product is not None and hub is not None:
        with hub.database.read() as tx:
            wanted = find_product(tx, product).code
        if paper.product != wanted:
            raise Invalid(
                f"That paper is for {paper.product}, not for {wanted}.",
                field="paper",
                remedy="Name the right file.",
            )
    return paper


COMMANDS: tuple[click.Command, ...] = (
    make_,
    root_,
    sign_,
    export_,
    mirror_,
    keep_,
    forget_,
)
