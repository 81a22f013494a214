"""Schemathesis' own engine over the whole document: all of its checks, and its walk by the links.

The walk begins where something is made or listed and goes on by the documented links, so that
what is made is shown, changed and removed, and what was removed is asked for again. A short walk
runs with the tests; the long one, and the phase that tries every boundary of every schema and
every method at every address, is a soak.

Off is `positive_data_acceptance`: a schema cannot say that an organisation must be there or that
a text is a date, so that much of what it allows is rightly refused (400). And
`object_level_authorization` asks for two identities: tests/security/test_identity_matrix.py.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from entrepot.assembly import Hub
from entrepot.web.orders_api import _events
from tests.doors.admin_world import URL, Desk, open_desk
from tests.doors.test_openapi import _document, _without_lifespan, _world

CHECKS = {
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance", "negative_data_rejection"),
    *("missing_required_header", "unsupported_method", "allow_header_conformance"),
    *("use_after_free", "ensure_resource_availability", "ignored_auth"),
}
# What a check takes for a fault and is none: (check, operation).
RIGHT = {
    # Without a body a file is uploaded that has no bytes, which is a file.
    ("negative_data_rejection", "uploadArtifact"),
    ("negative_data_rejection", "uploadAsset"),
    ("negative_data_rejection", "replaceAssetFile"),
    # A text too long by halves of surrogate pairs, which are one character each on arrival.
    ("negative_data_rejection", "reviseLicence"),
    ("negative_data_rejection", "addLicence"),
    # A parameter without a value counts as left out.
    ("negative_data_rejection", "showSelection"),
    ("negative_data_rejection", "listSelections"),
    # An order that is cancelled or discarded ends, and is still shown.
    *(("use_after_free", name) for name in ("showOrder", "listTargets", "showTarget")),
    *(("use_after_free", name) for name in ("retryOrder", "watchOrder", "cancelOrder", "showJob")),
    # The contract's answer of a hub without Aspera: 501.
    ("not_a_server_error", "issueTransferSpec"),
}
STEPS_MAX = 25
NAMES = ("name", "code", "client_id", "email")  # of bodies; each is there once


@dataclass
class Ran:
    """What a run did."""

    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    checked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    followed: set[str] = field(default_factory=set)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_is_made_can_be_walked_by_the_links(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _run(hub, monkeypatch, "stateful", examples=12, mode="positive")
    _hold(ran)
    assert ran.statuses[200] > 20
    assert len(ran.followed) > 10, ran.followed


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    ("phase", "examples"), [("stateful", 120), ("fuzzing", 40), ("coverage", 1), ("examples", 1)]
)
def test_the_whole_document_for_long(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, phase: str, examples: int
) -> None:
    ran = _run(hub, monkeypatch, phase, examples=examples, mode="all")
    _hold(ran)


def _hold(ran: Ran) -> None:
    assert not ran.faults, "\n".join(f"{key}: {told}" for key, told in ran.faults.items())
    # No check was left out in silence.
    assert set(ran.checked) == CHECKS
    assert 0 not in ran.checked.values()


def _run(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    *,
    examples: int,
    mode: str,
) -> Ran:
    # An order that was retried is never done here: nobody works at it.
    monkeypatch.setattr(_events, "STREAM_SECONDS_MAX", 0.2)
    ran = Ran()
    with open_desk(hub, outbound_private=True) as desk:
        schema = _schema(desk, phase, examples, mode)
        for event in from_schema(schema).execute():
            assert not isinstance(event, events.FatalError), event
            if isinstance(event, events.NonFatalError):
                ran.faults["the engine", str(event.label)] = str(event.info)
            elif isinstance(event, events.ScenarioFinished):
                _note(ran, event.recorder)
    return ran


def _schema(desk: Desk, phase: str, examples: int, mode: str) -> Any:
    known, document = _world(desk), _document(desk)
    off = {"positive_data_acceptance": False, "object_level_authorization": False}
    config = SchemathesisConfig.from_dict(
        {
            "base-url": URL,
            "headers": {"Authorization": f"Bearer {desk.token}"},
            "continue-on-failure": True,
            "checks": {name: {"enabled": on} for name, on in off.items()},
            "generation": {"max-examples": examples, "mode": mode, "database": "none"}
            # The short walk is the same each time; the long ones are not.
            | {"deterministic": mode == "positive"},
            # Only the links that are documented: none that are guessed.
            "phases": {
                "enabled": False,
                phase: {"enabled": True}
                | (
                    {"inference": {"algorithms": []}, "max-steps": STEPS_MAX}
                    if phase == "stateful"
                    else {}
                ),
            },
        }
    )
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.app = _without_lifespan(desk.app)
    if mode == "positive":
        _go_deep(schema, known)
    return schema


def _go_deep(schema: Any, known: Mapping[str, str]) -> None:
    """Requests name what is there, and half of the bodies are the documented example."""

    def map_path_parameters(_context: Any, path_parameters: Any) -> Any:
        return {
            name: known.get(name, value) for name, value in (path_parameters or {}).items()
        } or path_parameters

    def flatmap_body(context: Any, body: Any) -> Any:
        written = context.operation.definition.raw.get("requestBody", {}).get("content", {})
        shown = written.get("application/json", {}).get("examples", {})
        example = next((one["value"] for one in shown.values()), None)
        if not isinstance(example, dict) or not isinstance(body, dict):
            return st.just(body)
        return st.one_of(st.just(body), st.integers(0, 10**9).map(lambda n: _fresh(example, n)))

    schema.hook(map_path_parameters)
    schema.hook(flatmap_body)


def _fresh(example: dict[str, Any], number: int) -> dict[str, Any]:
    """The example, with names that nothing has yet, for an organisation that is there."""
    told = {name: f"{number}{value}" if name in NAMES else value for name, value in example.items()}
    there = {"organisation": "Blocked and unblocked", "product": "P1", "licence_code": "EULA"}
    return {name: there.get(name, value) for name, value in told.items()}


def _note(ran: Ran, recorder: Any) -> None:
    ids = {}
    for case_id, node in recorder.cases.items():
        case = node.value
        ids[case_id] = case.operation.definition.raw["operationId"]
        if node.is_transition_applied:
            ran.followed.add(ids[case_id])
        answer = recorder.interactions.get(case_id)
        if answer is not None and answer.response is not None:
            ran.statuses[answer.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            ran.checked[check.name] += 1
            key = (check.name, ids[case_id])
            if check.failure_info is not None and key not in RIGHT:
                failure = check.failure_info
                ran.faults.setdefault(key, f"{failure.failure.message}\n{failure.code_sample}")
