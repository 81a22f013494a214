"""The portal door: pages for people, rendered on the server."""

from entrepot.web.portal._errors import answer_unknown_page
from entrepot.web.portal._routes import create_router

__all__ = ["answer_unknown_page", "create_router"]
