"""The five calls of the contract, and the address that leads to a file."""

from typing import cast

from litestar import Response, Router, delete, get, post, put
from litestar.exceptions import HTTPException, InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from entrepot.core.accounts import Principal
from entrepot.core.catalogue import (
    DownloadFile,
    add_product_download,
    change_product_download,
    find_product_download,
    remove_product_download,
)
from entrepot.core.entitlements import list_permitted_downloads, permitted_product
from entrepot.db import Tx
from entrepot.errors import EntrepotError, Invalid
from entrepot.web.http.edge import Edge
from entrepot.web.http.routing import DoorRouter
from entrepot.web.products_api._bodies import Wanted, parse_data
from entrepot.web.products_api._door import Door, answer, encode, number_of
from entrepot.web.products_api._errors import (
    AnyRequest,
    Faults,
    answer_cut_off,
    answer_defect,
    answer_error,
    answer_http_error,
    data_faults,
)
from entrepot.web.products_api._files import file_routes
from entrepot.web.products_api._forms import is_form
from entrepot.web.products_api._intake import Keep
from entrepot.web.products_api._operations import (
    CREATE,
    LIST_PARAMETERS,
    ONE,
    PAGE,
    UPDATE,
    OfDownload,
    OfProduct,
    answers,
    described,
)
from entrepot.web.products_api._query import Asked, parse_list
from entrepot.web.products_api._webhooks import webhook_routes
from entrepot.web.products_api._wire import (
    PATH,
    DownloadItem,
    DownloadPage,
    OneDownload,
    PageLinks,
    Pagination,
)

_LIST = PATH + "/{product:str}/downloads.json"
_ONE = PATH + "/{product:str}/downloads/{id_json:str}"


def create_router(edge: Edge) -> Router:
    """The door, at the paths that the contract gives it."""
    door = Door(edge)
    calls = DoorRouter(
        path="/",
        route_handlers=[build(door) for build in (_list, _show, _create, _update, _remove)],
        tags=["Product downloads"],
        security=[{"bearer": []}],
    )
    return DoorRouter(
        path="/",
        route_handlers=[calls, *file_routes(edge), *webhook_routes(edge)],
        exception_handlers={
            EntrepotError: answer_error,
            HTTPException: answer_http_error,
            InternalServerException: answer_cut_off,
            Exception: answer_defect,
        },
    )


def _list(door: Door) -> HTTPRouteHandler:
    @get(
        _LIST,
        operation_id="listProductDownloads",
        summary="List the downloads of a product",
        description="Filters all hold together. Products are named by number or code.",
        operation_class=described(*LIST_PARAMETERS),
        responses=answers(DownloadPage, "In the product's sequence.", example=PAGE),
    )
    async def handler(request: AnyRequest, product: OfProduct) -> ASGIResponse:
        who = await door.reader(request)
        asked = parse_list(request.scope["query_string"])

        def page(tx: Tx) -> DownloadPage:
            rows, total = list_permitted_downloads(tx, who, product, asked.wanted, asked.page)
            counted, links = _paged(door, product, asked, total)
            items = cast("list[DownloadItem]", door.writer.page(rows))
            return DownloadPage(status=200, data=items, pagination=counted, links=links)

        return await door.show(page)

    return handler


