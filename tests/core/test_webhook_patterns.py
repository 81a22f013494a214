"""Patterns of events: what fits them, what never could, and all that is wrong told at once."""

import pytest

from entrepot.core import webhooks
from entrepot.core.webhooks.patterns import check_patterns, pattern_faults
from entrepot.errors import Invalid


@pytest.mark.parametrize(
    ("patterns", "kind", "matches"),
    [
        (["*"], "order.completed", True),
        (["order/*"], "order.completed", True),
        (["order/completed"], "order.completed", True),
        (["order/completed"], "order.placed", False),
        (["product/*"], "product.changed", True),
        (["product/*"], "product-download.added", True),
        (["product/download-removed"], "product-download.removed", True),
        (["product/*"], "production.begun", False),
        (["release/available", "order/*"], "release.withdrawn", False),
    ],
)
def test_a_pattern_asks_for_a_type_a_noun_or_all(
    patterns: list[str], kind: str, matches: bool
) -> None:
    assert webhooks.matches(patterns, webhooks.spell(kind)) is matches


@pytest.mark.parametrize(
    "patterns",
    [
        [],
        [f"order/{'a' * number}" for number in range(1, 34)],
        ["order"],
        ["order/"],
        ["/completed"],
        ["Order/completed"],
        ["order/completed "],
        ["order/*/x"],
        ["orders/*"],  # no event is about that
        ["*/completed"],
        ["order." + "completed"],
        ["order/" + "a" * 90],
        ["order/complete"],
        ["product-download/*"],
    ],
)
def test_what_can_never_match_is_refused(patterns: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        check_patterns(patterns)
    assert caught.value.field == "events"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        ("product/downlaod-added", "Did you mean product/download-added?"),
        ("order/done", "Of order there are: order/cancelled, order/completed"),
        ("release/publish", "release/available"),
        ("product-download/added", "product/download-added"),
        ("product-download/*", "product/*"),
        ("product-downloads/added", "Events are about"),
        ("entitlements/granted", "Did you mean entitlement/granted?"),
        ("selection/*", "Events are about"),  # there is the noun, and no event of it
    ],
)
def test_a_slip_is_told_with_what_there_is_instead(pattern: str, instead: str) -> None:
    [fault] = pattern_faults([pattern, "order/*"])
    assert instead in fault.remedy
    assert fault.field == "events"


def test_everything_that_is_wrong_with_a_webhook_is_told_at_once() -> None:
    patterns, url = ["order/done", "*", "orders/*"], "http://192.0.2.1/x"
    with pytest.raises(Invalid) as caught:
        webhooks.check_webhook(url=url, patterns=patterns, description="a\x00b", private=False)
    error = caught.value
    assert list(error.details) == ["events", "events 2", "url", "description"]
    assert error.message.startswith("4 things")
    assert error.remedy.count("\n") == 3
    assert "order/completed" in str(error.details["events"])
    with pytest.raises(Invalid) as one:
        webhooks.check_webhook(url=url, patterns=["*"], private=False)
    assert (one.value.field, one.value.code) == ("url", "url-refused")
    webhooks.check_webhook(patterns=["*"], description="fine", private=False)
