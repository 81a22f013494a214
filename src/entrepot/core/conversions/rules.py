"""Reading the operator's media rules: TOML over the built-in defaults, every fault at once.

The built-in file, default_rules.toml beside this one, has the same form and is read by the
same code. docs/howto/media-rules.md tells an operator what may stand in it.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from entrepot.core.catalogue.media_types import MEDIA_GROUPS
from entrepot.core.conversions._given import show
from entrepot.core.conversions._media_rules import (
    METADATA,
    METADATA_RECIPE,
    ORIGINAL,
    Making,
    MediaRules,
    Preset,
    Rendition,
)
from entrepot.core.conversions.naming import Resolver, parse_resolver
from entrepot.core.conversions.pipelines import asset_watermarks, compile_pipeline, step_faults
from entrepot.core.conversions.port import Limits
from entrepot.errors import Invalid
from entrepot.kit.rule_files import Faults, RuleFile, Table
from entrepot.kit.text import check_line

__all__ = [
    "METADATA",
    "METADATA_RECIPE",
    "ORIGINAL",
    "MediaRules",
    "Preset",
    "Rendition",
    "Resolver",
    "load_media_rules",
    "read_media_rules",
]

FILE_BYTES_MAX = 2**20
NAMES_MAX = 500  # renditions, presets or resolvers
ALIASES_MAX = 10
LIMIT_MAX = 2**50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_GROUPS = tuple(group.name for group in MEDIA_GROUPS)
# A file of each group that can be converted, to try a pipeline on.
_SAMPLES: Mapping[str, str] = {
    "Images": "image/jpeg",
    "Vectors": "image/svg+xml",
    "Videos": "video/mp4",
    "Audio": "audio/mpeg",
    "Documents": "application/pdf",
}
_RUNNERS = ("image", "video", "audio", "document", "office")
_NONE = "none"  # takes a part of the built-in rules away
_SECTIONS = ("renditions", "presets", "defaults", "resolvers", "limits", "default_resolver")


def _invalid(message: str, details: Mapping[str, str]) -> Invalid:
    return Invalid(
        message,
        field="media_rules",
        code="media-rules-invalid",
        remedy="Mend the file that ENTREPOT_MEDIA_RULES names; docs/howto/media-rules.md "
        "explains every line.",
        details=dict(details),
    )


_FILE = RuleFile("media rules", FILE_BYTES_MAX, _invalid)


def load_media_rules(path: Path | None = None) -> MediaRules:
    """The built-in rules, with those of the file at `path` laid over them.

    Invalid (media-rules-invalid) lists every fault of the file by its place.
    """
    built_in = tomllib.loads(
        files("entrepot.core.conversions").joinpath("default_rules.toml").read_text("utf-8")
    )
    return read_media_rules(built_in, {} if path is None else _FILE.read(path))


def read_media_rules(built_in: Table, told: Table) -> MediaRules:
    """The rules of two tables, the second laid over the first."""
    faults = _Faults(_FILE)
    for name in told.keys() - set(_SECTIONS):
        faults.add(show(name), f"There is no such section; there are {', '.join(_SECTIONS)}.")
    renditions = _merged("renditions", built_in, told, _rendition, faults)
    presets = _merged("presets", built_in, told, _preset, faults)
    resolvers = _merged("resolvers", built_in, told, _resolver, faults)
    _check_aliases(renditions, faults)
    defaults = _defaults(built_in, told, renditions, faults)
    limits = _limits(built_in, told, faults)
    chosen = told.get("default_resolver", built_in["default_resolver"])
    if not isinstance(chosen, str) or chosen not in resolvers:
        faults.add("default_resolver", f"There is no resolver {show(chosen)}.")
    faults.raise_any()
    return MediaRules(renditions, presets, defaults, resolvers, chosen, limits)


class _Faults(Faults):
    """Those of media rules: an error's own field says the place more closely."""

    def add_error(self, error: Invalid, place: str) -> None:
        """Note the fault that an error tells of, in its own words."""
        self.add(error.field or place, f"{error.message} {error.remedy}".strip())

    def add_steps(self, steps: Any, place: str) -> None:
        """Every step that is wrong by itself; compiling stops at the first."""
        for error in step_faults(steps, field=place):
            self.add_error(error, place)


