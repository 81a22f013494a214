"""What a request may say: every part by the path of its key, unknown fields left aside."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.core.orders import SelectionKey, parse_order_request
from entrepot.core.orders.requests import Configuration, KeepAs
from entrepot.errors import Invalid

SELECTED = {"target_selection": {"selectionPool": "pool"}}
STEP = {"type": "fileExtension", "value": "png"}


def test_the_sample_of_the_vendor_is_read_whole() -> None:
    """The names and nesting of the vendor's sample, with values that mean something."""
    config = {
        "renditions": ["downloadOriginal"],
        "conversions": [[STEP]],
        "user_rendition_configuration": {
            "label": "print",
            "culture": "en-US",
            "description": "for print",
        },
        "presets": ["web"],
    }
    request = parse_order_request(
        {
            "target_selection": {
                "selectionPool": "basket",
                "subPoolId": 3,
                "definitionName": "M.Asset",
            },
            "item_name_resolver_id": "by-group",
            "culture": "en-US",
            "name": "Spring",
            "order": {
                "zip_filename": "spring",
                "global": {"M.AssetMedia.Images": config, "3": config},
                "individual": {"20001": config, "harbour": config},
            },
            "download_order_type": "Custom",
            "something_else": 1,
        }
    )
    made = Configuration(
        "order.global.M.AssetMedia.Images",
        ("downloadOriginal",),
        ("web",),
        ((STEP,),),
        KeepAs("print", "en-US", "for print"),
    )
    assert request.groups["Images"] == made
    assert request.groups.keys() == {"Images", "Videos"}
    assert list(request.individual) == [20001, "harbour"]
    assert request.individual["harbour"].field == "order.individual.harbour"
    assert request.selection == SelectionKey("basket", "M.Asset", 3)
    assert (request.zip_file_name, request.name, request.culture) == (
        "spring.zip",
        "Spring",
        "en-US",
    )
    assert (request.resolver_id, request.type) == ("by-group", "Custom")
    assert request.has_conversions
    assert request.document["zip_filename"] == "spring"


def test_the_least_that_is_an_order() -> None:
    request = parse_order_request({"order": {}} | SELECTED)
    assert (request.groups, request.individual, request.type) == ({}, {}, "Standard")
    assert request.zip_file_name is request.name is request.culture is None
    assert not request.has_conversions
    assert parse_order_request({"order": {"individual": {"1": None}}}).selection is None


@pytest.mark.parametrize("value", [None, "", "Standard", "standard"])
def test_a_type_may_be_left_out(value: Any) -> None:
    told = {"order": {"zip_filename": value if value == "" else None}} | SELECTED
    assert parse_order_request(told | {"download_order_type": value}).type == "Standard"


def test_an_empty_user_rendition_is_none_and_a_number_a_name() -> None:
    empty = {"label": "", "culture": None, "description": ""}
    told = {"global": {"1": {"user_rendition_configuration": empty}}}
    request = parse_order_request({"order": told, "item_name_resolver_id": 7} | SELECTED)
    assert request.groups["Images"].keep_as is None
    assert request.resolver_id == "7"


