"""Dialect 1: the entitlement API (see README.md)."""

from entrepot.web.entitlement_api._routes import create_router

__all__ = ["create_router"]
