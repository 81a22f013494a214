"""The error catalogue: every code the hub answers with, what it means, what to do.

`type` in a problem document points into it; docs/reference/errors.md is made from it, and a
test compares it with the codes in the source.
"""

from collections.abc import Mapping

from entrepot.web.http._catalogue_entry import Entry
from entrepot.web.http._catalogue_hub import HUB
from entrepot.web.http._catalogue_manifests import MANIFESTS
from entrepot.web.http._catalogue_orders import ORDERS

__all__ = ["CATALOGUE", "Entry"]

CATALOGUE: Mapping[str, Entry] = {
    # Who asks
    "token-missing": Entry(
        401, "The request carries no access token.", "Send `Authorization: Bearer <token>`."
    ),
    "token-invalid": Entry(
        401,
        "The access token is not one of this hub's, or was changed.",
        "Get a new token, for example on the token page.",
    ),
    "token-expired": Entry(
        401, "The access token's hour is over.", "Get a new token and sign in again."
    ),
    "token-elsewhere": Entry(
        401,
        "The personal access token is not for use from this address.",
        "Use it from the address ranges it was made for, or make another one.",
    ),
    "token-revoked": Entry(
        401,
        "The access token was ended before its time, with its sign-in or by itself, or the "
        "program that it was made for is shut out.",
        "Sign in again.",
    ),
    "unauthenticated": Entry(401, "Signing in is needed.", "Sign in or send an access token."),
    "account-disabled": Entry(
        401,
        "The person or program behind the token is disabled or gone.",
        "Use another account, or ask an operator of the hub.",
    ),
    "credentials-wrong": Entry(
        401,
        "The mail address or the password is wrong.",
        "Try again, or ask an operator to set a new password.",
    ),
    "sign-in-throttled": Entry(
        429,
        "Too many wrong passwords for the account or from the address within 15 minutes.",
        "Wait as long as `Retry-After` says.",
    ),
    "sign-in-stale": Entry(
        403,
        "The sign-in by an identity provider was not begun in this browser, or too long ago.",
        "Begin again on the sign-in page, in one window.",
    ),
    "sign-in-declined": Entry(
        401,
        "The identity provider did not sign the person in.",
        "Try again, or sign in another way.",
    ),
    "sign-in-unproven": Entry(
        401,
        "What the identity provider answered does not prove who is signing in.",
        "Try again; if it happens again, tell an operator of the hub, whose log says why.",
    ),
    "sign-in-mail-unverified": Entry(
        403,
        "The identity provider does not say that it has checked the person's mail address.",
        "Confirm the address at the provider, then sign in again.",
    ),
    "sign-in-no-membership": Entry(
        403,
        "No organisation of the hub is open to the person whom the identity provider named.",
        "Ask whoever looks after your company's account, or an operator of the hub.",
    ),
    "sign-in-account-taken": Entry(
        403,
        "There is an account with the mail address which the identity provider may not sign in to.",
        "Sign in with its password, or ask an operator of the hub.",
    ),
    "sign-in-organisation-missing": Entry(
        503,
        "The organisation that a rule of the identity provider names is not registered.",
        "Register it under that name, or mend the rule.",
    ),
    "sign-in-provider-down": Entry(
        503,
        "The identity provider cannot be reached, or does not answer as OpenID Connect has it.",
        "Try again in a minute, or sign in with a password.",
    ),
    "too-many-requests": Entry(
        429, "A limit on the rate of requests was reached.", "Wait as long as `Retry-After` says."
    ),
    "role-required": Entry(
        403,
        "The account lacks the role that this needs.",
        "Ask an operator of the hub for the role.",
    ),
    "client-mismatch": Entry(
        401,
        "The client id that was sent is not that of the token.",
        "Leave `X-Client-Id` out, or send the client id that the token was made for.",
    ),
    "scope-required": Entry(
        403,
        "The token does not carry the scope that this needs.",
        "Ask for a token with that scope.",
    ),
    "person-required": Entry(
        403,
        "Only a person can do this, not a program.",
        "Let a member of the organisation do it on the portal.",
    ),
    "form-foreign": Entry(
        403,
        "The form did not come from a page of this hub, or from a page of an earlier session.",
        "Open the page again and send the form once more.",
    ),
    "own-account": Entry(
        403,
        "Administrators of an organisation do not change their own account.",
        "Ask another administrator, or an operator of the hub.",
    ),
    "member-protected": Entry(
        403,
        "The member publishes or runs the hub: the organisation's administrator cannot change it.",
        "Ask an operator of the hub.",
    ),
    "quota-exhausted": Entry(
        403,
        "What the entitlement gives in all is used up: downloads, bytes or addresses.",
        "The answer says how much is left and when some comes back; ask the publisher for more.",
    ),
    "denied": Entry(403, "This is not allowed.", "See the message."),
    "authorization-invalid": Entry(
        400,
        "A program sent somebody here with an authorization request that has faults.",
        "Go back and try again; if it stays so, tell the makers of that program.",
    ),
    # What is asked for
    "endpoint-unknown": Entry(
        404,
        "The path leads to no endpoint of the API.",
        "Check the path; `/openapi.json` has every endpoint.",
    ),
    "not-found": Entry(
        404,
        "There is no such object, or it is not yours: the two are never told apart.",
        "Check the id; list what your organisation is entitled to.",
    ),
    "gone": Entry(410, "What was asked for existed and has ended.", "See the message."),
    "invalid": Entry(
        400, "The request is malformed; `field` names the part.", "Mend the named part."
    ),
    "country-invalid": Entry(
        400, "Not a country code.", "Give two letters as in ISO 3166-1, such as DE."
    ),
    "parameter-unknown": Entry(
        400,
        "The endpoint has no parameter of that name; names are case-sensitive.",
        "Leave it out, or mend its name: the answer lists those there are.",
    ),
    "parameter-invalid": Entry(
        400,
        "A parameter of the query is not of the kind it takes.",
        "Write it as the message says.",
    ),
    "parameter-repeated": Entry(
        400, "A parameter of the query comes twice.", "Send each parameter once."
    ),
    "search-invalid": Entry(
        400,
        "`search` is not a JSON object, is too long, or a value in it is of the wrong kind.",
        'Send a compact JSON object, such as {"product.id":"DS000B"}.',
    ),
    "search-key-unknown": Entry(
        400, "`search` has no key of that name.", "Use one of the keys that the answer lists."
    ),
    "value-invalid": Entry(
        400,
        "A value is beyond 64 bits or holds a character that the database does not take.",
        "Leave out NUL characters and larger numbers.",
    ),
    "date-invalid": Entry(
        400, "Not a date, or a time without its zone.", "Write 2026-01-31 or 2026-01-31T12:00:00Z."
    ),
    "json-invalid": Entry(
        400,
        "The body is no JSON, or has no object under `data`.",
        'Send {"data": {...}} as application/json.',
    ),
    "form-invalid": Entry(
        400,
        "The form with the file cannot be read.",
        "Send multipart/form-data with the file in the part `file`.",
    ),
    "property-unknown": Entry(
        400,
        "The object of the body has a property that there is not (the products API: 422).",
        "Leave it out, or mend its name: the answer lists those there are.",
    ),
    "placement-invalid": Entry(
        400,
        "A place in the sequence is none (the products API: 422).",
        "Give a number from 1, or a placement beside another download of the product.",
    ),
    "file-required": Entry(
        400,
        "A new download came without a file (the products API: 422).",
        "Send a Data URI, an https address, or upload the file.",
    ),
    "uri-scheme-invalid": Entry(
        400,
        "Files do not come from addresses with that scheme (the products API: 422).",
        "Send a Data URI or an https address, or upload the file.",
    ),
    "data-uri-invalid": Entry(
        400,
        "The Data URI cannot be read (the products API: 422).",
        "Write data:<media type>;base64,<data> as in RFC 2397.",
    ),
    "data-uri-too-large": Entry(
        400,
        "The file in a Data URI is larger than one may be (the products API: 422).",
        "Upload the file as multipart/form-data.",
    ),
    "file-name": Entry(
        400, "The name is not safe as a file name on every system.", "Choose a plain name."
    ),
    "password-length": Entry(
        400, "The password is too short or too long.", "Use 12 to 256 characters."
    ),
    "object-too-large": Entry(
        400, "The file is larger than this hub takes in.", "Ask the operator for the limit."
    ),
    "digest-mismatch": Entry(
        400,
        "Other bytes came than their digest in the header announced; nothing was kept.",
        "Send the file again.",
    ),
    "upload-incomplete": Entry(
        400, "The upload broke off; nothing was kept.", "Send the whole file again."
    ),
    "conversion-invalid": Entry(
        400,
        "A step of a conversion is none, or its value is not what it takes.",
        "Write the named part as the message says.",
    ),
    "conversion-impossible": Entry(
        400,
        "Files of this type cannot be converted so; the message names type and pipeline.",
        "Leave the step out, or choose another format.",
    ),
    "rendition-unknown": Entry(
        400, "The hub has no rendition of that name.", "Use one that `/api/renditions` lists."
    ),
    "rendition-impossible": Entry(
        400,
        "Assets of this media group have no such rendition.",
        "Ask for it of other groups only; `/api/renditions` lists them.",
    ),
    "rendition-not-made": Entry(
        409,
        "Nobody has had that rendition of the asset made yet.",
        "Place an order that asks for it; from then on it can be had by itself.",
    ),
    "preset-unknown": Entry(
        400, "The hub has no preset of that name.", "Use one that `/api/presets` lists."
    ),
    "resolver-unknown": Entry(
        400,
        "The hub has no item name resolver of that id.",
        "Use one that `/api/itemnameresolvers` lists, or none.",
    ),
    "renditions-full": Entry(
        409,
        "The organisation keeps as many renditions of the asset as this hub takes.",
        "Order without `user_rendition_configuration`.",
    ),
    "url-refused": Entry(
        400,
        "The hub does not ask that address: it is not https, not public, or answers with a "
        "redirect.",
        "Give the https address of a public host that answers by itself.",
    ),
    "events-not-yours": Entry(
        403,
        "The account may not hear of these events.",
        "Subscribe to what the answer lists, or ask an operator for the role and the scope.",
    ),
    "webhooks-too-many": Entry(
        409,
        "The organisation has as many webhooks as it may have.",
        "Remove one, or let one of them listen to more events.",
    ),
    "webhook-disabled": Entry(409, "The webhook is disabled.", "Enable it first."),
    "remote-failed": Entry(
        503,
        "Another host, which the hub asked for this, did not answer properly in time.",
        "See that its address answers, then try again.",
    ),
    "method-not-allowed": Entry(
        405, "The address does not answer to this method.", "See the `Allow` header."
    ),
    "body-late": Entry(
        408,
        "The body of the request did not come in time: JSON and forms within a minute in all, a "
        "file without a pause of a minute and at 2 KiB a second or more.",
        "Send it again, over a line (or past a proxy) that is faster.",
    ),
    "body-too-large": Entry(
        413, "The body of the request is larger than this hub takes.", "Send less."
    ),
    "host-unknown": Entry(
        421,
        "The hub does not answer to that host name.",
        "Use its public address; operators: ENTREPOT_ALLOWED_HOSTS.",
    ),
    "fasp-not-configured": Entry(
        501, "This hub has no Aspera server.", "Download over HTTP: http instead of fasp."
    ),
    # Why a right does not hold now
    "organisation-blocked": Entry(
        403, "Downloads are blocked for the organisation.", "Contact the publisher."
    ),
    "entitlement-revoked": Entry(403, "The entitlement was revoked.", "Contact the publisher."),
    "entitlement-not-started": Entry(
        403, "The entitlement is not valid yet.", "Come back when it is."
    ),
    "entitlement-expired": Entry(403, "The entitlement has ended.", "Renew it with the publisher."),
    "compliance-blocked": Entry(
        403,
        "The export compliance check ended with a refusal.",
        "Contact the publisher's export office.",
    ),
    "compliance-pending": Entry(
        403,
        "The product is export controlled and the check is still open.",
        "Wait for the publisher to finish it.",
    ),
    "release-withdrawn": Entry(
        403, "The publisher has withdrawn the release.", "Take another release."
    ),
    "before-maintenance": Entry(
        403,
        "The release is older than the maintenance period.",
        "Take a later release; the answer names the newest that is included.",
    ),
    "maintenance-ended": Entry(
        403,
        "The release came after the maintenance period.",
        "Renew the maintenance; the answer names the newest release that is included.",
    ),
    "country-not-allowed": Entry(
        403,
        "The entitlement does not allow downloads from this country.",
        "Download from an allowed country, or contact the publisher.",
    ),
    "country-embargoed": Entry(
        403, "Export rules forbid downloads from this country.", "Contact the publisher."
    ),
    "declared-country-required": Entry(
        403,
        "The file is controlled and no country was declared.",
        "Send the header `declared-country-code`; with the command: `--country`.",
    ),
    "declared-country-not-allowed": Entry(
        403, "The controlled file may not go to the declared country.", "Contact the publisher."
    ),
    "purchase-required": Entry(
        403,
        "The file is for organisations that bought the product.",
        "Buy it from the publisher, or sign in with an account of the organisation that did.",
    ),
    "contact-required": Entry(
        401,
        "The file is for those who sign in or have said who they are.",
        "Sign in, send an access token, or fill in the form once, in a browser.",
    ),
    "licence-required": Entry(
        403,
        "A licence has to be accepted first.",
        "Open `agreementUrl`, read and accept, ask again.",
    ),
    "licence-other": Entry(
        409,
        "The revision of a licence that was named is not the one that has to be accepted.",
        "Read the one that the answer names, and name it if you agree.",
    ),
    # Links
    "archive-invalid": Entry(
        400,
        "What was asked for cannot be packed into a ZIP: a name is not safe or is there twice, or "
        "there are too many entries.",
        "Download the files one by one, and tell the operator of the hub.",
    ),
    "link-invalid": Entry(
        403,
        "Not a link of this hub: changed, cut off, or with a query added.",
        "Use the link exactly as handed out, or get a new one.",
    ),
    "link-expired": Entry(
        410,
        "The link's ten minutes are over.",
        "Get a new link; a download can be resumed with it.",
    ),
    "object-gone": Entry(410, "What the link led to is no longer there.", "List the releases."),
    # Publishing
    "conflict": Entry(409, "The change clashes with what is there.", "See the message."),
    "name-taken": Entry(409, "There is one of that name already.", "Choose another name."),
    "code-taken": Entry(409, "There is one with that code already.", "Choose another code."),
    "email-taken": Entry(
        409, "There is a user with that mail address already.", "Use another address."
    ),
    "file-name-taken": Entry(
        409, "The release has a file of that name already.", "Rename the file."
    ),
    "downloads-full": Entry(
        409, "The product shows as many downloads as one takes.", "Remove some first."
    ),
    "identifier-taken": Entry(
        409,
        "Another asset has that identifier; those of deleted assets stay theirs.",
        "Choose another identifier.",
    ),
    "identifier-fixed": Entry(409, "The identifier of an asset never changes.", "Add a new asset."),
    "code-fixed": Entry(409, "A product's code never changes.", "Add a new product."),
    "group-fixed": Entry(
        409, "A product never turns into a group, nor back.", "Add a new product."
    ),
    "product-fixed": Entry(
        409, "An entitlement's product never changes.", "Revoke it and grant another."
    ),
    "already-granted": Entry(
        409,
        "A live entitlement of the organisation gives the same already.",
        "Use that one, or say `again` where a further one is meant.",
    ),
    "already-revoked": Entry(409, "The entitlement is revoked already.", "Nothing is left to do."),
    "release-available": Entry(409, "The release is available already.", "Nothing is left to do."),
    "release-not-available": Entry(
        409, "Only an available release can be withdrawn.", "Check its state."
    ),
    "release-not-draft": Entry(
        409, "Files are added to drafts only.", "Publish the changed files as a new release."
    ),
    "repository-doubtful": Entry(
        400,
        "The name of the repository nearly says `controlled`; its files would not be.",
        "Write `controlled` in full and in lower case, or say `uncontrolled`.",
    ),
    "release-empty": Entry(409, "A release without files cannot be shown.", "Add a file first."),
    "release-full": Entry(
        409, "The release has as many files as it can hold.", "Split it, or pack files together."
    ),
    "numbers-used-up": Entry(
        503,
        "The numbers for this kind of object are used up.",
        "Tell the makers of Entrepot: this takes a thousand million grants.",
    ),
    **ORDERS,
    **HUB,
    **MANIFESTS,
}
