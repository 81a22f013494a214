"""The sample world of `entrepotd serve --sandbox`: made once, described on demand."""

from entrepot.daemon.sandbox._describing import (
    Description,
    describe_world,
    render_json,
    render_text,
)
from entrepot.daemon.sandbox._loading import load_world
from entrepot.daemon.sandbox._resetting import reset_world
from entrepot.daemon.sandbox._secrets import refuse_mixing

__all__ = [
    "Description",
    "describe_world",
    "load_world",
    "refuse_mixing",
    "render_json",
    "render_text",
    "reset_world",
]
