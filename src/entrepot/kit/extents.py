"""What a response body is made of: bytes at hand, or a stretch of a stored file."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class FileExtent:
    """`length` bytes of the file at `path` from `offset`; opened only when it is sent."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class MemoryExtent:
    """Bytes at hand: headers of a multipart body, records of a ZIP."""

    data: bytes

    @property
    def length(self) -> int:
        """Bytes in this extent."""
        return len(self.data)


Extent: TypeAlias = FileExtent | MemoryExtent
