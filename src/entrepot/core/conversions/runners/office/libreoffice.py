"""LibreOffice as a program of one run: a document in, a PDF out, nothing remembered."""

import contextlib
import mmap
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from entrepot.core.conversions.office import OFFICE_TYPES, Office, find_office
from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.runners.office.profile import write_profile
from entrepot.core.conversions.runners.protocol import Refused

_RESTART = 81  # EXITHELPER_NORMAL_RESTART: a new profile was made, run again
_RUNS_MAX = 3
_VARYING = (
    re.compile(rb"/CreationDate\(D:(?P<varies>\d{14})"),
    re.compile(rb"/ID \[ <(?P<varies>[0-9A-F]{32})>"),
    re.compile(rb"/ID \[ <[0-9A-F]{32}>\s*<(?P<varies>[0-9A-F]{32})>"),
    re.compile(rb"/DocChecksum /(?P<varies>[0-9A-F]{32})"),
)
# Copy, profile, what it unpacks, and the PDF share the scratch folder.
_SCRATCH_SHARE = 4


def make_pdf(source: Path, content_type: str, folder: Path, limits: Limits) -> Path:
    """The PDF of a document of this type, in `folder`, which is private and empty.

    The filter is told, so that LibreOffice does not guess: what is no such document is refused
    rather than opened as something else.
    """
    office = find_office()
    if office is None:
        raise Refused("media-unsupported", "LibreOffice is not installed where this is converted.")
    extension, reader = OFFICE_TYPES[content_type]
    if source.stat().st_size > limits.scratch_bytes_max // _SCRATCH_SHARE:
        raise Refused(
            "media-too-large",
            "The document is larger than office documents may be here: "
            f"{limits.scratch_bytes_max // _SCRATCH_SHARE:,} bytes.",
        )
    held = folder / f"source.{extension}"
    shutil.copyfile(source, held)
    write_profile(folder / "profile")
    made = folder / "pdf"
    for _ in range(_RUNS_MAX):
        if _run(office, folder / "profile", reader, held, made) != _RESTART:
            break
    pdf = made / "source.pdf"
    if not pdf.is_file():
        raise Refused("media-damaged", "The document is damaged, or locked by a password.")
    held.unlink()
    _forget_the_time(pdf)
    return pdf


def _forget_the_time(pdf: Path) -> None:
    """Blanks the time of writing and what is random: same document, same bytes.

    Nothing moves, so that the table of places in the file stays right.
    """
    with pdf.open("r+b") as file, mmap.mmap(file.fileno(), 0) as written:
        found = [each.span("varies") for pattern in _VARYING for each in pattern.finditer(written)]
        for start, end in found:
            written[start:end] = b"0" * (end - start)


def _run(office: Office, profile: Path, reader: str, held: Path, made: Path) -> int:
    command = [
        str(office.program),
        f"-env:UserInstallation={profile.as_uri()}",
        "--headless",
        "--norestore",
        "--nolockcheck",
        "--nologo",
        f"--infilter={reader}",
        *("--convert-to", "pdf"),
        *("--outdir", str(made)),
        str(held),
    ]
    process = subprocess.Popen(  # noqa: S603 - the command is ours, without a shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=held.parent,
        start_new_session=True,
    )
    try:
        return process.wait()  # for how long the hub lets it
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it may have left running
