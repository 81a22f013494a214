"""From the environment to Settings, and from Settings to lines for the operator to read."""

import difflib
import os
from collections.abc import Mapping
from typing import Any

from entrepot.settings._draft import Draft
from entrepot.settings._kinds import TEXT_LENGTH_MAX, Fault, split_url, write_size
from entrepot.settings._rules import RULES
from entrepot.settings._table import DECLARED, PREFIX, Settings, variable

HIDDEN = "(hidden)"
_ALIKE = 0.85


def from_env(
    environ: Mapping[str, str], *, options: Mapping[str, str] | None = None, cores: int = 0
) -> Settings:
    """The settings that `environ` spells, or one Invalid that lists every fault.

    `options` holds what was given on the command line, by field name and written as in the
    environment; it wins. `cores` is the machine's count unless given. An empty variable counts
    as unset. Variables of other programs are ignored, but a name that is nearly one of ours is a
    fault. Secrets and certificates named by path are opened here, nothing is written.
    """
    draft = Draft()
    for name in DECLARED:
        _read(draft, name, environ, options or {})
    for unknown in environ.keys() - {variable(name) for name in DECLARED}:
        _check_spelling(draft, unknown)
    for name in ("web_processes", "worker_slots"):
        if draft[name] is None:
            draft.put(name, cores or len(os.sched_getaffinity(0)), "one per core")
    for rule in RULES:
        rule(draft)
    draft.raise_faults()
    return Settings(**draft.values, sources=draft.sources)


def _read(draft: Draft, name: str, environ: Mapping[str, str], options: Mapping[str, str]) -> None:
    setting = DECLARED[name]
    told = {"command line": options.get(name), "environment": environ.get(variable(name))}
    for source, text in told.items():
        if text and text.strip():
            draft.put(name, None, source)
            try:
                draft.put(name, setting.kind.read(_line(text.strip())), source)
            except Fault as fault:
                draft.blame(name, fault)
            return
    if setting.default is None:
        draft.put(name, None, "not set")
    else:
        draft.put(name, setting.kind.read(setting.default), "default")


def _line(text: str) -> str:
    if len(text) > TEXT_LENGTH_MAX:
        raise Fault(f"has more than {TEXT_LENGTH_MAX} characters", "write it shorter")
    if not text.isprintable():
        raise Fault("holds control characters", "write it on one line")
    return text


def _check_spelling(draft: Draft, unknown: str) -> None:
    if not unknown.startswith(PREFIX):
        return
    known = [variable(name) for name in DECLARED]
    ours = [name.removeprefix(PREFIX) for name in known]
    close = difflib.get_close_matches(unknown.removeprefix(PREFIX), ours, n=1, cutoff=_ALIKE)
    if close:
        fault = Fault("is not a setting", f"did you mean {PREFIX}{close[0]}?")
        draft.blame(unknown.removeprefix(PREFIX).lower(), fault)


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """(variable, value, source) of every setting in the table's order, without secrets."""
    return [
        (variable(name), _show(name, getattr(settings, name)), settings.sources[name])
        for name in DECLARED
    ]


def _show(name: str, value: Any) -> str:
    if value is None or value == ():
        return "none"
    if DECLARED[name].secret:
        return HIDDEN
    if name == "database_url":
        return _without_password(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if name.endswith(("_bytes_max", "_bytes")):
        return write_size(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _without_password(url: str) -> str:
    """`url` with its password and its query hidden: both may hold a secret."""
    parts = split_url(url)
    user, at, place = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}:{HIDDEN}{at}{place}" if ":" in user else parts.netloc
    return f"{parts.scheme}://{netloc}{parts.path}{'?' + HIDDEN if parts.query else ''}"
