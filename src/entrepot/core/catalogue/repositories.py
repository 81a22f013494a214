"""Repositories of files: a name that contains `controlled` makes customers declare a country.

A slip of the pen in that word would hand out a controlled file as a free one, and nothing
published can be changed. So a name that nearly says it is refused, unless it is meant.
"""

import difflib
import re

from entrepot.errors import Invalid
from entrepot.kit.text import check_line

CONTROLLED = "controlled"
# By difflib's measure, 2 * matching letters / all letters: `controled` 0.95, `control` 0.82.
NEAR = 0.8


def is_controlled(repository: str) -> bool:
    """Whether files in it go only where their taker says that they go."""
    return CONTROLLED in repository


def check_repository(name: str, *, uncontrolled: bool = False) -> str:
    """The name, trimmed; Invalid where one of its words is nearly, but not quite, `controlled`.

    A word is letters between other characters, whatever their case; nearly is a likeness of
    0.8. `uncontrolled` says that such a name is meant as it is.
    """
    line = check_line(name, field="repository")
    if uncontrolled or is_controlled(line):
        return line
    for word in re.findall(r"[^\W\d_]+", line):
        likeness = difflib.SequenceMatcher(None, CONTROLLED, word.lower(), autojunk=False)
        if likeness.ratio() >= NEAR:
            raise Invalid(
                f"The repository {line!r} nearly says `{CONTROLLED}`, but its files would not be.",
                field="repository",
                code="repository-doubtful",
                remedy=f"Write `{CONTROLLED}` in full and in lower case, or say that the files "
                "are meant to be `uncontrolled`.",
            )
    return line
