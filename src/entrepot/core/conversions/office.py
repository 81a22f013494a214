"""Office documents: which there are, and the LibreOffice that reads them where it is installed.

Only one from the system's packages counts: of the machine, the sandbox sees /usr alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_OPC = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."

OFFICE_TYPES: Mapping[str, tuple[str, str]] = {
    "application/msword": ("doc", "MS Word 97"),
    f"{_OPC}wordprocessingml.document": ("docx", "MS Word 2007 XML"),
    f"{_ODF}text": ("odt", "writer8"),
    "application/rtf": ("rtf", "Rich Text Format"),
    "application/vnd.ms-powerpoint": ("ppt", "MS PowerPoint 97"),
    f"{_OPC}presentationml.presentation": ("pptx", "Impress MS PowerPoint 2007 XML"),
    f"{_ODF}presentation": ("odp", "impress8"),
    "application/vnd.ms-excel": ("xls", "MS Excel 97"),
    f"{_OPC}spreadsheetml.sheet": ("xlsx", "Calc MS Excel 2007 XML"),
    f"{_ODF}spreadsheet": ("ods", "calc8"),
}
"""Content type -> the usual ending, and LibreOffice's name of the filter that reads it."""

_COMMANDS = (Path("/usr/bin/soffice"), Path("/usr/bin/libreoffice"))
_PRODUCT = re.compile(r"^ProductKey=(.+)$", re.MULTILINE)
_BUILD = re.compile(r"^buildid=(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Office:
    """An installed LibreOffice: its program, and what tells its version from others."""

    program: Path
    version: str


@cache
def find_office() -> Office | None:
    """The LibreOffice of this machine; None without one. The answer is kept."""
    for command in _COMMANDS:
        folder = command.resolve().parent
        program = folder / "soffice.bin"
        if program.is_file() and Path("/usr") in program.parents:
            said = (
                (_PRODUCT, folder / "bootstraprc"),
                (_BUILD, folder / "versionrc"),
            )
            return Office(program, " ".join(_find(*each) for each in said))
    return None


def _find(line: re.Pattern[str], path: Path) -> str:
    try:
        found = line.search(path.read_text(errors="replace"))
    except OSError:
        return "unknown"
    return found[1].strip() if found else "unknown"