def _paged(door: Door, product: str, asked: Asked, total: int) -> tuple[Pagination, PageLinks]:
    number, size = asked.page.number, asked.page.size
    pages = -(-total // size)

    def link(page: int | None) -> str:
        return door.writer.list_url(product, asked.query(page))

    # Behind the end of the list, the page before is its last one.
    before = max(1, min(number - 1, pages))
    links = PageLinks(
        link(None),
        link(before) if number > 1 else None,
        link(number + 1) if number < pages else None,
    )
    return Pagination(number, size, total, pages), links


def _show(door: Door) -> HTTPRouteHandler:
    @get(
        _ONE,
        operation_id="showProductDownload",
        summary="Show one download of a product",
        responses=answers(OneDownload, "The download.", example=ONE),
    )
    async def handler(request: AnyRequest, product: OfProduct, id_json: OfDownload) -> ASGIResponse:
        who, number = await door.reader(request), number_of(id_json)

        def one(tx: Tx) -> OneDownload:
            known = permitted_product(tx, who, product)
            row = find_product_download(tx, number, product_id=known.id)
            return OneDownload(status=200, data=door.writer.download(row))

        return await door.show(one)

    return handler


def _create(door: Door) -> HTTPRouteHandler:
    hub = door.hub

    @post(
        _LIST,
        status_code=201,
        operation_id="createProductDownload",
        summary="Add a download to a product",
        description="Only `file` is needed.",
        operation_class=described(body=CREATE),
        request_max_body_size=None,
        responses=answers(
            OneDownload, "The new download.", 408, 409, 413, 422, 507, status=201, example=ONE
        ),
    )
    async def handler(request: AnyRequest, product: OfProduct) -> ASGIResponse:
        who, still = await door.publisher(request), door.still_publisher(request)
        await door.edge.glance(lambda tx: permitted_product(tx, who, product))

        def keep(tx: Tx, wanted: Wanted, file: DownloadFile | None) -> tuple[int, bytes]:
            if file is None:
                raise _no_file()
            number = add_product_download(
                tx,
                permitted_product(tx, who, product).id,
                wanted.said,
                file,
                place=wanted.place,
                actor=who.label,
                user_id=who.user_id,
                now=hub.now(),
            )
            row = find_product_download(tx, number)
            return number, encode(OneDownload(status=201, data=door.writer.download(row)))

        if is_form(request.headers.get("content-type", "")):
            number, body = await door.intake.from_form(request, keep, still)
        else:
            given = await door.bodies.read(request)
            wanted = await door.edge.run(
                lambda: parse_data(given, private=door.policy.outbound_private)
            )
            if wanted.source is None:
                raise _no_file()
            number, body = await door.intake.from_source(wanted, keep, still)
        location = door.writer.download_url(product, number)
        return answer(body, status=201, headers={"location": location})

    return handler


def _no_file() -> Faults:
    return Faults(
        [
            Invalid(
                "A download needs a file.",
                field="file",
                code="file-required",
                remedy="Send file as a Data URI, as an https address, or upload it.",
            )
        ]
    )


def _update(door: Door) -> HTTPRouteHandler:
    @put(
        _ONE,
        operation_id="updateProductDownload",
        summary="Change what is given of a download; the rest stays",
        operation_class=described(body=UPDATE),
        request_max_body_size=None,
        responses=answers(
            OneDownload, "The download as it is now.", 408, 413, 422, 507, example=ONE
        ),
    )
    async def handler(request: AnyRequest, product: OfProduct, id_json: OfDownload) -> ASGIResponse:
        who, number = await door.publisher(request), number_of(id_json)
        still = door.still_publisher(request)

        def find(tx: Tx) -> str:
            known = permitted_product(tx, who, product)
            find_product_download(tx, number, product_id=known.id)
            return door.writer.file_url(number, "")

        own = await door.edge.glance(find)
        keep = _keep_changes(door, who, product, number)
        if is_form(request.headers.get("content-type", "")):
            return answer(await door.intake.from_form(request, keep, still, own))
        given = await door.bodies.read(request)
        private = door.policy.outbound_private
        wanted = await door.edge.run(lambda: parse_data(given, private=private, own=own))
        if wanted.source is not None:
            return answer(await door.intake.from_source(wanted, keep, still))
        await door.publisher(request)  # the body may have taken its time
        return answer(await door.edge.write(lambda tx: keep(tx, wanted, None)))

    return handler


def _keep_changes(door: Door, who: Principal, product: str, number: int) -> Keep[bytes]:
    def keep(tx: Tx, wanted: Wanted, file: DownloadFile | None) -> bytes:
        known = permitted_product(tx, who, product)
        if wanted.said or wanted.place is not None or file is not None:
            with data_faults():
                change_product_download(
                    tx,
                    known.id,
                    number,
                    wanted.said,
                    file=file,
                    place=wanted.place,
                    actor=who.label,
                    user_id=who.user_id,
                    now=door.hub.now(),
                )
        row = find_product_download(tx, number, product_id=known.id)
        return encode(OneDownload(status=200, data=door.writer.download(row)))

    return keep


def _remove(door: Door) -> HTTPRouteHandler:
    @delete(
        _ONE,
        status_code=204,
        operation_id="removeProductDownload",
        summary="Remove a download; those after it move up",
        responses=answers(None, "It is gone.", status=204),
    )
    async def handler(
        request: AnyRequest, product: OfProduct, id_json: OfDownload
    ) -> Response[None]:
        who, number = await door.publisher(request), number_of(id_json)

        def remove(tx: Tx) -> None:
            known = permitted_product(tx, who, product)
            remove_product_download(tx, known.id, number, actor=who.label, now=door.hub.now())

        await door.edge.write(remove)
        return Response(None, status_code=204, headers={"cache-control": "no-store"})

    return handler
