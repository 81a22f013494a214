"""The OpenAPI document, served as /openapi.json."""

from entrepot.web.openapi._config import openapi_config

__all__ = ["openapi_config"]
