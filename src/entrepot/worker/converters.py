"""The sandboxed converters of a worker: one for each kind of work, with the limits of its kind."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from entrepot.core.conversions.port import Converted, Fact, Limits, never
from entrepot.core.conversions.rules import MediaRules
from entrepot.core.conversions.sandbox import SandboxedConverter
from entrepot.jobs import CONVERSIONS, VIDEOS

# Sandboxed processes are started when they are first needed.
_QUEUES = {
    "image": CONVERSIONS,
    "document": CONVERSIONS,
    "office": CONVERSIONS,
    "video": VIDEOS,
    "audio": VIDEOS,
}


class Converters:
    """A Converter (core.conversions.port) that hands each recipe to the converter of its kind."""

    def __init__(self, rules: MediaRules, places: Mapping[str, int]) -> None:
        self._of = {
            runner: SandboxedConverter(
                rules.limits.get(runner, Limits()),
                children_max=places[queue],
                local_sockets=runner == "office",
            )
            for runner, queue in _QUEUES.items()
        }
        # Of its own: measuring a video must not wait for one that is being converted, and finds
        # what `entrepotd assets add` would have found, by the same limits.
        self._measuring = SandboxedConverter(children_max=places[CONVERSIONS])

    def convert(
        self,
        source: BinaryIO,
        recipe: Mapping[str, Any],
        target: BinaryIO,
        *,
        watermarks: Sequence[BinaryIO] = (),
        cancelled: Callable[[], bool] = never,
    ) -> Converted:
        """See Converter.convert."""
        converter = self._of[recipe["runner"]]
        return converter.convert(source, recipe, target, watermarks=watermarks, cancelled=cancelled)

    def probe(self, source: BinaryIO, *, content_type: str) -> Mapping[str, Fact]:
        """See Converter.probe."""
        return self._measuring.probe(source, content_type=content_type)

    def close(self) -> None:
        """End every process."""
        for converter in (*self._of.values(), self._measuring):
            converter.close()
