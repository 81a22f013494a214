"""The fields of a form that a browser or an OAuth client posts."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request

from entrepot.errors import Invalid
from entrepot.web.http.receiving import receive_body

MEDIA_TYPE = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 65_536
FORM_FIELDS_MAX = 64


async def read_form(request: Request[Any, Any, Any]) -> Mapping[str, str]:
    """The fields of the body by name; Invalid where it is no form or a field comes twice, and
    Late where it does not come.

    At most 64 KiB and 64 fields, UTF-8.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        raise Invalid("The body is not a form.", remedy=f"Send it as {MEDIA_TYPE}.")
    body = await receive_body(request)
    if len(body) > FORM_BYTES_MAX:
        raise Invalid(f"The form has more than {FORM_BYTES_MAX} bytes.")
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FORM_FIELDS_MAX,
        )
    except ValueError as error:
        raise Invalid(
            f"The form is not UTF-8 or has more than {FORM_FIELDS_MAX} fields."
        ) from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise Invalid("A field of the form comes twice.", field=name)
        fields[name] = value
    return fields