def _merged(
    section: str, built_in: Table, told: Table, read: Callable[..., Any], faults: _Faults
) -> dict[str, Any]:
    """A section: an entry of the operator's is laid over the one of its name, or takes it away."""
    found: dict[str, Any] = {}
    tables = [_table(source.get(section, {}), section, faults) for source in (built_in, told)]
    names = dict.fromkeys(name for table in tables for name in table)
    if len(names) > NAMES_MAX:
        faults.add(section, f"There are more than {NAMES_MAX} entries.")
        return found
    for name in names:
        place = f"{section}.{name}"
        if not _NAME.fullmatch(name):
            faults.add(section, f"{show(name)} is no name: use 1 to 64 of A-Z a-z 0-9 . _ and -.")
            continue
        if tables[1].get(name) == _NONE:
            continue
        entry: dict[str, Any] = {}
        for table in tables:
            entry |= _table(table.get(name, {}), place, faults)
        with faults.noted(place):
            found[name] = read(name, entry, place, faults)
    return found


def _table(value: Any, place: str, faults: _Faults) -> Table:
    if isinstance(value, Mapping):
        return value
    faults.add(place, f"Expected a table, not {show(value)}.")
    return {}


def _check_keys(entry: Table, known: tuple[str, ...], place: str, faults: _Faults) -> None:
    for key in entry.keys() - set(known):
        faults.add(f"{place}.{key}", f"There is no such key; there are {', '.join(known)}.")


def _line(entry: Table, key: str, default: str, place: str) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise Invalid(f"Expected a text, not {show(value)}.", field=f"{place}.{key}")
    return check_line(value, field=f"{place}.{key}", empty=True)


def _rendition(name: str, entry: Table, place: str, faults: _Faults) -> Rendition:
    _check_keys(entry, ("title", "aliases", "every", *_GROUPS), place, faults)
    every = entry.get("every", _NONE)
    by_group = {}
    for group in _GROUPS:
        told = entry.get(group, every)
        where = f"{place}.{group if group in entry else 'every'}"
        faults.add_steps(told, where)
        with faults.noted(where):
            making = _making(told, group, where)
            if making is not None:
                by_group[group] = making
    return Rendition(
        name, _line(entry, "title", name, place), _aliases(entry, place, faults), by_group
    )


def _aliases(entry: Table, place: str, faults: _Faults) -> tuple[str, ...]:
    aliases = entry.get("aliases", [])
    fine = isinstance(aliases, list) and len(aliases) <= ALIASES_MAX
    if not fine or not all(isinstance(each, str) and _NAME.fullmatch(each) for each in aliases):
        faults.add(f"{place}.aliases", f"Expected a list of at most {ALIASES_MAX} names.")
        return ()
    return tuple(aliases)


def _check_aliases(renditions: Mapping[str, Rendition], faults: _Faults) -> None:
    taken: dict[str, str] = {}
    for each in renditions.values():
        for called in (each.name, *each.aliases):
            owner = taken.setdefault(called.lower(), each.name)
            if owner != each.name:
                faults.add(f"renditions.{each.name}", f"{called!r} is a name of {owner} already.")


def _making(told: Any, group: str, place: str) -> Making | None:
    if told == _NONE:
        return None
    if told in (ORIGINAL, METADATA):
        return str(told)
    if not isinstance(told, list):
        raise Invalid(
            f"Expected {ORIGINAL!r}, {METADATA!r}, {_NONE!r} or a list of steps, not {show(told)}.",
            field=place,
        )
    _try(told, group, place)
    return tuple(told)


