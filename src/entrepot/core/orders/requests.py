"""What a caller orders, taken apart and checked as far as that goes without the database.

The door decodes the JSON; here every part is given its type, and what is wrong is refused by the
path of its key in the body (contract, "Request"), such as
`order.global.M.AssetMedia.Images.renditions[0]`. Unknown fields are ignored, but for those inside
a configuration: one that is misspelt there would quietly make another order than was meant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from entrepot.core.catalogue.media_types import GROUP_PREFIX, MEDIA_GROUPS
from entrepot.core.orders.ids import parse_id
from entrepot.core.orders.selections import SelectionKey, parse_key
from entrepot.errors import Invalid
from entrepot.kit.file_names import FILE_NAME_BYTES_MAX, check_file_name
from entrepot.kit.text import LINE_LENGTH_MAX, check_line

INDIVIDUAL_MAX = 10_000  # assets with a configuration of their own
OUTPUTS_MAX = 20  # renditions, presets or conversions in one configuration
STEPS_MAX = 50  # in one pipeline
TEXT_LENGTH_MAX = 1_000
KEY_LENGTH_SHOWN = 128  # of a key of `global` or `individual`, in what is told of it
OrderType: TypeAlias = Literal["Standard", "Custom"]
STANDARD: OrderType = "Standard"
CUSTOM: OrderType = "Custom"
Json: TypeAlias = Mapping[str, Any]
_CONFIGURATION = ("renditions", "presets", "conversions", "user_rendition_configuration")
_KEEP_AS = ("label", "culture", "description")
_MEMBER_LENGTH_SHOWN = 80
_PIPELINES = '[[{"type": "width", "value": 800}, {"type": "fileExtension", "value": "png"}]]'


@dataclass(frozen=True, slots=True)
class KeepAs:
    """The user rendition that an output is kept as."""

    label: str
    culture: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What to make of each asset: every rendition, preset and pipeline gives one file.

    `field` is the path of its key, for errors.
    """

    field: str
    renditions: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    conversions: tuple[tuple[Json, ...], ...] = ()
    keep_as: KeepAs | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return not (self.renditions or self.presets or self.conversions)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as asked for. `groups` is keyed by the short name of a media group.

    `individual` is keyed by an asset's id or identifier. `document` is the part `order` of the
    body as sent, for order.json.
    """

    zip_file_name: str | None
    groups: Mapping[str, Configuration]
    individual: Mapping[int | str, Configuration]
    selection: SelectionKey | None
    resolver_id: str | None = None
    culture: str | None = None
    name: str | None = None
    type: OrderType = STANDARD
    document: Json = field(default_factory=dict)

    @property
    def has_conversions(self) -> bool:
        """Whether any preset or pipeline is asked for (contract, "has_conversions")."""
        every = (*self.groups.values(), *self.individual.values())
        return any(each.presets or each.conversions for each in every)


def parse_order_request(body: Any) -> OrderRequest:
    """The request that decoded JSON spells; Invalid names the path of the part at fault."""
    root = _object(body, "order_request")
    if root.get("order") is None:
        raise _refused(
            "order",
            "order is required",
            'say what to download, or send {"order": {}} for the default renditions of whatever'
            " target_selection has",
        )
    order = _object(root["order"], "order")
    selection = _selection(root.get("target_selection"))
    request = OrderRequest(
        zip_file_name=_zip_file_name(order.get("zip_filename")),
        groups=_groups(order.get("global")),
        individual=_individual(order.get("individual")),
        selection=selection,
        resolver_id=_line(root.get("item_name_resolver_id"), "item_name_resolver_id"),
        culture=_culture(root.get("culture"), "culture"),
        name=_line(root.get("name"), "name"),
        type=_type(root.get("download_order_type")),
        document=order,
    )
    if selection is None and not request.individual:
        raise _refused(
            "target_selection",
            "Nothing says which assets are ordered",
            "give target_selection, or order.individual with the ids of assets as keys",
        )
    return request


def _refused(path: str, what: str, remedy: str = "") -> Invalid:
    """Invalid at `path`; `what` is a sentence without its full stop."""
    told = f"{what}{': ' if remedy else ''}{remedy}."
    return Invalid(told, field=path, code="order-invalid")


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(path, f"{path} must be an object")
    return value


def _list(value: Any, path: str, length_max: int) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _refused(path, f"{path} must be a list")
    if len(value) > length_max:
        raise _refused(path, f"{path} has {len(value)} entries, and {length_max} are the most")
    return value


def _line(value: Any, path: str, *, length_max: int = LINE_LENGTH_MAX) -> str | None:
    """A short text; null and empty are none. A number is taken by its digits, as ids may be."""
    if type(value) is int:
        value = str(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _refused(path, f"{path} must be a text")
    return check_line(value, field=path, empty=True, length_max=length_max) or None


def _culture(value: Any, path: str) -> str | None:
    culture = _line(value, path, length_max=35)
    if culture is not None and not culture.replace("-", "").isalnum():
        raise _refused(path, f"{culture!r} is no culture code", "such as en-US")
    return culture


def _type(value: Any) -> OrderType:
    folded = value.lower() if isinstance(value, str) else value
    if folded in (None, "", "standard"):
        return STANDARD
    if folded == "custom":
        return CUSTOM
    raise _refused("download_order_type", "download_order_type is Standard or Custom")


def _zip_file_name(value: Any) -> str | None:
    path = "order.zip_filename"
    name = _line(value, path, length_max=FILE_NAME_BYTES_MAX)
    if name is None:
        return None
    return check_file_name(name if name.lower().endswith(".zip") else f"{name}.zip", field=path)


def _selection(value: Any) -> SelectionKey | None:
    if value is None:
        return None
    told = _object(value, "target_selection")
    pool = told.get("selectionPool")
    if pool is None:
        raise _refused("target_selection.selectionPool", "target_selection needs a selectionPool")
    try:
        return parse_key(pool, told.get("definitionName"), told.get("subPoolId"))
    except Invalid as error:
        raise at_field(error, f"target_selection.{error.field}") from error


def at_field(error: Invalid, path: str) -> Invalid:
    """The same error, with the path of the key that it is about."""
    told = f"{error.message} {error.remedy}".strip()
    return Invalid(told, field=path, code=error.code, details=error.details)


_GROUPS = {
    key: group.name
    for group in MEDIA_GROUPS
    for key in (str(group.number), group.identifier, group.name)
}


def _groups(value: Any) -> dict[str, Configuration]:
    groups: dict[str, Configuration] = {}
    for key, told in ({} if value is None else _object(value, "order.global")).items():
        path = _path("global", key)
        group = _GROUPS.get(key)
        if group is None:
            known = ", ".join(each.identifier for each in MEDIA_GROUPS)
            raise _refused(path, f"There is no media group {key[:80]!r}", f"there are {known}")
        if group in groups:
            raise _refused(path, f"The media group {GROUP_PREFIX}{group} is configured twice")
        groups[group] = _configuration(told, path)
    return groups


def _individual(value: Any) -> dict[int | str, Configuration]:
    told = {} if value is None else _object(value, "order.individual")
    if len(told) > INDIVIDUAL_MAX:
        raise _refused(
            "order.individual",
            f"order.individual has {len(told)} assets, and {INDIVIDUAL_MAX} are the most",
            "order more of them by target_selection and order.global",
        )
    return {
        _asset(key, _path("individual", key)): _configuration(each, _path("individual", key))
        for key, each in told.items()
    }


def _path(part: str, key: str) -> str:
    """Where a configuration stands in the body; a key that cannot be one is not told whole."""
    return f"order.{part}.{key if len(key) <= KEY_LENGTH_SHOWN else key[:KEY_LENGTH_SHOWN] + '...'}"


def _asset(key: str, path: str) -> int | str:
    if key.isdigit():
        return parse_id(key, field=path)
    return check_line(key, field=path)


def _configuration(value: Any, path: str) -> Configuration:
    if value is None:
        return Configuration(path)
    told = _object(value, path)
    _check_members(told, _CONFIGURATION, path, "a configuration")
    return Configuration(
        field=path,
        renditions=_names(told.get("renditions"), f"{path}.renditions"),
        presets=_names(told.get("presets"), f"{path}.presets"),
        conversions=_conversions(told.get("conversions"), f"{path}.conversions"),
        keep_as=_keep_as(
            told.get("user_rendition_configuration"), f"{path}.user_rendition_configuration"
        ),
    )


def _check_members(told: Json, known: Sequence[str], path: str, what: str) -> None:
    """Refuse members that nobody would obey; those that are null ask for nothing."""
    for name, value in told.items():
        if name not in known and value is not None:
            shown = name[:_MEMBER_LENGTH_SHOWN]
            raise _refused(
                f"{path}.{shown}", f"There is no {shown!r} in {what}", f"it has {', '.join(known)}"
            )


def _names(value: Any, path: str) -> tuple[str, ...]:
    found: list[str] = []
    for at, each in enumerate(_list(value, path, OUTPUTS_MAX)):
        name = _line(each, f"{path}[{at}]") if isinstance(each, str) else None
        if name is None:
            raise _refused(f"{path}[{at}]", f"{path}[{at}] must be a name")
        found.append(name)
    return tuple(found)


def _is_step(value: Any) -> bool:
    return isinstance(value, dict) and "type" in value


def _conversions(value: Any, path: str) -> tuple[tuple[Json, ...], ...]:
    pipelines: list[tuple[Json, ...]] = []
    if _is_step(value):
        raise _refused(path, "conversions is a list of pipelines, each a list of steps", _PIPELINES)
    for at, each in enumerate(_list(value, path, OUTPUTS_MAX)):
        if _is_step(each):
            raise _refused(
                f"{path}[{at}]",
                "Here stands a step by itself, and each conversion is a list of steps",
                f"put the steps of one file into a list of their own, such as {_PIPELINES}",
            )
        steps: Sequence[Any] = _list(each, f"{path}[{at}]", STEPS_MAX)
        if not steps:
            raise _refused(
                f"{path}[{at}]",
                "A conversion is a list of steps",
                '[{"type": "fileExtension", "value": "png"}]',
            )
        pipelines.append(
            tuple(_object(step, f"{path}[{at}][{nth}]") for nth, step in enumerate(steps))
        )
    return tuple(pipelines)


def _keep_as(value: Any, path: str) -> KeepAs | None:
    if value is None:
        return None
    told = _object(value, path)
    _check_members(told, _KEEP_AS, path, "a user_rendition_configuration")
    label = _line(told.get("label"), f"{path}.label")
    culture = _culture(told.get("culture"), f"{path}.culture")
    description = _line(told.get("description"), f"{path}.description", length_max=TEXT_LENGTH_MAX)
    if label is None:
        if culture is None and description is None:
            return None  # the vendor's forms send the object with nothing in it
        raise _refused(f"{path}.label", "A rendition is kept by its label, which is missing")
    return KeepAs(label, culture, description)
