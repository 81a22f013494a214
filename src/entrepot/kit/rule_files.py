"""TOML files that an operator writes: read whole, and every fault told at once, by its place."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from entrepot.errors import Invalid

FAULTS_MAX = 50
Table: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A kind of file: `title` says what is in it, `refusal` makes its error.

    `refusal(message, details)`: in `details` each fault by its place, where there are several.
    """

    title: str
    bytes_max: int
    refusal: Callable[[str, Mapping[str, str]], Invalid]

    def read(self, path: Path) -> Table:
        """The parsed file; Invalid where it cannot be read or is no TOML."""
        try:
            with path.open("rb") as file:
                content = file.read(self.bytes_max + 1)
        except OSError as error:
            raise self.refusal(f"{path} cannot be read: {error.strerror}.", {}) from error
        if len(content) > self.bytes_max:
            raise self.refusal(f"{path} has more than {self.bytes_max} bytes.", {})
        try:
            return tomllib.loads(content.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.refusal(f"{path} is not TOML: {error}.", {}) from error


class Faults:
    """What was found wrong in one file so far, by place; the first of a place counts."""

    def __init__(self, kind: RuleFile) -> None:
        self._kind = kind
        self._found: dict[str, str] = {}

    def add(self, place: str, problem: str) -> None:
        """Note a fault."""
        self._found.setdefault(place, problem)

    def add_error(self, error: Invalid, place: str) -> None:
        """Note the fault that an error tells of."""
        self.add(place, f"{error.message.rstrip('.')}. {error.remedy}".strip())

    @contextmanager
    def noted(self, place: str) -> Iterator[None]:
        """An Invalid inside is noted, and what follows goes on."""
        try:
            yield
        except Invalid as error:
            self.add_error(error, place)

    def raise_any(self) -> None:
        """Invalid with all that was noted, the first FAULTS_MAX one by one."""
        if not self._found:
            return
        told = dict(sorted(self._found.items())[:FAULTS_MAX])
        lines = [f"  {place}: {problem}" for place, problem in told.items()]
        if len(self._found) > len(told):
            lines.append(f"  and {len(self._found) - len(told)} more")
        count = len(self._found)
        head = f"{count} fault{'' if count == 1 else 's'} in the {self._kind.title}:"
        raise self._kind.refusal("\n".join([head, *lines]), told)
