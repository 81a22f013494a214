"""On the wire: product downloads, pages of them, and errors (contract, "Object" and "List")."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Raw, Struct

PATH = "/api/v2/products"
FILES = "/downloads"
ENCODED_MAX, ENCODED_BYTES_MAX = 4096, 2048  # kept in memory: so many, of so many bytes
PAGES_MAX, PAGE_BYTES_MAX = 128, 64 * 1024
_encode = msgspec.json.Encoder().encode


class Wire(Struct, rename="camel"):
    """Names in camel case; nothing is left out, null where there is nothing."""


class DownloadItem(Wire):
    """A file that is shown with a product."""

    id: int
    product_id: int
    file: Annotated[
        str, Meta(description="Stable; each request to it decides anew and leads to the bytes.")
    ]
    title: Annotated[str, Meta(max_length=80)] | None
    description: str | None
    sequence: Annotated[int, Meta(ge=1, description="Its place, from 1 without gaps.")]
    visibility: Literal["public", "contact", "purchase"]
    created_on: Annotated[str, Meta(description="Such as 2022-05-21T15:54:05+00:00.")]
    created_by: Annotated[
        int | None, Meta(description="Number of the person; null for API clients and imports.")
    ]
    modified_on: str
    modified_by: int | None


class Pagination(Wire):
    """Where in the list a page is."""

    page: int
    limit: int
    total: int
    total_pages: int


class PageLinks(Wire):
    """Addresses of this page and of its neighbours; null where there is none."""

    self: str
    previous: str | None
    next: str | None


class DownloadPage(Wire, kw_only=True):
    """A page of a product's downloads, in their sequence."""

    success: Literal[True] = True
    status: int
    data: Sequence[DownloadItem]
    pagination: Pagination
    links: PageLinks


class OneDownload(Wire, kw_only=True):
    """One download; `status` repeats that of the answer."""

    success: Literal[True] = True
    status: int
    data: DownloadItem


class ErrorItem(Wire):
    """One fault: what it is about, in words, and as a code of the catalogue."""

    name: str
    message: str
    ref: str


class Failure(Wire, kw_only=True):
    """Why nothing was done."""

    success: Literal[False] = False
    status: int
    context: Literal["data", "parameters"]
    errors: Sequence[ErrorItem]


@lru_cache(maxsize=4096)
def moment(instant: datetime) -> str:
    """ISO 8601 with the offset, in whole seconds."""
    return instant.isoformat(timespec="seconds")


class Writer:
    """Turns rows into wire objects; the hub's address is in every link."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url
        self._files = f"{public_url}{FILES}/"
        self._encoded: dict[int, tuple[Any, Raw]] = {}
        self._pages: dict[int, tuple[Any, Raw]] = {}

    def page(self, rows: Sequence[Any]) -> Raw:
        """The downloads of a page as JSON; of the very tuple that was shown before, the same."""
        kept = self._pages.get(id(rows))
        if kept is None or kept[0] is not rows:
            kept = rows, Raw(_encode(self.downloads(rows)))
            if isinstance(rows, tuple) and len(bytes(kept[1])) <= PAGE_BYTES_MAX:
                if len(self._pages) >= PAGES_MAX:
                    self._pages = {}
                self._pages[id(rows)] = kept
        return kept[1]

    def downloads(self, rows: Iterable[Any]) -> list[Raw]:
        """Downloads of a list, encoded; of a row that was shown before, the same bytes.

        They come as the very objects that they were, as long as they are unchanged: finding what
        was made of one costs a sixth of making it.
        """
        found = []
        for row in rows:
            kept = self._encoded.get(id(row))
            if kept is None or kept[0] is not row:
                if len(self._encoded) >= ENCODED_MAX:
                    self._encoded = {}
                encoded = _encode(self.download(row))
                kept = row, Raw(encoded)
                if len(encoded) <= ENCODED_BYTES_MAX:  # thousands of long ones would fill memory
                    self._encoded[id(row)] = kept
            found.append(kept[1])
        return found

    def download(self, row: Any) -> DownloadItem:
        """One download."""
        return DownloadItem(
            row.id,
            row.product_id,
            self.file_url(row.id, row.file_name),
            row.title,
            row.description,
            row.sequence,
            row.visibility,
            moment(row.created_at),
            row.created_by,
            moment(row.changed_at),
            row.changed_by,
        )

    def file_url(self, download_id: int, file_name: str) -> str:
        """The stable address of a download's file."""
        return f"{self._files}{download_id}/{quoted(file_name)}"

    def names_file(self, url: str, download_id: int) -> bool:
        """Whether `url` is the stable address of that download, whatever file name it has."""
        return url.startswith(f"{self._files}{download_id}/")

    def list_url(self, reference: str, query: str) -> str:
        """The address of a list."""
        path = f"{self._public_url}{PATH}/{quote(reference, safe='')}/downloads.json"
        return f"{path}?{query}" if query else path

    def download_url(self, reference: str, download_id: int) -> str:
        """The address of one download."""
        product = quote(reference, safe="")
        return f"{self._public_url}{PATH}/{product}/downloads/{download_id}.json"


@lru_cache(maxsize=4096)
def quoted(file_name: str) -> str:
    """A file name as a segment of a path."""
    return quote(file_name, safe="")
