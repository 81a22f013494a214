"""What the hub and the command say of a file that could not be made must be the same."""

from entrepot.client.order_answers import LASTING, can_be_retried
from entrepot.core.orders import remedy_of


def test_a_retry_is_offered_where_the_hub_says_that_it_can_help() -> None:
    for code in LASTING:
        remedy = remedy_of(code).lower()
        assert "retry" not in remedy, code
        assert "operator" not in remedy, code
        assert remedy != remedy_of("something new").lower(), code
    for code in ("storage-full", "bytes-missing", "internal-error", "something new"):
        assert code not in LASTING
    damaged, full = {"code": "media-damaged"}, {"code": "storage-full"}
    assert not can_be_retried([damaged, {"code": "crop-outside"}])
    assert can_be_retried([damaged, full])
    assert can_be_retried([])
