"""The portal door: pages for people, rendered on the server."""

from entrepot.web.portal._routes import create_router

__all__ = ["create_router"]
