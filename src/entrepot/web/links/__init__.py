"""The links door: GET and HEAD of /dl/<token>/<file name>, as raw ASGI."""

from entrepot.web.links._routes import LinksDoor

__all__ = ["LinksDoor"]
