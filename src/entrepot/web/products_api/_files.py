"""The stable address of a download's file: every request decides anew and leads to a fresh link.

Programs show a token, or nothing, and get 401 and 403 in the dialect's error shape. Browsers get
pages: with the way to sign in, and for what is for contacts the form that is filled in once.
"""

from typing import Any

from litestar import HttpMethod, Response, get, route
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.assembly import Policy
from entrepot.core.accounts import (
    CONTACT_SECONDS,
    Contact,
    ContactForm,
    Principal,
    add_contact,
    find_contact,
    require_scope,
)
from entrepot.core.catalogue import CONTACT, find_product_download
from entrepot.core.delivery import IssuedLink, issue_product_download_link
from entrepot.db import Tx
from entrepot.errors import Denied, EntrepotError, Invalid, NotFound, TooMany, Unauthenticated
from entrepot.kit.countries import country_choices
from entrepot.kit.ids import parse_number
from entrepot.web.http import metrics
from entrepot.web.http.callers import Caller, caller_of
from entrepot.web.http.denials import note_caller, note_error
from entrepot.web.http.edge import Edge
from entrepot.web.http.errors import status_of
from entrepot.web.http.forms import read_form
from entrepot.web.pages.errors import error_page
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import find_visitor, refuse_cross_site, visitor_kept
from entrepot.web.products_api._door import READING_SCOPE, SCOPE
from entrepot.web.products_api._errors import AnyRequest
from entrepot.web.products_api._operations import answers
from entrepot.web.products_api._wire import FILES, quoted

_PATH = FILES + "/{download_id:str}/{file_name:str}"
CONSENT = (
    "I agree that the publisher keeps my name, company, mail address and country for one year, "
    "to know who has its files, and that I can have them deleted at any time."
)
_FIELDS = ("name", "company", "email", "country")
_AGREED = "yes"
_FIELD_LENGTH_MAX = 254
_HTML = "text/html"


def file_routes(edge: Edge) -> list[HTTPRouteHandler]:
    """GET (and so HEAD) and POST of the address."""
    files = _Files(edge)

    @get(
        _PATH,
        status_code=302,
        operation_id="followProductDownload",
        summary="Have the file of a product download: decides and leads to a fresh link",
        description=(
            "`public` is for anybody. `contact` needs a token, or a browser that signed in or "
            "left its contact. `purchase` needs an entitlement to the product. The last part of "
            "the path is a name for people; the number decides."
        ),
        tags=["Product downloads"],
        security=[{}, {"bearer": []}],
        responses=answers(None, "The link, in `Location`; good for 10 minutes.", status=302),
    )
    async def follow(
        request: AnyRequest, download_id: FromPath[str], file_name: FromPath[str]
    ) -> Response[Any]:
        del file_name  # a name for people: the file may have been renamed since
        return await files.follow(request, download_id)

    @route(_PATH, http_method=[HttpMethod.POST], status_code=303, include_in_schema=False)
    async def leave_contact(
        request: AnyRequest, download_id: FromPath[str], file_name: FromPath[str]
    ) -> Response[Any]:
        return await files.leave_contact(request, download_id, file_name)

    return [follow, leave_contact]


