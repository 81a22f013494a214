"""The admin API: publishing, granting and running the hub over HTTP (see README.md)."""

from entrepot.web.admin_api._routes import create_router

__all__ = ["create_router"]
