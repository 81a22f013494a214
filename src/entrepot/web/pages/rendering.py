"""Rendering: templates, files with a content hash, and the headers of every page."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response
from litestar.datastructures import Cookie

from entrepot.assembly import Policy
from entrepot.web.pages.visitors import Visitor

HTML = "text/html"  # Litestar adds the character set
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; {script}"
    "form-action 'self'{form_to}; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "cache-control": "no-store",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # With `no-referrer` browsers would say `Origin: null` when they post our own forms.
    "referrer-policy": "same-origin",
}
_TYPES = {"css": "text/css", "js": "text/javascript"}
_TYPES["svg"] = "image/svg+xml"
_HASH_LENGTH = 12


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that pages refer to; its public name holds a hash of `content`."""

    public_name: str
    content: bytes
    media_type: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Every file of static/ by its plain name."""
    found = {}
    for entry in resources.files("entrepot.web.pages").joinpath("static").iterdir():
        stem, _, kind = entry.name.rpartition(".")
        if kind in _TYPES:
            content = entry.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
            found[entry.name] = StaticFile(f"{stem}.{digest}.{kind}", content, _TYPES[kind])
    return found


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("entrepot.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"day": _day, "moment": _moment, "size": format_size}
    return environment


def _day(instant: datetime) -> str:
    return instant.date().isoformat()


def _moment(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M UTC")


def format_size(count: int) -> str:
    """A number of bytes for people, in binary units: `1.5 MiB`."""
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "B" else f"{size:.1f} {units[0]}"


class Pages:
    """Renders templates for one hub: its path prefix is in every address."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def url(self, *segments: object, **query: object) -> str:
        """The address of a page: `url("licences", code, revision=2)`; None leaves out."""
        path = "/".join(quote(str(segment), safe="") for segment in segments)
        kept = {name: value for name, value in query.items() if value is not None}
        return f"{self.policy.path_prefix}/{path}" + (f"?{urlencode(kept)}" if kept else "")

    def static(self, name: str) -> str:
        """The address of a file of static/."""
        return self.url("static", static_files()[name].public_name)

    def page(
        self,
        template: str,
        visitor: Visitor | None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        script: bool = False,
        form_to: str = "",
        **values: Any,
    ) -> Response[str]:
        """Render `template`; visitor None: not known, so no account is shown.

        `form_to` is another origin that the answer to the page's form leads to: browsers hold
        redirects after a form to the page's policy as well.
        """
        body = (
            _environment()
            .get_template(template)
            .render(
                values,
                visitor=visitor,
                url=self.url,
                static=self.static,
                public_url=self.policy.public_url,
                sandbox=self.policy.sandbox,
                script=script,
            )
        )
        csp = _POLICY.format(
            script="script-src 'self'; " if script else "", form_to=form_to and f" {form_to}"
        )
        every = _HEADERS | {"content-security-policy": csp}
        return Response(
            body, status_code=status, media_type=HTML, headers=every | dict(headers or {})
        )

    def redirect(self, address: str, cookie: Cookie | None = None) -> Response[None]:
        """303 to `address`, which is one of ours and begins with the path prefix."""
        headers = {"location": address, "cache-control": "no-store"}
        cookies = [] if cookie is None else [cookie]
        return Response(None, status_code=303, headers=headers, cookies=cookies)