class _Files:
    """Decides who asks, what they get, and in which form."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._hub = edge.hub
        self._policy = edge.hub.policy
        self._pages = Pages(self._policy)

    async def follow(self, request: AnyRequest, download_id: str) -> Response[Any]:
        """302 to a fresh link, or why not."""
        try:
            link = await self._link(request, download_id)
        except EntrepotError as error:
            if _is_program(request):
                raise
            note_error(error)
            return self._page(request, error)
        metrics.count_link("issued")
        # Browsers stay on the host name that they came by: a form's redirects must (CSP).
        policy = self._policy
        root = policy.public_url if _is_program(request) else policy.path_prefix
        address = f"{root}/dl/{link.path}"
        # A link is its holder's alone: nobody between may keep it, nor may the browser.
        headers = {"location": address, "cache-control": "private, no-store"}
        return Response(b"", status_code=302, headers=headers, media_type="text/plain")

    async def leave_contact(
        self, request: AnyRequest, download_id: str, file_name: str
    ) -> Response[Any]:
        """Keep the contact, hand out its cookie, and lead back to the file."""
        fields: dict[str, str] = {}
        try:
            refuse_cross_site(request, self._policy)
            await find_visitor(request, self._edge)
            fields = dict(await read_form(request))
            told = {name: fields.get(name, "") for name in _FIELDS}
            agreed = fields.get("consent") == _AGREED
            form = ContactForm(**told, consent=CONSENT if agreed else "")
            address, now = caller_of(request.scope, self._policy).address, self._hub.now()

            def leave(tx: Tx) -> str:
                # Nobody's name is taken down for a file that is not there, or is not for contacts.
                row = find_product_download(tx, parse_number(download_id) or 0)
                if row.visibility != CONTACT:
                    raise NotFound
                return add_contact(tx, form, address=address, now=now)[1]

            token = await self._edge.write(leave)
        except (Invalid, TooMany) as error:
            return self._form(request, error, fields)
        except EntrepotError as error:
            return error_page(self._pages, request, error)
        back = f"{self._policy.path_prefix}{FILES}/{quoted(download_id)}/{quoted(file_name)}"
        return self._pages.redirect(back, _contact_cookie(self._policy, token))

    async def _link(self, request: AnyRequest, download_id: str) -> IssuedLink:
        caller = caller_of(request.scope, self._policy)
        who = await self._who(request, caller)
        token = request.cookies.get(_cookie_name(self._policy), "")
        number = parse_number(download_id)
        if number is None:
            raise NotFound

        def issue(tx: Tx) -> IssuedLink:
            now = self._hub.now()
            visitor: Principal | Contact | None = who
            if visitor is None and token:
                visitor = find_contact(tx, token, now=now)
            return issue_product_download_link(
                tx,
                self._hub.keys.current,
                visitor,
                number,
                country=caller.country,
                embargoed=self._policy.embargoed,
                seconds=self._policy.link_seconds,
                now=now,
            )

        return await self._edge.write(issue)

    async def _who(self, request: AnyRequest, caller: Caller) -> Principal | None:
        """A token counts before a session; whoever sends a bad one is told so."""
        if "authorization" in caller.headers:
            who = await self._edge.authenticate(caller)
            if SCOPE not in who.scopes:
                require_scope(who, READING_SCOPE)
            return who
        visitor = await find_visitor(request, self._edge)
        if visitor.who is not None:
            note_caller(visitor.who)
        return visitor.who

    def _page(self, request: AnyRequest, error: EntrepotError) -> Response[Any]:
        if error.code == "contact-required":
            return self._form(request, error, {})
        if isinstance(error, Unauthenticated) or error.code == "licence-required":
            return self._pages.page(
                "download_refused.html",
                visitor_kept(request),
                status=status_of(error),
                fault=error,
                sign_in=self._sign_in(request) if isinstance(error, Unauthenticated) else None,
                licence=self._licence(request, error),
            )
        return error_page(self._pages, request, error)

    def _form(
        self, request: AnyRequest, error: EntrepotError, fields: dict[str, str]
    ) -> Response[Any]:
        headers = {}
        if isinstance(error, TooMany):
            headers["retry-after"] = str(error.retry_after_seconds)
        return self._pages.page(
            "download_contact.html",
            visitor_kept(request),
            status=status_of(error),
            headers=headers,
            fault=None if error.code == "contact-required" else error,
            at_fault=error.field if isinstance(error, Invalid) else "",
            address=self._policy.path_prefix + _path(request),
            sign_in=self._sign_in(request),
            consent=CONSENT,
            agreed=fields.get("consent") == _AGREED,
            countries=country_choices(),
            values={name: fields.get(name, "")[:_FIELD_LENGTH_MAX] for name in _FIELDS},
        )

    def _sign_in(self, request: AnyRequest) -> str:
        return self._pages.url("sign-in", next=_path(request))

    def _licence(self, request: AnyRequest, error: EntrepotError) -> str | None:
        if not isinstance(error, Denied) or "licence" not in error.details:
            return None
        told = error.details
        back = {"revision": told["revision"], "return": _path(request)}
        return self._pages.url("licences", told["licence"], **back)


def _is_program(request: AnyRequest) -> bool:
    """Whoever shows a token is one, whatever it accepts."""
    headers = request.headers
    return "authorization" in headers or _HTML not in headers.get("accept", "")


def _path(request: AnyRequest) -> str:
    """The path of the request as it was sent, without the query."""
    raw: bytes = request.scope["raw_path"]
    return raw.partition(b"?")[0].decode("ascii", "replace")


def _cookie_name(policy: Policy) -> str:
    https = policy.public_url.startswith("https:")
    return "__Host-entrepot-contact" if https else "entrepot-contact"


def _contact_cookie(policy: Policy, token: str) -> Cookie:
    https = policy.public_url.startswith("https:")
    return Cookie(
        key=_cookie_name(policy),
        value=token,
        max_age=CONTACT_SECONDS,
        path="/" if https else policy.path_prefix or "/",
        secure=https,
        httponly=True,
        samesite="lax",
    )
