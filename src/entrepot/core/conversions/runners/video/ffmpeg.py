"""ffmpeg as a child process: files handed over by descriptor, limits, and errors in plain words."""

import errno
import re
import resource
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.runners.hardening import (
    FFMPEG_INPUT_OPTIONS,
    FFMPEG_OPTIONS,
    FFMPEG_PICTURE_INPUT_OPTIONS,
)
from entrepot.core.conversions.runners.protocol import Refused, one_line

# The number of threads is fixed: with another number some encoders give other bytes.
THREADS = 2
COMPLAINTS_MAX = 16 * 1024  # characters of ffmpeg's complaints that are looked at
_SAID_MAX = 160
_DESCRIPTOR = re.compile(r"/(?:proc/self|dev)/fd/(\d+)")
_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")
_HIDDEN_PATH = re.compile(r"(/[\w.-]+){2,}")


@dataclass(frozen=True, slots=True)
class Encoded:
    """What ffmpeg says it wrote: `seconds` of output, `frames` of picture, and its complaints."""

    seconds: float
    frames: int
    complaints: str


# In the complaint: what it means. The first that is found counts.
_MEANINGS = (
    ("no space left on device", None, ""),
    ("cannot allocate memory", "media-too-large", "Converting it takes more memory than allowed."),
    ("picture size", "media-too-large", "Its picture is larger than allowed."),
    ("not on whitelist", "media-unsupported", "It is of a kind that is not read here."),
    ("decoder not found", "media-unsupported", "It is coded in a way that is not read here."),
    ("unknown decoder", "media-unsupported", "It is coded in a way that is not read here."),
    ("not currently supported in", "media-unsupported", "The format cannot hold what it has."),
    ("unsupported channel layout", "media-unsupported", "The format cannot hold its channels."),
    ("invalid channel layout", "media-unsupported", "The format cannot hold its channels."),
    ("invalid data found", "media-damaged", "The file is damaged."),
    ("does not contain any stream", "media-damaged", "Nothing in the file could be read."),
)
# Complaints about our own command line: a defect of the runner, never the file's fault.
_DEFECTS = (
    "unrecognized option",
    "option not found",
    "no such filter",
    "unknown encoder",
    "requested output format",
    "unable to parse",
    "error parsing",
    "undefined constant",
    "out of range",
)


@cache
def ffmpeg_path() -> str:
    """The program that the package imageio-ffmpeg brings. Refused where it has none."""
    import imageio_ffmpeg  # type: ignore[import-untyped]

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise Refused(
            "media-unsupported", "There is no ffmpeg for this machine, so no video or sound."
        ) from error


def read_stored(path: Path, limits: Limits, *options: str) -> list[str]:
    """The arguments that open a stored, maybe hostile, file."""
    return [
        *FFMPEG_INPUT_OPTIONS,
        *("-threads", str(THREADS), "-max_pixels", str(limits.pixels_max)),
        *options,
        *("-i", str(path)),
    ]


def read_picture(path: Path) -> list[str]:
    """The arguments that open a PNG which we made ourselves."""
    return [*FFMPEG_PICTURE_INPUT_OPTIONS, "-i", str(path)]


def write_target(path: Path, container: str) -> list[str]:
    """The arguments that write the same bytes each time, without the encoder's name."""
    same = [("-fflags", "+bitexact"), ("-flags:v", "+bitexact"), ("-flags:a", "+bitexact")]
    return [
        *(word for pair in same for word in pair),
        *("-threads", str(THREADS), "-y", "-f", container, str(path)),
    ]


def run_ffmpeg(arguments: Sequence[str], limits: Limits, *, stdin: bytes = b"") -> Encoded:
    """Runs ffmpeg to its end. Refused for what the file does; RuntimeError for our mistakes.

    Files in `arguments` may be descriptors of this process (/proc/self/fd/N). The environment
    is empty.
    """
    command = [
        *(ffmpeg_path(), *FFMPEG_OPTIONS, "-nostats", "-progress", "pipe:1"),
        *("-filter_threads", "1", "-filter_complex_threads", "1"),
        *arguments,
    ]
    with subprocess.Popen(  # noqa: S603 - our own program, and no shell
        command,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={},
        pass_fds=_descriptors(arguments),
    ) as child:
        try:
            # Written files end at the limit: SIGXFSZ says so, where `-fs` would cut in silence.
            most = _file_bytes_max(limits)
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (most, most))
        except ProcessLookupError:
            pass  # it is through already
        try:
            told = _talk(child, stdin)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise _refusal(child.returncode, told.complaints, limits)
    return told


def _file_bytes_max(limits: Limits) -> int:
    already = resource.getrlimit(resource.RLIMIT_FSIZE)[1]  # the sandbox's, not to be raised
    most = limits.output_bytes_max
    return most if already == resource.RLIM_INFINITY else min(most, already)


def _descriptors(arguments: Sequence[str]) -> tuple[int, ...]:
    found = (_DESCRIPTOR.fullmatch(one) for one in arguments)
    return tuple(sorted({int(match[1]) for match in found if match}))


def _talk(child: "subprocess.Popen[bytes]", stdin: bytes) -> Encoded:
    if child.stdin is not None:
        child.stdin.write(stdin)  # a palette of 1 KiB: it fits into the pipe
        child.stdin.close()
    assert child.stdout is not None
    return _read_report(child.stdout)


def _read_report(stream: IO[bytes]) -> Encoded:
    """Progress (`name=value`) and complaints from one stream; a flood of either is not kept."""
    values = {"out_time_us": "0", "frame": "0"}
    complaints: list[str] = []
    room = COMPLAINTS_MAX
    while line := stream.readline(4_096):
        text = line.decode("utf-8", "replace").strip()
        name, sign, value = text.partition("=")
        if sign and name in values:
            values[name] = value
        elif room > 0 and not re.fullmatch(r"[a-z_0-9]+=.*", text):
            complaints.append(text)
            room -= len(text)
    return Encoded(
        seconds=_number(values["out_time_us"]) / 1_000_000,
        frames=_number(values["frame"]),
        complaints="\n".join(complaints),
    )


def _number(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0  # "N/A" before anything was written


def _refusal(status: int, complaints: str, limits: Limits) -> Exception:
    if status == -signal.SIGXFSZ or "file too large" in complaints.lower():
        most = limits.output_bytes_max
        return Refused("media-too-large", f"The result would be larger than {most:,} bytes.")
    if status == -signal.SIGXCPU:
        return Refused("media-too-slow", "Converting it takes more time than allowed.")
    lowered = complaints.lower()
    for sign, code, message in _MEANINGS:
        if sign in lowered:
            if code is None:
                return OSError(errno.ENOSPC, "no space left for what ffmpeg writes")
            return Refused(code, message)
    if status < 0 or any(sign in lowered for sign in _DEFECTS):
        return RuntimeError(f"ffmpeg ended with {status}: {complaints[-2_000:]}")
    return Refused("media-damaged", f"The file could not be read to its end{_in_short(complaints)}")


def _in_short(complaints: str) -> str:
    """The first complaint, as the end of a sentence, without paths and addresses."""
    first = next(iter(complaints.splitlines()), "")
    said = one_line(_HIDDEN_PATH.sub("", _PREFIX.sub("", first)), _SAID_MAX).rstrip(".")
    return f": {said}." if said else "."
