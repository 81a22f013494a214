"""Dialect 3: the download orders API."""

from entrepot.web.orders_api._errors import answer_stray
from entrepot.web.orders_api._routes import create_router

__all__ = ["answer_stray", "create_router"]
