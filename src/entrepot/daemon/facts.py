"""Measuring files as they are added: by the sandboxed converter, where there is one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from entrepot.core.catalogue import Probe
from entrepot.core.conversions.port import Converter
from entrepot.core.conversions.sandbox import SandboxedConverter
from entrepot.daemon.console import say
from entrepot.errors import Unavailable


@contextmanager
def measuring(*, wanted: bool) -> Iterator[Probe | None]:
    """A probe for the time of a command; None where it is not wanted.

    Where no sandbox can be had, files are added without facts, which is said once.
    """
    if not wanted:
        yield None
        return
    converter = SandboxedConverter()
    try:
        yield _Measuring(converter)
    finally:
        converter.close()


class _Measuring:
    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self._off = False

    def __call__(self, source: BinaryIO, *, content_type: str) -> Mapping[str, Any]:
        if self._off:
            return {}
        try:
            return self._converter.probe(source, content_type=content_type)
        except Unavailable as error:
            self._off = True
            say(f"Files are not measured. {error.message}")
            return {}