def configured(config: Any) -> dict[str, Any]:
    return {"order": {"global": {"1": config}}} | SELECTED


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ([], "order_request"),
        ({}, "order"),
        ({"order": None} | SELECTED, "order"),
        ({"order": []} | SELECTED, "order"),
        ({"order": {}}, "target_selection"),
        ({"order": {}, "target_selection": None}, "target_selection"),
        ({"order": {}, "target_selection": 7}, "target_selection"),
        ({"order": {}, "target_selection": {}}, "target_selection.selectionPool"),
        (
            {"order": {}, "target_selection": {"selectionPool": "p", "subPoolId": "x"}},
            "target_selection.subPoolId",
        ),
        ({"order": {"zip_filename": "../x"}} | SELECTED, "order.zip_filename"),
        ({"order": {"zip_filename": "nul.zip"}} | SELECTED, "order.zip_filename"),
        ({"order": {"zip_filename": 1.5}} | SELECTED, "order.zip_filename"),
        ({"order": {"zip_filename": "x" * 256}} | SELECTED, "order.zip_filename"),
        ({"order": {"global": []}} | SELECTED, "order.global"),
        ({"order": {"global": {"Pictures": {}}}} | SELECTED, "order.global.Pictures"),
        ({"order": {"global": {"0": {}}}} | SELECTED, "order.global.0"),
        (
            {"order": {"global": {"1": {}, "M.AssetMedia.Images": {}}}} | SELECTED,
            "order.global.M.AssetMedia.Images",
        ),
        ({"order": {"individual": []}}, "order.individual"),
        ({"order": {"individual": {"0": {}}}}, "order.individual.0"),
        ({"order": {"individual": {"": {}}}}, "order.individual."),
        ({"order": {"individual": {"9" * 19: {}}}}, f"order.individual.{'9' * 19}"),
        ({"order": {"individual": {"7": 1}}}, "order.individual.7"),
        ({"order": {"individual": {"x" * 9000: 1}}}, f"order.individual.{'x' * 128}..."),
        ({"order": {"individual": {str(n): {} for n in range(1, 10_002)}}}, "order.individual"),
        (configured({"renditions": "x"}), "order.global.1.renditions"),
        (configured({"renditions": [""]}), "order.global.1.renditions[0]"),
        (configured({"renditions": ["a", 5]}), "order.global.1.renditions[1]"),
        (configured({"renditions": ["a"] * 21}), "order.global.1.renditions"),
        (configured({"presets": {}}), "order.global.1.presets"),
        (configured({"conversions": {}}), "order.global.1.conversions"),
        (configured({"conversions": [STEP]}), "order.global.1.conversions[0]"),
        (configured({"conversions": STEP}), "order.global.1.conversions"),
        (configured({"conversions": [[STEP], []]}), "order.global.1.conversions[1]"),
        (configured({"conversions": [[STEP, 3]]}), "order.global.1.conversions[0][1]"),
        (configured({"conversions": [[STEP] * 51]}), "order.global.1.conversions[0]"),
        (
            configured({"user_rendition_configuration": {"culture": "en"}}),
            "order.global.1.user_rendition_configuration.label",
        ),
        (
            configured({"user_rendition_configuration": {"label": "a", "culture": "e n"}}),
            "order.global.1.user_rendition_configuration.culture",
        ),
        (
            configured({"user_rendition_configuration": {"label": "a\nb"}}),
            "order.global.1.user_rendition_configuration.label",
        ),
        (configured({"rendition": ["downloadOriginal"]}), "order.global.1.rendition"),
        (configured({"presets": ["web"], "x" * 90: 1}), f"order.global.1.{'x' * 80}"),
        (
            configured({"user_rendition_configuration": {"lable": "a"}}),
            "order.global.1.user_rendition_configuration.lable",
        ),
        ({"order": {}, "name": "x" * 201} | SELECTED, "name"),
        ({"order": {}, "name": {}} | SELECTED, "name"),
        ({"order": {}, "culture": "../.."} | SELECTED, "culture"),
        ({"order": {}, "item_name_resolver_id": []} | SELECTED, "item_name_resolver_id"),
        ({"order": {}, "download_order_type": "Rush"} | SELECTED, "download_order_type"),
        ({"order": {}, "download_order_type": 1} | SELECTED, "download_order_type"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(told: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_order_request(told)
    assert caught.value.field == field
    assert caught.value.message


def test_a_misspelt_member_is_told_with_those_that_there_are() -> None:
    with pytest.raises(Invalid, match="no 'conversion' in a configuration: it has rend") as one:
        parse_order_request(configured({"renditions": ["preview"], "conversion": [[STEP]]}))
    assert one.value.code == "order-invalid"
    nothing = configured({"renditions": ["preview"], "conversion": None})
    assert parse_order_request(nothing).groups["Images"].renditions == ("preview",)


def test_a_step_without_its_list_and_a_body_without_its_order_are_told_what_to_write() -> None:
    for conversions in (STEP, [STEP]):
        with pytest.raises(Invalid) as caught:
            parse_order_request(configured({"conversions": conversions}))
        assert '[[{"type": "width"' in caught.value.message
    with pytest.raises(Invalid) as caught:
        parse_order_request(SELECTED)
    assert '{"order": {}}' in caught.value.message


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "order",
                    "global",
                    "individual",
                    "1",
                    "20001",
                    "renditions",
                    "presets",
                    "conversions",
                    "user_rendition_configuration",
                    "label",
                    "target_selection",
                    "selectionPool",
                    "subPoolId",
                    "zip_filename",
                    "name",
                    "culture",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_at_all_is_read_or_refused(told: Any) -> None:
    """Whatever is sent: a request, or Invalid with the path of a key; never another error."""
    try:
        request = parse_order_request(told)
    except Invalid as error:
        assert error.field
    else:
        assert request.selection is not None or request.individual
