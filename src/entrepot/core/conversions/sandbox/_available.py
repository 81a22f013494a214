"""Whether a converter can be locked in on this machine."""

from functools import cache

from entrepot.core.conversions.port import Limits
from entrepot.core.conversions.sandbox._child import Child, NotStarted
from entrepot.core.conversions.sandbox._command import Program


@cache
def sandbox_available(bwrap: str | None = None) -> tuple[bool, str]:
    """(True, "") where a converter can be locked in here, else (False, why) with one line.

    Starts one, so that it is no guess; the answer is kept for the life of the process.
    """
    try:
        child = Child(Program(Limits(), bwrap=bwrap))
    except NotStarted as error:
        return False, str(error)
    child.kill()
    return True, ""
