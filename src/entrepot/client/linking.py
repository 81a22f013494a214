"""Links to the files of a release for other programs: curl, aria2c, whatever fetches by URL.

Each link authorises itself for ten minutes, so what is made here is as good as a password for
so long: it belongs into a pipe or a private file.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entrepot.client.batch import plan_names
from entrepot.client.client import Client
from entrepot.client.countries import declaring
from entrepot.client.errors import BadAnswer, InvalidUse
from entrepot.client.verification import Expected, expected_of

METALINK_TYPE = "application/metalink4+xml"
CHOSEN_MAX = 100  # artifacts that a Metalink document can be limited to
_ROOT = ("e-product-entitlement-customer", "v1", "entitlements")
_RELEASES = ("rights", "download", "releases")


@dataclass(frozen=True, slots=True)
class FileLink:
    """A file of a release: its name made safe, a fresh link, and what its bytes must be."""

    artifact_id: str
    name: str
    url: str
    expected: Expected


def file_links(
    client: Client,
    entitlement_id: str,
    release_id: str,
    artifacts: Sequence[Mapping[str, Any]],
    *,
    country: str | None = None,
) -> list[FileLink]:
    """A fresh link to each of these artifacts of a release, in their order.

    The country is declared as `Client.download` does. Raises every kind of ClientError: the
    first that is refused ends it.
    """
    links = []
    for item in plan_names(artifacts):
        if item.error is not None:
            raise item.error
        artifact_id = str(item.artifact.get("id", ""))
        declared = client.country_for(item.artifact, country)
        url = client.link(entitlement_id, release_id, artifact_id, country=declared)
        links.append(FileLink(artifact_id, item.name, url, expected_of(item.artifact)))
    return links


def metalink(
    client: Client,
    entitlement_id: str,
    release_id: str,
    *,
    only: Sequence[str] = (),
    country: str | None = None,
) -> bytes:
    """The Metalink document (RFC 5854) of a release, or of those of its artifacts in `only`.

    Raises every kind of ClientError; the hub gives links to all of them or to none.
    """
    if len(only) > CHOSEN_MAX:
        raise InvalidUse(
            f"{len(only)} artifacts are chosen; a Metalink document takes {CHOSEN_MAX} or all.",
            remedy="Narrow the pattern, or leave it out.",
        )
    headers = {"Accept": METALINK_TYPE} | declaring(country)
    reply = client.api.call(
        "GET",
        (*_ROOT, entitlement_id, *_RELEASES, release_id, "metalink"),
        {"artifacts": ",".join(only)} if only else None,
        headers=headers,
    )
    if reply.headers.get_content_type() != METALINK_TYPE:
        raise BadAnswer("The hub's answer is no Metalink document.")
    return reply.body


def curl_lines(links: Sequence[FileLink]) -> str:
    """Lines for sh: fetch each file, going on where a part is there, and check what arrived.

    A file that is there and right is left alone, for curl would take the 416 that answers a
    resumption at the end for a failure. The first that fails ends the script with its exit
    status. `--globoff`, because brackets in a URL are no pattern here.
    """
    lines = ["set -e"]
    for link in links:
        name = _operand(link.name)
        fetch = (
            "curl --fail --location --globoff --continue-at - "
            f"--output {shlex.quote(name)} {shlex.quote(link.url)}"
        )
        if link.expected.algorithm not in ("sha256", "md5"):
            lines.append(fetch)
            continue
        told = shlex.quote(f"{link.expected.digest}  {name}")
        check = f"printf '%s\\n' {told} | {link.expected.algorithm}sum --check"
        lines += [f"{check} --status 2>/dev/null || {fetch}", check]
    return "\n".join(lines)


def _operand(name: str) -> str:
    """The name where no program takes it for an option or for standard output."""
    return f"./{name}" if name.startswith("-") else name
