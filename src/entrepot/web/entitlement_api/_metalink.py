"""A release as a Metalink document (RFC 5854): names, digests and links for download managers.

What aria2c and others need to fetch a release in parallel and to check it: of each file its
size, its digests, the digests of its pieces, and a link that authorises itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from entrepot import __version__
from entrepot.blobs import CHUNK_BYTES
from entrepot.core.delivery import IssuedLink
from entrepot.core.entitlements import PermittedArtifacts, PermittedFile
from entrepot.kit.text import format_instant
from entrepot.web.http.disposition import safe_file_name

MEDIA_TYPE = "application/metalink4+xml"
ENDING = ".meta4"
# Digests of pieces in one document, 85 bytes each: of 256 GiB. Files beyond go without.
PIECES_MAX = 65_536
_NAMESPACE = "urn:ietf:params:xml:ns:metalink"
# What XML 1.0 cannot hold (section 2.2), escaped or not.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Offered:
    """A file with its link, and the SHA-256 of each 4 MiB; none where they are not known."""

    file: PermittedFile
    link: IssuedLink
    chunks: Sequence[bytes] = ()


def write_metalink(
    release: PermittedArtifacts,
    offered: Sequence[Offered],
    *,
    publisher: str,
    public_url: str,
    now: datetime,
) -> bytes:
    """The document, UTF-8. It is published `now`: its links are as good as it is fresh."""
    until = min(one.link.expires_at for one in offered)
    facts = (
        f"    <identity>{_text(release.product_code)}</identity>\n"
        f"    <version>{_text(release.release_name)}</version>\n"
        f"    <publisher name={quoteattr(_plain(publisher))} url={quoteattr(public_url)}/>\n"
    )
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f"<!-- The links are good until {format_instant(until)}; then get the document anew. -->\n",
        f'<metalink xmlns="{_NAMESPACE}">\n',
        f"  <generator>Entrepot/{__version__}</generator>\n",
        f"  <published>{format_instant(now)}</published>\n",
    ]
    left = PIECES_MAX
    for one in offered:
        chunks = one.chunks if len(one.chunks) <= left else ()
        left -= len(chunks)
        parts.append(_file(one, chunks, facts, public_url))
    parts.append("</metalink>\n")
    return "".join(parts).encode()


def _file(one: Offered, chunks: Sequence[bytes], facts: str, public_url: str) -> str:
    file = one.file
    name = quoteattr(_plain(safe_file_name(file.file_name)))
    pieces = ""
    if len(chunks) > 1:
        hashes = "".join(f"      <hash>{digest.hex()}</hash>\n" for digest in chunks)
        pieces = f'    <pieces type="sha-256" length="{CHUNK_BYTES}">\n{hashes}    </pieces>\n'
    return (
        f"  <file name={name}>\n{facts}"
        f"    <size>{file.size}</size>\n"
        f'    <hash type="sha-256">{file.sha256}</hash>\n'
        f'    <hash type="md5">{file.md5}</hash>\n{pieces}'
        f'    <url priority="1">{escape(f"{public_url}/dl/{one.link.path}")}</url>\n'
        "  </file>\n"
    )


def _text(text: str) -> str:
    return escape(_plain(text))


def _plain(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
