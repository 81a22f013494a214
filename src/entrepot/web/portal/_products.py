"""The public pages to look things up in: product codes, and what an error code means."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.core.catalogue import (
    DownloadFilter,
    count_products,
    find_product,
    list_product_downloads,
    list_products,
)
from entrepot.core.entitlements import permitted_product
from entrepot.db import Tx
from entrepot.errors import NotFound
from entrepot.kit.paging import Page
from entrepot.web.http.catalogue import CATALOGUE
from entrepot.web.http.edge import Edge
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import find_visitor
from entrepot.web.portal._paging import PageLinks, page_number

PAGE_SIZE = 100


def product_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET /product-codes: listed products, by code, each with a page of the files it shows.
    GET /docs/errors: the error catalogue."""

    @get("/product-codes")
    async def show_product_codes(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor = await find_visitor(request, edge)
        number = page_number(request)
        skip = (number - 1) * PAGE_SIZE
        products, total = await edge.read(
            lambda tx: (
                list_products(tx, listed_only=True, skip=skip, take=PAGE_SIZE),
                count_products(tx, listed_only=True),
            )
        )
        links = PageLinks(number, PAGE_SIZE, total)
        return pages.page("product_codes.html", visitor, products=products, links=links)

    @get("/product-codes/{code:str}")
    async def show_product(request: Request[Any, Any, Any], code: FromPath[str]) -> Response[Any]:
        visitor = await find_visitor(request, edge)
        page = Page(page_number(request), PAGE_SIZE)

        def look_up(tx: Tx) -> tuple[Any, list[Any], int]:
            known = None if visitor.who is None else permitted_product(tx, visitor.who, code)
            product = find_product(tx, code if known is None else known.id)
            if known is None and not product.listed:
                raise NotFound
            return product, *list_product_downloads(tx, product.id, DownloadFilter(), page)

        product, downloads, total = await edge.read(look_up)
        links = PageLinks(page.number, PAGE_SIZE, total)
        return pages.page(
            "product.html", visitor, product=product, downloads=downloads, links=links
        )

    @get("/docs/errors")
    async def show_errors(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor = await find_visitor(request, edge)
        return pages.page("errors.html", visitor, errors=CATALOGUE.items())

    return [show_product_codes, show_product, show_errors]
