"""How the one predicate comes to its verdict on an artifact: rule by rule, reason and remedy.

The statement is the predicate's own (predicate.permission) with a column for each rule, so an
explanation can say nothing that a decision would not. Rules are gathered into *checks*, the
questions that a person asks. Every check is answered, also after one that failed: whoever has
two things to put right hears of both at once. Only a disabled account is told nothing more:
the checks behind it are *not reached*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from entrepot.core.entitlements.permitting import bind_request, refusal
from entrepot.core.entitlements.predicate import GRANTED, failure_column, permission
from entrepot.core.entitlements.reasons import day
from entrepot.core.entitlements.views import ArtifactRequest
from entrepot.db import Tx
from entrepot.errors import NotFound
from entrepot.kit.ids import parse_uuid

State: TypeAlias = Literal["passed", "failed", "not-reached"]
PASSED: State = "passed"
FAILED: State = "failed"
NOT_REACHED: State = "not-reached"


class Question(NamedTuple):
    """A check: its name, the verdicts that its rules give, and what is said where all pass."""

    name: str
    verdicts: tuple[str, ...]
    passed: str


QUESTIONS: tuple[Question, ...] = (
    Question("account", ("account-disabled",), "The account that asks is enabled."),
    Question(
        "organisation", ("organisation-blocked",), "Downloads are not blocked for the organisation."
    ),
    Question(
        "entitlement",
        ("entitlement-revoked", "entitlement-not-started", "entitlement-expired"),
        "The entitlement is valid{valid}.",
    ),
    Question(
        "export-control",
        ("compliance-blocked", "compliance-pending"),
        "The compliance check is {compliance}{eccn}.",
    ),
    Question("release", ("release-withdrawn",), "The release {release} is available."),
    Question(
        "maintenance",
        ("before-maintenance", "maintenance-ended"),
        "The release of {available} lies in the maintenance period{maintenance}.",
    ),
    Question(
        "country",
        ("country-not-allowed", "country-embargoed"),
        "Downloads from {country} are allowed.",
    ),
    Question(
        "declared-country",
        ("declared-country-required", "declared-country-not-allowed"),
        "{declared}",
    ),
    Question("licence", ("licence-required",), "{licence}"),
)
# The chain has asked it: of a release of another quality there would be no row at all.
_QUALITY = ("quality", "The quality {quality} is included.")


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer. `reason` and `remedy` are empty unless it failed.

    `begins` and `ends` are the period that was looked at, where it was one; `facts` what the
    reason names (licence, revision, newest_release_id, ...).
    """

    name: str
    state: State
    message: str = ""
    reason: str = ""
    remedy: str = ""
    begins: datetime | None = None
    ends: datetime | None = None
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on one artifact by one entitlement, and the checks in the order of asking."""

    number: int
    entitlement_id: int
    product_code: str
    release_id: str
    release_name: str
    artifact_id: str
    file_name: str
    size: int
    limited: bool
    verdict: str
    checks: Sequence[Check]

    @property
    def allowed(self) -> bool:
        """Whether a link would be issued now."""
        return self.verdict == GRANTED

    def with_check(self, check: Check) -> "Explanation":
        """The same with one more check, which decides where nothing failed before it."""
        decides = self.allowed and check.state == FAILED
        verdict = check.reason if decides else self.verdict
        return replace(self, verdict=verdict, checks=(*self.checks, check))


def explain_artifact(tx: Tx, request: ArtifactRequest, *, now: datetime) -> Explanation:
    """Ask the predicate for one artifact, and how it came to its verdict.

    NotFound exactly where `permitted_artifact` raises it. Quotas are no part of the predicate:
    `delivery.explain_artifact_link` adds them.
    """
    bound = bind_request(request, now) | {"artifact_id": parse_uuid(request.artifact_id)}
    child = request.reference.child_product_id is not None
    row = permission("explained", child=child).one_or_none(tx, bound)
    if row is None:
        raise NotFound
    return Explanation(
        request.reference.number,
        row.entitlement_id,
        row.product_code,
        row.release_id,
        row.release_name,
        row.artifact_id,
        row.file_name,
        row.size,
        row.limited,
        row.verdict,
        _checks(tx, request, row, bound),
    )


def _checks(
    tx: Tx, request: ArtifactRequest, row: Any, bound: Mapping[str, Any]
) -> tuple[Check, ...]:
    told = _facts(request, row)
    periods = {
        "entitlement": (row.valid_from, row.valid_to),
        "maintenance": (row.maintenance_from, row.maintenance_to),
    }
    shut = False
    found: list[Check] = []
    for question in QUESTIONS:
        begins, ends = periods.get(question.name, (None, None))
        failing = [each for each in question.verdicts if getattr(row, failure_column(each))]
        if shut:
            found.append(Check(question.name, NOT_REACHED))
        elif failing:
            error = refusal(tx, request, row, bound, failing[0])
            found.append(
                Check(
                    question.name,
                    FAILED,
                    error.message,
                    error.code,
                    error.remedy,
                    begins,
                    ends,
                    _named(error.details),
                )
            )
            shut = question.name == "account"
        else:
            message = question.passed.format_map(told)
            found.append(Check(question.name, PASSED, message, begins=begins, ends=ends))
        if question.name == "export-control":
            found.append(_quality(told, shut=shut))
    return tuple(found)


def _quality(told: Mapping[str, str], *, shut: bool) -> Check:
    name, passed = _QUALITY
    return Check(name, NOT_REACHED) if shut else Check(name, PASSED, passed.format_map(told))


_TOLD = ("licence", "revision", "newest_release_id", "newest_release_name")


def _named(details: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    """What a program can use of a refusal's details; the periods have fields of their own."""
    return {name: details[name] for name in _TOLD if name in details}


def _facts(request: ArtifactRequest, row: Any) -> dict[str, str]:
    declared = request.declared_country
    restricted = ", ".join(row.us_eccn) or "controlled"
    return {
        "valid": _period(row.valid_from, row.valid_to),
        "maintenance": _period(row.maintenance_from, row.maintenance_to),
        "compliance": row.compliance,
        "eccn": f" (ECCN {restricted})" if row.eccn_restricted else " and no ECCN restricts it",
        "quality": row.quality,
        "release": row.release_name,
        "available": day(row.available_at),
        "country": request.country,
        "declared": f"The file may go to {declared}."
        if row.controlled
        else "No country has to be declared for this file.",
        "licence": "No licence has to be accepted."
        if row.licence_revision_id is None
        else "The licence is accepted.",
    }


def _period(begins: datetime | None, ends: datetime | None) -> str:
    told = f" from {day(begins)}" if begins else ""
    return f"{told} until {day(ends)}" if ends else told
