"""The OAuth 2 door: tokens for machines, the public keys, the server's metadata."""

from entrepot.web.oauth._routes import create_router

__all__ = ["create_router"]
