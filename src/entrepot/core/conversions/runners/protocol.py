"""What the hub and the sandboxed child say to each other: one JSON message a packet.

The pair of sockets is SOCK_SEQPACKET: a message is whole or not there, and has a length limit.

    hub -> child    Request, with the descriptors source, (target, *watermarks) as SCM_RIGHTS
    child -> hub    Answer; the first one, with serial 0, says that the child is ready

The child is believed nothing: the hub measures sizes itself and checks every answer with
`decode_answer`, which raises ValueError for whatever is not exactly an answer.
"""

import math
import re
from typing import Any, Literal

import msgspec

from entrepot.core.conversions.port import Fact

MESSAGE_BYTES_MAX = 64 * 1024
DESCRIPTORS_MAX = 32
READY = 0  # the serial of a child's first words
FACTS_MAX = 64
FACT_TEXT_MAX = 256
REASON_MAX = 500
TRACE_MAX = 8 * 1024

# The codes that any runner may refuse with; recipes.py names those of single steps.
REFUSALS = frozenset({"media-damaged", "media-too-large", "media-too-slow", "media-unsupported"})

_REFUSAL = re.compile(r"[a-z]+(-[a-z]+){0,4}")
_REFUSAL_LENGTH_MAX = 40
_FACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_INTEGER_MAX = 2**53
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def is_refusal(code: str) -> bool:
    """Whether the code is one by its looks, such as `page-outside`."""
    return len(code) <= _REFUSAL_LENGTH_MAX and _REFUSAL.fullmatch(code) is not None


class Refused(Exception):  # noqa: N818 - an answer rather than a defect
    """The file, or the recipe on this file, is not possible; `code` is lower case with hyphens.

    `message` is one sentence for the person who ordered, such as "The page 7 is not there."
    """

    def __init__(self, code: str, message: str) -> None:
        if not is_refusal(code):
            raise ValueError(f"a runner cannot refuse with {code}")
        super().__init__(message)
        self.code = code
        self.message = message


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One item. `recipe` is for convert, `content_type` for probe."""

    serial: int
    verb: Literal["convert", "probe"]
    recipe: dict[str, Any] = {}
    content_type: str = ""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the item with this serial ended; `facts` where done, `code` and `message` where not."""

    serial: int
    outcome: Literal["ready", "done", "refused", "defect"]
    facts: dict[str, Fact] = {}
    code: str = ""
    message: str = ""
    trace: str = ""  # of a defect, for the log


_encode = msgspec.json.Encoder().encode
_decode_request = msgspec.json.Decoder(Request).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


def encode_request(request: Request) -> bytes:
    """The packet; ValueError where it is too long."""
    packet = _encode(request)
    if len(packet) > MESSAGE_BYTES_MAX:
        raise ValueError(f"the request has {len(packet)} bytes, at most {MESSAGE_BYTES_MAX} may be")
    return packet


def decode_request(packet: bytes) -> Request:
    """In the child: what the hub asks for."""
    return _decode_request(packet)


def encode_answer(answer: Answer) -> bytes:
    """In the child: the packet, with texts cut to their limits."""
    cut = msgspec.structs.replace(
        answer, message=answer.message[:REASON_MAX], trace=answer.trace[-TRACE_MAX:]
    )
    return _encode(cut)


def decode_answer(packet: bytes, *, serial: int) -> Answer:
    """What the child said to this request, checked and made harmless; ValueError if not that."""
    try:
        answer = _decode_answer(packet)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not an answer: {error}") from error
    if answer.serial != serial or (answer.outcome == "ready") != (serial == READY):
        raise ValueError("an answer to another question")
    if answer.outcome == "refused" and not is_refusal(answer.code):
        raise ValueError("refused for a reason that is none")
    return msgspec.structs.replace(
        answer,
        facts=check_facts(answer.facts),
        message=one_line(answer.message, REASON_MAX),
        trace=answer.trace[:TRACE_MAX],
    )


def check_facts(facts: dict[str, Fact]) -> dict[str, Fact]:
    """The facts, if they are few, small and plain; ValueError if not."""
    if len(facts) > FACTS_MAX:
        raise ValueError(f"{len(facts)} facts, at most {FACTS_MAX} may be")
    return {_fact_name(name): _fact(value) for name, value in facts.items()}


def _fact_name(name: str) -> str:
    if not _FACT_NAME.fullmatch(name):
        raise ValueError("a fact without a plain name")
    return name


def _fact(value: Fact) -> Fact:
    if isinstance(value, str):
        if len(value) > FACT_TEXT_MAX:
            raise ValueError("a fact of too many characters")
        return one_line(value, FACT_TEXT_MAX)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a fact that is no number")
    if abs(value) > _INTEGER_MAX:
        raise ValueError("a fact beyond all measure")
    return value


def one_line(text: str, length_max: int) -> str:
    """The text without what could steer a terminal or a line of the report."""
    return _CONTROL.sub(" ", text)[:length_max].strip()
