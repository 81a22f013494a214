"""What is wrong with an order, told at once: every part by the path of its key."""

from collections.abc import Iterable
from itertools import islice

from entrepot.errors import Invalid

FAULTS_MAX, FAULT_LENGTH_MAX = 100, 2_000


class SeveralFaults(Invalid):
    """More than one part of an order cannot work: `details` has the messages by path of the key.

    The first FAULTS_MAX paths. Message, field and code are those of the first.
    """


def refuse_all(faults: Iterable[Invalid]) -> None:
    """Raise the one fault there is, SeveralFaults where there are more; nothing where none is."""
    found = iter(faults)
    begun = list(islice(found, 2))
    if len(begun) <= 1:
        for error in begun:
            raise error
        return
    told: dict[str, str] = {}
    for error in (*begun, *found):
        path, text = error.field or "order", f"{error.message} {error.remedy or ''}".strip()
        if path in told and text not in told[path]:
            text = f"{told[path]} {text}"
        if path in told or len(told) < FAULTS_MAX:
            told[path] = text[:FAULT_LENGTH_MAX]
    first = begun[0]
    raise SeveralFaults(first.message, field=first.field, code=first.code, details=told)
