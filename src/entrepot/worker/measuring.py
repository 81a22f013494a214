"""The job `measure_asset`: the facts of a file that came without them, by the admin API.

It is idempotent: an asset that has facts, or another file by now, is left alone. A file that
cannot be measured keeps no facts; the log says why.
"""

import logging
from collections.abc import Mapping
from typing import Any

from entrepot.core.catalogue import find_unmeasured, note_facts
from entrepot.core.conversions.port import ConversionCancelled
from entrepot.core.conversions.results import opened_as_file
from entrepot.errors import EntrepotError
from entrepot.jobs import CONVERSIONS, Halted, Task
from entrepot.worker.work import Work

_log = logging.getLogger(__name__)


def measure_asset(work: Work, task: Task, asset_id: int, sha256: str) -> None:
    """Measure the file and write down what was found."""
    told = {"asset_id": asset_id, "job": task.id}
    try:
        facts = _measure(work, task, asset_id, sha256)
        if facts:
            work.patiently(task, lambda: _note(work, asset_id, sha256, facts))
    except ConversionCancelled:
        task.pause(0)
        _log.warning("an asset was not measured: its converter ended", extra=told)
    except EntrepotError as error:
        _log.warning("an asset cannot be measured", extra=told | {"reason": error.message})
    except Halted:
        raise
    except Exception:
        _log.exception("an asset was not measured by a defect of the hub", extra=told)


def _measure(work: Work, task: Task, asset_id: int, sha256: str) -> Mapping[str, Any]:
    def look() -> str | None:
        with work.hub.database.read() as tx:
            return find_unmeasured(tx, asset_id, sha256)

    def probe() -> Mapping[str, Any]:
        assert content_type is not None
        with opened_as_file(work.hub.blobs, sha256, work.scratch) as source:
            return work.converter.probe(source, content_type=content_type)

    content_type = work.patiently(task, look)
    if content_type is None:
        return {}
    with work.turn(task, CONVERSIONS, suspect=False):
        return work.patiently(task, probe)


def _note(work: Work, asset_id: int, sha256: str, facts: Mapping[str, Any]) -> None:
    with work.hub.database.write() as tx:
        note_facts(tx, asset_id, sha256, facts, now=work.hub.now())
