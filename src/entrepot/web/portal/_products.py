"""The public pages to look things up in: product codes, and what an error code means."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from entrepot.core.catalogue import count_products, list_products
from entrepot.web.http.catalogue import CATALOGUE
from entrepot.web.http.edge import Edge
from entrepot.web.pages.rendering import Pages
from entrepot.web.pages.visitors import find_visitor
from entrepot.web.portal._paging import PageLinks, page_number

PAGE_SIZE = 100


def product_pages(edge: Edge, pages: Pages) -> list[HTTPRouteHandler]:
    """GET /product-codes: listed products, by code. GET /docs/errors: the error catalogue."""

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

    @get("/docs/errors")
    async def show_errors(request: Request[Any, Any, Any]) -> Response[Any]:
        visitor = await find_visitor(request, edge)
        return pages.page("errors.html", visitor, errors=CATALOGUE.items())

    return [show_product_codes, show_errors]
