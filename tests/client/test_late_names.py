"""The SDK's names are imported when they are first used: all of them are there, and no more."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import entrepot.client
from entrepot.client import _HOMES

# What a download of one release needs nothing of.
NOT_FOR_A_DOWNLOAD = ("orders", "syncing", "lock_files", "zips")
IN_A_FRESH_INTERPRETER = """
import sys
import entrepot.cli.download
loaded = {name.removeprefix("entrepot.client.") for name in sys.modules}
assert "client" in loaded, "the command speaks to a hub"
assert not loaded & set(sys.argv[1:]), loaded & set(sys.argv[1:])
import entrepot.client
there = set(dir(entrepot.client))
names = {}
exec("from entrepot.client import *", names)
del names["__builtins__"]
assert set(names) == set(entrepot.client.__all__) <= there, set(names) ^ there
"""


def homes_for_the_type_checker() -> dict[str, str]:
    """By name the module that the imports under TYPE_CHECKING take it from."""
    tree = ast.parse(Path(entrepot.client.__file__).read_text())
    [checked] = [node for node in tree.body if isinstance(node, ast.If)]
    found: dict[str, str] = {}
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom), ast.unparse(node)
        assert node.module is not None
        for alias in node.names:
            assert alias.asname is None, alias.name
            found[alias.name] = node.module.removeprefix("entrepot.client.")
    return found


def test_every_name_has_one_home_in_all_three_places() -> None:
    assert homes_for_the_type_checker() == _HOMES
    assert sorted(_HOMES) == list(entrepot.client.__all__)
    for name, home in _HOMES.items():
        found = getattr(entrepot.client, name)
        # Where it is made, and not where it only passes through.
        assert (found.__module__, found.__name__) == (f"entrepot.client.{home}", name)
        assert getattr(entrepot.client, name) is found
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        entrepot.client.Clinet  # noqa: B018


def test_a_download_loads_nothing_that_it_does_not_need() -> None:
    order = [sys.executable, "-c", IN_A_FRESH_INTERPRETER, *NOT_FOR_A_DOWNLOAD]
    ended = subprocess.run(order, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
