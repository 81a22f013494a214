"""A sandboxed converter with the runner `trial`, and how to hand it an item."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from entrepot.core.conversions.port import MEBIBYTE, Converted, Limits, never
from entrepot.core.conversions.sandbox import SandboxedConverter

IN_SANDBOX = Path(__file__).parent / "in_sandbox"
SMALL = Limits(
    memory_bytes_max=256 * MEBIBYTE,
    cpu_seconds_max=60,
    wall_seconds_max=60,
    output_bytes_max=8 * MEBIBYTE,
    scratch_bytes_max=16 * MEBIBYTE,
)


def trial_converter(limits: Limits = SMALL, **options: Any) -> SandboxedConverter:
    return SandboxedConverter(
        limits, runners={"trial": "trial_runner"}, paths=[IN_SANDBOX], **options
    )


def trial(does: str, value: object = None) -> dict[str, object]:
    """The recipe that makes the runner do so."""
    return {
        "runner": "trial",
        "steps": [{"type": does, "value": value}],
        "extension": "bin",
        "content_type": "application/octet-stream",
        "watermark_sha256s": [],
    }


def source_file(data: bytes = b"a source") -> BinaryIO:
    """As the blob store has them: without a name here, and not to be written."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    file.write(data)
    file.seek(0)
    return file


def run(
    converter: SandboxedConverter,
    does: str,
    value: object = None,
    *,
    source: bytes = b"a source",
    cancelled: Callable[[], bool] = never,
) -> Converted:
    """One item by the trial runner; the target is thrown away."""
    with source_file(source) as opened, tempfile.TemporaryFile() as target:
        return converter.convert(opened, trial(does, value), target, cancelled=cancelled)
