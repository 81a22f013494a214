"""The OpenAPI document: what Litestar finds in the doors, plus the doors it does not see."""

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server

from entrepot import __version__
from entrepot.assembly import Policy


def openapi_config(policy: Policy) -> OpenAPIConfig:
    """Served as /openapi.json; no page that would load scripts from elsewhere."""
    return OpenAPIConfig(
        title="Entrepot",
        version=__version__,
        description=(
            "Download hub: entitlements, releases, artifacts, and signed links to their bytes."
        ),
        servers=[Server(url=policy.public_url)],
        # The document alone: at path="/" Litestar would claim the portal's home as well.
        path="/openapi.json",
        render_plugins=[JsonRenderPlugin(path="/")],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
            }
        ),
    )
