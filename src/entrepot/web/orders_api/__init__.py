"""Dialect 3: the download orders API."""

from entrepot.web.orders_api._routes import create_router

__all__ = ["create_router"]
