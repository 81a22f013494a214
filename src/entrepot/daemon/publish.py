"""`entrepotd publish`: a release with its files, in one go."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import click

from entrepot.core import catalogue
from entrepot.core.catalogue import ArtifactSpec, ReleaseSpec, Source
from entrepot.daemon.desk import OPERATOR, Desk
from entrepot.daemon.key_reading import password_option, read_signers
from entrepot.daemon.options import INSTANT, LocalPath, hub_command, json_option
from entrepot.daemon.progress import ProgressFile
from entrepot.daemon.releases import show_release
from entrepot.daemon.sign import check_signers, say_signed_too, say_unsigned


@click.command()
@click.argument("product")
@click.argument("version")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=LocalPath(),
)
@click.option(
    "--quality",
    default="EAC",
    show_default=True,
    help="A word of yours for how mature it is, such as BETA; a grant can ask for some alone.",
)
@click.option("--type", "type_", default="Release", show_default=True, help="Type of the release.")
@click.option("--revision", help="A part of the version, shown to customers.")
@click.option("--patch", help="A part of the version, shown to customers.")
@click.option("--major", "major_version", help="A part of the version, shown to customers.")
@click.option("--minor", "minor_version", help="A part of the version, shown to customers.")
@click.option("--available-at", type=INSTANT, help="Customers see it from then on.  [default: now]")
@click.option(
    "--repository",
    default="general",
    show_default=True,
    help="One whose name holds `controlled` makes customers declare their country.",
)
@click.option(
    "--uncontrolled",
    is_flag=True,
    help="Take a --repository that nearly says `controlled` as it is.",
)
@click.option("--file-type", default="File", show_default=True, help="Type of the files.")
@click.option(
    "--sign-key",
    "sign_keys",
    type=LocalPath(),
    multiple=True,
    metavar="FILE",
    help="Private key to sign the release with at once; again for each key.",
)
@password_option
@json_option
@hub_command
def publish(
    desk: Desk,
    product: str,
    version: str,
    files: Sequence[Path],
    *,
    quality: str,
    type_: str,
    revision: str | None,
    patch: str | None,
    major_version: str | None,
    minor_version: str | None,
    available_at: datetime | None,
    repository: str,
    uncontrolled: bool,
    file_type: str,
    sign_keys: Sequence[Path],
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Publish VERSION of PRODUCT (code or number) with its files; prints the release.

    All or nothing: customers see the release when every file is stored safely. A run that was
    interrupted can simply be repeated.
    """
    release = ReleaseSpec(version, revision, patch, major_version, minor_version, quality, type_)
    said = ArtifactSpec("", type=file_type, repository=repository, uncontrolled=uncontrolled)
    specs = [replace(said, file_name=path.name) for path in files]
    # Before the first byte is stored: a wrong password must not leave a release half done.
    signers = read_signers(desk, sign_keys, password_file)
    with desk.hub() as hub:
        if signers:
            check_signers(hub, product, signers)
        # What killed runs left behind; the files of those at work are locked.
        hub.blobs.sweep(older_than_seconds=0)
        release_id = catalogue.publish(
            hub.database,
            hub.blobs,
            product=product,
            release=release,
            sources=[Source(spec, _opener(path)) for spec, path in zip(specs, files, strict=True)],
            available_at=available_at,
            actor=OPERATOR,
            now=hub.now,
        )
        if signers:
            say_signed_too(hub, release_id, hub.sign(product, signers, actor=OPERATOR))
        else:
            say_unsigned(hub, product)
        show_release(hub, release_id, as_json=as_json)


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: cast("BinaryIO", ProgressFile(path))
