"""The error catalogue: selections and download orders."""

from collections.abc import Mapping

from entrepot.web.http._catalogue_entry import Entry

ORDERS: Mapping[str, Entry] = {
    "ids-invalid": Entry(
        400,
        "What should be the id of an asset is none, or a list has too many.",
        "An id is a positive whole number, written as a number or as its digits.",
    ),
    "assets-unknown": Entry(
        400,
        "An asset that is named is not there, or is not yours.",
        "Leave it out; list the assets that you may have.",
    ),
    "selection-invalid": Entry(
        400, "The name of a selection, or a change of one, is malformed.", "Mend the named part."
    ),
    "selection-full": Entry(
        400,
        "A selection would have more assets than one can hold.",
        "Remove some, or use another pool.",
    ),
    "selections-full": Entry(
        429, "There are as many selections as one caller may have.", "Clear some first."
    ),
    "order-invalid": Entry(400, "A part of the order is malformed.", "Mend the named part."),
    "order-empty": Entry(
        400,
        "The order would deliver nothing.",
        "Select assets, and configure a rendition, preset or conversion for their media group.",
    ),
    "order-too-large": Entry(
        400, "The order would have more files than one can hold.", "Split it into several."
    ),
    "orders-full": Entry(
        429,
        "The organisation has as many unfinished orders as it may.",
        "Wait until some are done, or cancel some.",
    ),
    "media-group-unknown": Entry(
        400, "There is no media group of that name.", "Use one that `/api/mediagroups` lists."
    ),
    "streams-full": Entry(
        429,
        "As many orders are being watched at once as can be.",
        "Close some streams, or ask for the order itself now and then.",
    ),
    "order-right-ended": Entry(
        403,
        "The right to some of the assets in the order has ended since it was placed.",
        "Place the order again: it then has what you may still have.",
    ),
    "order-not-ready": Entry(
        503, "The order is still at work.", "Watch its progress, or ask again later."
    ),
    "order-not-settled": Entry(
        503, "Some files of the order are still to be made.", "Try again after `Retry-After`."
    ),
    "order-not-retriable": Entry(
        409,
        "There is nothing to try again: the order is at work, or was delivered whole.",
        "Retry orders that failed, in part or whole, or were cancelled.",
    ),
    "invitation-ended": Entry(
        410,
        "The invitation was used, replaced, or its seven days are over.",
        "Sign in, or ask the administrator of the organisation for a new one.",
    ),
    "tokens-used-up": Entry(
        409,
        "The person has as many personal access tokens as anybody may.",
        "Revoke one that is no longer used.",
    ),
    "members-used-up": Entry(
        409,
        "The organisation has as many members as its administrators may add.",
        "Ask an operator of the hub.",
    ),
    "already-set-up": Entry(
        409,
        "The member can sign in already, so there is nothing to invite to.",
        "Ask an operator of the hub for a new password.",
    ),
    "order-ended": Entry(
        410,
        "The package of the order is no longer there.",
        "Place the order again, or retry it where it failed.",
    ),
    "conversions-off": Entry(
        503,
        "This hub converts nothing at present.",
        "Order the files as they are; operators: `/readyz` says why.",
    ),
    "internal-error": Entry(
        0,
        "A file of an order could not be made because of a defect of the hub.",
        "Retry the order; if it fails again, tell the operator the number of the order.",
    ),
}
