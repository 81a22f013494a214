"""On the wire: licences."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from msgspec import Meta

from entrepot.web.admin_api._wire import Digest, Incoming, Line, Moment, Text, Wire

LicenceCode: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class NewLicence(Incoming):
    """A licence with its first text."""

    code: LicenceCode
    name: Line
    text: Text


class NewRevision(Incoming):
    """A new text of a licence; everyone has to accept it anew."""

    text: Text


class LicenceItem(Wire):
    """A licence and the number of its newest revision."""

    code: str
    name: str
    revision: int
    created_at: Moment


class LicencePage(Wire):
    """Licences by code."""

    total: int
    items: Sequence[LicenceItem]


class LicenceText(Wire):
    """One revision of a licence; `sha256` of the text in UTF-8."""

    code: str
    name: str
    revision: int
    text: str
    sha256: Digest
    published_at: Moment
