"""Dialect 2: the files that a product shows, listed and managed by shops and integrators."""

from entrepot.web.products_api._errors import answer_stray
from entrepot.web.products_api._routes import create_router

__all__ = ["answer_stray", "create_router"]
