"""The dialect's error body (contract, section 3), as its common client reads it.

That client takes any error body with `errorName` for data. So only the one refusal that it
can act on carries it: a licence that has to be accepted. Elsewhere it would turn a clear
"403 Client Error: Forbidden" into "Invalid download URL", or crash on a transfer spec.
"""

from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET

from entrepot.errors import EntrepotError, Invalid, NotFound, TooMany, Unavailable
from entrepot.web.entitlement_api._wire import Fault, agreement_page
from entrepot.web.http.errors import explain, headers_of, status_of

LICENCE_ERROR_NAME = "download-error-eula-required"
MEDIA_TYPE = "application/json"
CACHE_CONTROL = "private, no-store"

AnyRequest: TypeAlias = Request[Any, Any, Any]
_encode = msgspec.json.Encoder().encode


class LicenceRequired(EntrepotError):  # noqa: N818 - as in the error tree
    """Endpoints 6 and 7 only: a refusal that a person lifts on the page `agreement_url`."""

    def __init__(self, refusal: EntrepotError, agreement_url: str) -> None:
        super().__init__(refusal.message, code=refusal.code, remedy=refusal.remedy)
        self.refusal = refusal
        self.agreement_url = agreement_url


def licence_required(refusal: EntrepotError, public_url: str, number: str) -> LicenceRequired:
    """The refusal with the portal's page for the licence, which leads on to the entitlement's."""
    return LicenceRequired(refusal, agreement_page(public_url, refusal.details, number))


def _answer(fault: Fault, headers: dict[str, str]) -> Response[bytes]:
    return Response(
        _encode(fault),
        status_code=fault.error_code,
        headers=headers | {"cache-control": CACHE_CONTROL},
        media_type=MEDIA_TYPE,
    )


def _fault(error: EntrepotError, status: int) -> Fault:
    field = error.field if isinstance(error, Invalid) and error.field else UNSET
    details = dict(error.details) or UNSET
    return Fault(status, explain(error), error.code, error.remedy, field=field, details=details)


def _status_of(error: EntrepotError) -> int:
    """Links are issued or not now (503); this door stores nothing that 507 could be about."""
    if isinstance(error, Unavailable) and not isinstance(error, TooMany):
        return 503
    return status_of(error)


def answer_error(_request: AnyRequest, error: EntrepotError) -> Response[bytes]:
    """Litestar exception handler for errors of ours."""
    if isinstance(error, NotFound):
        return answer_not_found()
    if isinstance(error, LicenceRequired):
        refusal = error.refusal
        fault = _fault(refusal, _status_of(refusal))
        fault = msgspec.structs.replace(
            fault, error_name=LICENCE_ERROR_NAME, agreement_url=error.agreement_url
        )
        return _answer(fault, headers_of(refusal))
    return _answer(_fault(error, _status_of(error)), headers_of(error))


def answer_not_found() -> Response[bytes]:
    """The one 404: what is not there and what is not yours are told by the same bytes."""
    error = NotFound()
    return _answer(_fault(error, 404), headers_of(error))


def answer_no_endpoint() -> Response[bytes]:
    """404 for a path that leads to no endpoint, whoever asks and whatever there is.

    It follows from the form of the path alone, so it tells nothing of objects.
    """
    remedy = "Check the path; /openapi.json of this hub has every endpoint."
    text = f"There is no such endpoint. {remedy}"
    return _answer(Fault(404, text, "endpoint-unknown", remedy), {})


def answer_not_offered(artifact_id: str) -> Response[bytes]:
    """501 for endpoint 7: this hub has no Aspera server to write a transfer spec for."""
    message = f"This hub does not offer Aspera (FASP) for artifact {artifact_id.lower()}."
    remedy = "Download it over HTTP: the same address with http instead of fasp at its end."
    return _answer(Fault(501, f"{message} {remedy}", "fasp-not-configured", remedy), {})


def answer_http_error(_request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Litestar exception handler for what the framework refuses."""
    if error.status_code == 404:
        return answer_not_found()
    if error.status_code == 405:
        return answer_method_not_allowed()
    remedy = "Check the request."
    fault = Fault(error.status_code, f"{error.detail} {remedy}".strip(), "invalid", remedy)
    return _answer(fault, dict(error.headers or {}))


def answer_method_not_allowed(allowed: str = "GET, HEAD") -> Response[bytes]:
    """405 with the methods that are (RFC 9110 section 15.5.6)."""
    remedy = "Use GET: this API only reads." if "PUT" not in allowed else f"Use {allowed}."
    fault = Fault(405, f"The method is not allowed. {remedy}", "method-not-allowed", remedy)
    return _answer(fault, {"allow": allowed})