def _try(steps: Any, group: str, place: str) -> None:
    if group not in _SAMPLES:
        raise Invalid(f"{group} cannot be converted.", field=place, remedy='Use "original".')
    recipe = compile_pipeline(steps, media_group=group, content_type=_SAMPLES[group], field=place)
    if asset_watermarks(recipe):
        raise Invalid(
            "A watermark of the rules is a text: assets come and go.",
            field=place,
            remedy="Use `text`, or leave the watermark to the orders.",
        )


def _preset(name: str, entry: Table, place: str, faults: _Faults) -> Preset:
    _check_keys(entry, ("title", "steps", *_GROUPS), place, faults)
    by_group = {}
    for group in _GROUPS:
        if group in entry and entry[group] != _NONE:
            faults.add_steps(entry[group], f"{place}.{group}")
            with faults.noted(f"{place}.{group}"):
                _try(entry[group], group, f"{place}.{group}")
                by_group[group] = tuple(entry[group])
    steps = entry.get("steps", _NONE)
    if steps != _NONE:
        faults.add_steps(steps, f"{place}.steps")
        _try_any(steps, f"{place}.steps")
    elif not entry.keys() & set(_GROUPS):
        raise Invalid("A preset needs steps.", field=place, remedy="Write steps = [...].")
    return Preset(
        name,
        _line(entry, "title", name, place),
        None if steps == _NONE else tuple(steps),
        by_group,
    )


def _try_any(steps: Any, place: str) -> None:
    """Steps for all groups must work for one at least; else the first fault is told."""
    first: Invalid | None = None
    for group in _SAMPLES:
        try:
            _try(steps, group, place)
        except Invalid as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def _resolver(name: str, entry: Table, place: str, faults: _Faults) -> Resolver:
    _check_keys(entry, ("title", "template", "folder"), place, faults)
    return parse_resolver(
        name,
        _line(entry, "title", name, place),
        _line(entry, "template", "", place),
        _line(entry, "folder", "", place),
        field=place,
    )


def _defaults(
    built_in: Table, told: Table, renditions: Mapping[str, Rendition], faults: _Faults
) -> dict[str, tuple[str, ...]]:
    entry = {**built_in["defaults"], **_table(told.get("defaults", {}), "defaults", faults)}
    _check_keys(entry, _GROUPS, "defaults", faults)
    found: dict[str, tuple[str, ...]] = {}
    for group in _GROUPS:
        names = entry.get(group, [])
        if not isinstance(names, list) or len(names) > NAMES_MAX:
            faults.add(f"defaults.{group}", "Expected a list of names of renditions.")
            continue
        for name in names:
            known = renditions.get(name) if isinstance(name, str) else None
            if known is None:
                faults.add(f"defaults.{group}", f"There is no rendition {show(name)}.")
            elif group not in known.by_group:
                faults.add(f"defaults.{group}", f"{group} have no rendition {name}.")
        found[group] = tuple(map(str, names))
    return found


def _limits(built_in: Table, told: Table, faults: _Faults) -> dict[str, Limits]:
    operators = _table(told.get("limits", {}), "limits", faults)
    _check_keys(operators, _RUNNERS, "limits", faults)
    names = tuple(each.name for each in fields(Limits))
    found: dict[str, Limits] = {}
    for runner in _RUNNERS:
        place = f"limits.{runner}"
        entry = _table(operators.get(runner, {}), place, faults)
        _check_keys(entry, names, place, faults)
        values = asdict(Limits()) | dict(built_in["limits"].get(runner, {}))
        for name in names:
            if name not in entry:
                continue
            number = entry[name]
            whole = isinstance(number, int) and not isinstance(number, bool)
            if whole and 1 <= number <= LIMIT_MAX:
                values[name] = number
            else:
                faults.add(f"{place}.{name}", f"Expected a whole number from 1 to {LIMIT_MAX}.")
        found[runner] = Limits(**values)
    return found
