"""Files that the sample products show: for anybody, for contacts, and for those who bought."""

from collections.abc import Iterator
from dataclasses import dataclass

from entrepot.core.catalogue import CONTACT, PUBLIC, PURCHASE


@dataclass(frozen=True, slots=True)
class SampleDownload:
    """A text file that a product shows."""

    product: str
    visibility: str
    file_name: str
    title: str
    text: str


_KINDS = {
    PUBLIC: ("data-sheet", "Data sheet", "Anybody may have this file."),
    CONTACT: ("white-paper", "White paper", "This file is for those who say who they are."),
    PURCHASE: ("handbook", "Handbook", "This file is for those who bought {code}."),
}
_PRODUCTS = {
    "EP100": "Entrepot Sources",
    "EP200": "Entrepot Client",
    "EP400": "Entrepot Signing",
}


def sample_downloads() -> Iterator[SampleDownload]:
    """One of each visibility for each of three products."""
    for code, name in _PRODUCTS.items():
        for visibility, (stem, title, line) in _KINDS.items():
            text = f"{title} of {name} ({code})\n\n{line.format(code=code)}\n"
            file_name = f"{code.lower()}-{stem}.txt"
            yield SampleDownload(code, visibility, file_name, f"{title}: {name}", text)
