"""What is wished of the assets of an order, as it is typed: names, pipelines, files of JSON."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import click

from entrepot.client.order_requests import GROUPS, Wishes, group_named

FILE_CHARS_MAX = 8 * 1024 * 1024  # what the hub takes
_STEP = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_BRACKETS = {"{": 1, "[": 1, "}": -1, "]": -1}
_GROUP = re.compile(r"[\w. -]+:[A-Za-z]")  # `Bilder:resize`, not `ratio=16:9`
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")


def collect(
    renditions: Iterable[str],
    presets: Iterable[str],
    conversions: Iterable[str],
    file: IO[str] | None,
) -> tuple[Wishes, dict[str, Wishes]]:
    """What is wished of all, and of single media groups: `Images:NAME` is of one group."""
    every, groups = Wishes(), {group: Wishes() for group in GROUPS}
    found: list[tuple[str | None, Wishes]] = []
    for told in renditions:
        group, name = split_name(told, "--rendition", "downloadOriginal")
        found.append((group, Wishes(renditions=(name,))))
    for told in presets:
        group, name = split_name(told, "--preset", "web")
        found.append((group, Wishes(presets=(name,))))
    for told in conversions:
        group, pipeline = split_group(told)
        if group is None and _GROUP.match(told):
            raise _no_group(told, "--convert", "fileExtension=jpg")
        found.append((group, Wishes(conversions=(parse_pipeline(pipeline),))))
    if file is not None:
        found += _in_file(read_json(file, "--conversions"))
    for one, wishes in found:
        if one is None:
            every += wishes
        else:
            groups[one] += wishes
    return every, {group: wishes for group, wishes in groups.items() if wishes}


def split_group(told: str) -> tuple[str | None, str]:
    """(media group, rest) of `Images:web`; what is before a `:` is a group only if it is one."""
    head, colon, rest = told.partition(":")
    group = group_named(head) if colon else None
    return (group, rest) if group is not None else (None, told)


def split_name(told: str, option: str, example: str) -> tuple[str | None, str]:
    """As `split_group`, of names; BadParameter where what stands before a `:` is no group.

    The hub's names have no `:`, but for renditions that were kept (`kept:12`).
    """
    group, name = split_group(told)
    if group is None and ":" in told and not told.startswith("kept:"):
        raise _no_group(told, option, example)
    return group, name


def _no_group(told: str, option: str, example: str) -> click.BadParameter:
    head = told.partition(":")[0]
    return click.BadParameter(
        f"there is no media group {head[:80]!r}; there are {', '.join(GROUPS)}: "
        f"{option} {GROUPS[0]}:{example}",
        param_hint=option,
    )


def parse_pipeline(told: str) -> list[dict[str, Any]]:
    """The steps of `resize.width=800,resize.fit=cover,fileExtension=jpg`, in their order.

    A value may be JSON, such as `resize={"width": 800}`. Raises BadParameter.
    """
    steps: list[dict[str, Any]] = []
    for part in _parts(told):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _STEP.fullmatch(name) or not value:
            raise click.BadParameter(
                f"{part.strip()[:80]!r} is not type=value, such as fileExtension=jpg",
                param_hint="--convert",
            )
        kind, dot, key = name.partition(".")
        if not dot:
            steps.append({"type": kind, "value": _value(value)})
            continue
        last = steps[-1] if steps else None
        if last is None or last["type"] != kind or not _takes(last["value"], key):
            steps.append({"type": kind, "value": {}})
        steps[-1]["value"][key] = _value(value)
    return steps


def read_json(file: IO[str], option: str) -> Any:
    """The JSON in a file that an option names. Raises BadParameter."""
    try:
        text = file.read(FILE_CHARS_MAX + 1)
        if len(text) > FILE_CHARS_MAX:
            raise click.BadParameter("the file is too large for an order", param_hint=option)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{file.name} is not JSON: {error}", param_hint=option) from error


def request_of(told: Any) -> dict[str, Any]:
    """The order that a --config file spells: a whole request, or its part `order` alone."""
    if not isinstance(told, dict):
        raise click.BadParameter("the file must hold a JSON object", param_hint="--config")
    if "order" in told or "target_selection" in told:
        order = told.get("order")
        if not isinstance(order, dict):
            raise click.BadParameter("`order` must be an object", param_hint="--config")
        return {**told, "order": dict(order)}
    known = {"global", "individual", "zip_filename"}
    if not known & told.keys():
        raise click.BadParameter(
            "the file has neither `order` nor `global` nor `individual`; see the orders API",
            param_hint="--config",
        )
    return {"order": dict(told)}


def _in_file(told: Any) -> list[tuple[str | None, Wishes]]:
    """A list of pipelines, or such a list by media group."""
    if isinstance(told, Mapping):
        found: list[tuple[str | None, Wishes]] = []
        for name, pipelines in told.items():
            group = group_named(name)
            if group is None:
                raise click.BadParameter(
                    f"{name[:80]!r} is not a media group: {', '.join(GROUPS)}",
                    param_hint="--conversions",
                )
            found.append((group, Wishes(conversions=_pipelines(pipelines))))
        return found
    return [(None, Wishes(conversions=_pipelines(told)))]


def _pipelines(told: Any) -> Sequence[Sequence[Mapping[str, Any]]]:
    good = isinstance(told, list) and all(
        isinstance(steps, list) and all(isinstance(step, dict) for step in steps) for steps in told
    )
    if not good:
        raise click.BadParameter(
            'give a list of lists of steps, such as [[{"type": "fileExtension", "value": "png"}]]',
            param_hint="--conversions",
        )
    pipelines: list[list[dict[str, Any]]] = told
    return pipelines


def _parts(told: str) -> list[str]:
    """The text at its commas, except those inside of brackets."""
    parts, depth = [""], 0
    for char in told:
        depth += _BRACKETS.get(char, 0)
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _takes(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key not in value


def _value(text: str) -> Any:
    """JSON objects, lists, numbers and truth values; anything else is a text."""
    if text[0] in "{[" or text in ("true", "false") or _NUMBER.fullmatch(text):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            if text[0] in "{[":
                raise click.BadParameter(
                    f"{text[:80]} is not JSON: {error}", param_hint="--convert"
                ) from error
    return text
