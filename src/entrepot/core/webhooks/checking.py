"""Everything that is wrong with what somebody says of a webhook, told at once."""

from collections.abc import Callable, Sequence

from entrepot.core.webhooks.patterns import pattern_faults
from entrepot.core.webhooks.subscriptions import check_receiver
from entrepot.errors import Invalid
from entrepot.kit.text import check_line


def webhook_faults(
    *,
    url: str | None = None,
    patterns: Sequence[str] | None = None,
    description: str | None = None,
    private: bool,
) -> list[Invalid]:
    """Every fault of what is said of a webhook; None is not said.

    Looks the host up, so it is called before the transaction.
    """
    faults = [] if patterns is None else pattern_faults(patterns)
    if url is not None:
        faults += _fault_of(lambda: check_receiver(url, private=private))
    if description is not None:
        faults += _fault_of(lambda: check_line(description, field="description", empty=True))
    return faults


def _fault_of(check: Callable[[], object]) -> list[Invalid]:
    try:
        check()
    except Invalid as error:
        return [error]
    return []


def check_webhook(
    *,
    url: str | None = None,
    patterns: Sequence[str] | None = None,
    description: str | None = None,
    private: bool,
) -> None:
    """Raise what `webhook_faults` finds: the one fault, or one Invalid that lists them all.

    Its `details` have every text by the part that it is about (`events`, `events 2`, `url`).
    """
    faults = webhook_faults(url=url, patterns=patterns, description=description, private=private)
    if len(faults) == 1:
        raise faults[0]
    if not faults:
        return
    details: dict[str, str | int | bool] = {}
    for fault in faults:
        same = sum(key.partition(" ")[0] == fault.field for key in details)
        key = f"{fault.field} {same + 1}" if same else fault.field
        details[key] = f"{fault.message} {fault.remedy}".strip()
    raise Invalid(
        f"{len(faults)} things are wrong with the webhook.",
        field=faults[0].field,
        remedy="\n".join(f"{key}: {text}" for key, text in details.items()),
        details=details,
    )
