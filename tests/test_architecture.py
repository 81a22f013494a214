"""The house rules that a program can check, and the proof that each check catches a breach.

A rule is a function from a file (`Source`) to the problems it finds there. BREACHES holds for
every rule small sources that must be caught; KEPT is a source that must pass all of them.
Import order between packages is `.importlinter`'s; it is proved here as well.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = PurePosixPath("src/entrepot")
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
BANNED_NAMES = re.compile(r"_?(services?|managers?|utils?|helpers?|common)")
LIGHT = {"click", "securesystemslib", "tuf"}
# Written in two halves: this file is searched as well.
REGISTRIES = [
    ".".join(halves)
    for halves in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("proxy.golang", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/")

# Whoever has another base may override what is explained there.
NO_BASE = {"Protocol", "ABC", "Enum", "StrEnum", "IntEnum", "NamedTuple", "msgspec.Struct"}

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Source:
    """One file of the repository: `path` from its root, and the text."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def under(self, *folders: str) -> bool:
        """Whether the file belongs to one of these parts of the house."""
        return any((HOUSE / folder) in (self.path, *self.path.parents) for folder in folders)

    def imports(self) -> Iterator[tuple[int, str]]:
        """(line, dotted name) of everything imported; `from a import b` gives a.b."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)

    def calls(self) -> Iterator[tuple[int, str]]:
        """(line, dotted name) of everything called by name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node.lineno, ast.unparse(node.func)


Rule: TypeAlias = Callable[[Source], Iterator[str]]


def private_names_stay_home(source: Source) -> Iterator[str]:
    """A module named `_x` is imported only from its own folder, a name `_y` from nowhere."""
    home = list(source.path.relative_to("src").parent.parts)
    for line, name in source.imports():
        parts = name.split(".")
        for index, part in enumerate(parts):
            if parts[0] == "entrepot" and re.match(r"_[a-z]", part) and parts[:index] != home:
                yield f"{line}: {name} is private to {'.'.join(parts[:index])}"


def imports_are_absolute(source: Source) -> Iterator[str]:
    """Relative imports would slip past the rules above."""
    for line, name in source.imports():
        if name.startswith("."):
            yield f"{line}: {name} is relative"


def only_commands_print(source: Source) -> Iterator[str]:
    """Data for a terminal comes from the two commands; everything else logs."""
    if not source.under("cli", "daemon"):
        yield from (f"{line}: print()" for line, name in source.calls() if name == "print")


def only_commands_use_the_client(source: Source) -> Iterator[str]:
    """Inside the house nobody but the operator's command may use the customer's client."""
    if not source.under("cli", "client", "daemon"):
        for line, name in source.imports():
            if name.startswith(("entrepot.client", "entrepot.cli.")):
                yield f"{line}: {name} is the customer's side"


def names_say_something(source: Source) -> Iterator[str]:
    """A module is named after a noun of the field."""
    for part in (*source.path.parts[:-1], source.path.stem):
        if BANNED_NAMES.fullmatch(part):
            yield f"1: {part} says nothing"


def files_and_functions_are_short(source: Source) -> Iterator[str]:
    """600 lines a file, 70 a function: where reading stops being easy."""
    lines_count = len(source.text.splitlines())
    if lines_count > FILE_LINES_MAX:
        yield f"1: {lines_count} lines, more than {FILE_LINES_MAX}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{node.lineno}: {node.name} has {length} lines"


def packages_only_reexport(source: Source) -> Iterator[str]:
    """`__init__` holds a docstring, imports, `__all__`, `__version__`; a command's, its main.

    The SDK's may import a name when it is first used, by a table of where each lives.
    """
    if source.path.name != "__init__.py":
        return
    late = source.path == HOUSE / "client" / "__init__.py"
    names = {"__all__", "__version__"} | ({"_HOMES"} if late else set())
    functions = {"main"} if source.under("cli", "daemon") else set()
    functions |= {"__getattr__", "__dir__"} if late else set()
    for node in source.tree.body:
        allowed = isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )
        if isinstance(node, ast.Assign):
            allowed = {ast.unparse(target) for target in node.targets} <= names
        if isinstance(node, ast.FunctionDef):
            allowed = node.name in functions
        if isinstance(node, ast.If):  # the imports that only a type checker reads
            only_imports = all(isinstance(each, ast.ImportFrom) for each in node.body)
            told = (ast.unparse(node.test), only_imports, node.orelse)
            allowed = late and told == ("TYPE_CHECKING", True, [])
        if not allowed:
            yield f"{node.lineno}: {ast.unparse(node).splitlines()[0]}"


def public_things_have_docstrings(source: Source) -> Iterator[str]:
    """Every module, public class, function and method says what it is.

    A method that the file explains elsewhere (in a protocol, say) need not be explained again.
    """
    if not ast.get_docstring(source.tree):
        yield "1: the module has no docstring"
    public = list(_public(source.tree.body))
    explained = {node.name for node in public if ast.get_docstring(node)}
    for node in public:
        if not ast.get_docstring(node) and (node in source.tree.body or node.name not in explained):
            yield f"{node.lineno}: {node.name} has no docstring"


def _public(body: list[ast.stmt]) -> Iterator[Definition]:
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and {ast.unparse(b) for b in node.bases} <= NO_BASE:
                yield from _public(node.body)


def core_is_synchronous(source: Source) -> Iterator[str]:
    """Async lives at the edge, where bytes and events stream."""
    if source.under("web"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncWith | ast.AsyncFor | ast.Await):
            yield f"{node.lineno}: async outside web/"


def core_is_told_the_time(source: Source) -> Iterator[str]:
    """Verbs of the core take `now`; a clock of their own could not be tested or anchored."""
    if source.under("core"):
        for line, name in source.calls():
            if re.search(r"(^|\.)(time\.time|datetime\.(now|utcnow|today)|date\.today)$", name):
                yield f"{line}: {name}()"


def nothing_is_unfinished(source: Source) -> Iterator[str]:
    """What is not built is in an issue, not in the source."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", line):
            yield f"{number}: {line.strip()}"


def no_test_is_skipped(source: Source) -> Iterator[str]:
    """What a machine lacks is marked `needs`; nothing else is a reason not to run."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and source.path.parts != ("tests", "conftest.py"):
            name = ast.unparse(node)
            if re.fullmatch(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)", name):
                yield f"{node.lineno}: {name}"


def nothing_names_this_machine(source: Source) -> Iterator[str]:
    """No path of a developer's machine, no host of a package registry."""
    for number, line in enumerate(source.text.splitlines(), 1):
        found = [host for host in REGISTRIES if host in line.lower()]
        found += MACHINE_PATH.findall(line)
        yield from (f"{number}: {word}" for word in found)


def locks_have_hashes_and_no_addresses(source: Source) -> Iterator[str]:
    """Any mirror will do, because the hash says what is right."""
    if source.path.suffix != ".lock":
        return
    for requirement in source.text.replace("\\\n", " ").splitlines():
        if "://" in requirement or re.search(r"^\s*(-i|--index|--extra-index|--find)", requirement):
            yield f"1: an address: {requirement.strip()[:80]}"
        if requirement.strip() and not requirement.lstrip().startswith("#"):
            pinned = re.match(r"[A-Za-z0-9._\[\]-]+==\S+ ", requirement)
            if not pinned or not re.search(r"--hash=sha256:[0-9a-f]{64}\b", requirement):
                yield f"1: without a version or a hash: {requirement.strip()[:80]}"


IN_THE_HOUSE: tuple[Rule, ...] = (
    private_names_stay_home,
    imports_are_absolute,
    only_commands_print,
    only_commands_use_the_client,
    packages_only_reexport,
    public_things_have_docstrings,
    core_is_synchronous,
    core_is_told_the_time,
    nothing_is_unfinished,
)
IN_ALL_PYTHON: tuple[Rule, ...] = (names_say_something, files_and_functions_are_short)
IN_TESTS: tuple[Rule, ...] = (no_test_is_skipped,)
EVERYWHERE: tuple[Rule, ...] = (nothing_names_this_machine, locks_have_hashes_and_no_addresses)

LONG_FUNCTION = "def long():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
PIN = "click==8.5.1 \\\n    --hash=sha256:" + "0" * 64 + "\n"
BREACHES: list[tuple[Rule, str, str]] = [
    (private_names_stay_home, "web/links/door.py", "from entrepot.core.delivery._a import b"),
    (private_names_stay_home, "web/links/door.py", "import entrepot.core.delivery._a"),
    (private_names_stay_home, "web/links/door.py", "from entrepot.web._cycle import b"),
    (private_names_stay_home, "web/x.py", "from entrepot.blobs import _faults"),
    (private_names_stay_home, "web/x.py", "from entrepot.web.y import _z"),
    (imports_are_absolute, "web/x.py", "from ._cycle import b"),
    (imports_are_absolute, "web/x.py", "from . import _cycle"),
    (only_commands_print, "core/x.py", "def f():\n    print(1)"),
    (only_commands_use_the_client, "web/x.py", "from entrepot.client import Client"),
    (only_commands_use_the_client, "web/x.py", "import entrepot.cli.main"),
    (packages_only_reexport, "web/__init__.py", "def main(): pass"),
    (packages_only_reexport, "cli/__init__.py", "def other(): pass"),
    (packages_only_reexport, "web/__init__.py", "LIMIT = 1"),
    (packages_only_reexport, "web/__init__.py", "class A: pass"),
    (packages_only_reexport, "web/__init__.py", "def __getattr__(name): pass"),
    (packages_only_reexport, "web/__init__.py", "if TYPE_CHECKING:\n    from a import b"),
    (packages_only_reexport, "client/__init__.py", "if TYPE_CHECKING:\n    b = 1"),
    (packages_only_reexport, "client/__init__.py", "if True:\n    from a import b"),
    (packages_only_reexport, "client/__init__.py", "LIMIT = 1"),
    (public_things_have_docstrings, "x.py", "A = 1"),
    (public_things_have_docstrings, "x.py", '"""M."""\ndef f(): pass'),
    (public_things_have_docstrings, "x.py", '"""M."""\nclass A: pass'),
    (public_things_have_docstrings, "x.py", '"""M."""\nclass A:\n    """A."""\n    def f(s): 1'),
    (core_is_synchronous, "core/x.py", "async def f(): pass"),
    (core_is_told_the_time, "core/x.py", "now = datetime.now(UTC)"),
    (core_is_told_the_time, "core/x.py", "now = time.time()"),
    (nothing_is_unfinished, "x.py", "# TODO: later"),
    (nothing_is_unfinished, "x.py", "raise NotImplementedError"),
    (names_say_something, "core/utils.py", ""),
    (names_say_something, "core/_helpers.py", ""),
    (names_say_something, "common/x.py", ""),
    (files_and_functions_are_short, "x.py", "x = 1\n" * (FILE_LINES_MAX + 1)),
    (files_and_functions_are_short, "x.py", LONG_FUNCTION),
    (no_test_is_skipped, "x.py", "@pytest.mark.skip\ndef test_it(): pass"),
    (no_test_is_skipped, "x.py", "pytest.importorskip('a')"),
    (nothing_names_this_machine, "x.md", "see /" + "root/notes"),
    (nothing_names_this_machine, "x.md", f"https://{REGISTRIES[0]}/simple"),
    (locks_have_hashes_and_no_addresses, "x.lock", "click==8.5.1\n"),
    (locks_have_hashes_and_no_addresses, "x.lock", PIN.replace("==", ">=")),
    (locks_have_hashes_and_no_addresses, "x.lock", PIN + "a @ https://host/a.whl\n"),
    (locks_have_hashes_and_no_addresses, "x.lock", "--index-url x\n" + PIN),
]
KEPT = '''"""A module that keeps every rule."""

from entrepot.errors import NotFound
from entrepot.core.delivery._signing import sign


class Link:
    """A link."""

    def redeem(self):
        """Redeems it; see ~/work/notes and https://host/home/page."""
        raise NotFound

    def __len__(self):
        return 0


def _private():
    return sign(now)
'''
ALL_RULES = (*IN_THE_HOUSE, *IN_ALL_PYTHON, *IN_TESTS, *EVERYWHERE)


def tracked() -> list[Source]:
    """Every text file that is, or is about to be, part of the repository."""
    # A checkout may belong to another user than the one who tests it.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
    sources = []
    for name in sorted(filter(None, listed.stdout.decode().split("\0"))):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b"\0"
        if b"\0" not in content:
            sources.append(Source(PurePosixPath(name), content.decode()))
    return sources


def problems(rules: tuple[Rule, ...], sources: list[Source]) -> list[str]:
    """`path:line: what is wrong [rule]` for every breach."""
    return [
        f"{source.path}:{problem} [{rule.__name__}]"
        for source in sources
        for rule in rules
        for problem in rule(source)
    ]


@pytest.mark.needs("git")
def test_every_file_keeps_the_rules() -> None:
    sources = tracked()
    python = [source for source in sources if source.path.suffix == ".py"]
    house = [source for source in python if HOUSE in source.path.parents]
    tests = [source for source in python if source.path.parts[0] == "tests"]
    assert len(house) > 10
    assert len(tests) > 3
    found = problems(IN_THE_HOUSE, house) + problems(IN_ALL_PYTHON, python)
    found += problems(IN_TESTS, tests) + problems(EVERYWHERE, sources)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(("rule", "path", "text"), BREACHES)
def test_a_breach_is_caught(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(HOUSE / path, text)))


def test_every_rule_has_a_breach_and_good_code_passes_them_all() -> None:
    assert {rule for rule, _, _ in BREACHES} == set(ALL_RULES)
    assert not problems(ALL_RULES, [Source(HOUSE / "core" / "delivery" / "links.py", KEPT)])
    assert not problems(EVERYWHERE, [Source(PurePosixPath("x.lock"), "# made by make\n" + PIN)])
    commands = [Source(HOUSE / "cli" / "__init__.py", '"""C."""\ndef main():\n    """M."""')]
    assert not problems(IN_THE_HOUSE, commands)


def test_the_light_client_needs_three_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.split(r"[^a-z-]", line)[0] for line in project["dependencies"]} == LIGHT


def loaded_by(program: str) -> set[str]:
    """The modules that a Python loads for a program beyond those it starts with."""
    whole = (
        "import json, sys; before = set(sys.modules)\n"
        f"{program}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    output = subprocess.check_output([sys.executable, "-c", whole], text=True, timeout=60)
    return set(json.loads(output.splitlines()[-1]))


def test_the_client_loads_nothing_of_the_server_and_nothing_heavy() -> None:
    """Not even its own dependencies but click: what verifies signatures is loaded when needed."""
    modules = sorted(path.stem for path in (ROOT / HOUSE / "cli").glob("[a-z]*.py"))
    names = ", ".join(f"entrepot.cli.{name}" for name in modules)
    loaded = loaded_by(f"import entrepot.client, {names}")
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert foreign == {"entrepot", "click"}
    ours = {name for name in loaded if name.startswith("entrepot.")}
    assert all(re.match(r"entrepot\.(client|cli)(\.|$)", name) for name in ours), ours


def test_the_command_says_its_version_and_its_help_before_it_loads_much() -> None:
    begin = "import sys; from entrepot.cli import main; sys.argv[1:] ="
    version = loaded_by(f"{begin} ['--version']; main()")
    assert {name for name in version if name.partition(".")[0] == "entrepot"} == {
        "entrepot",
        "entrepot.cli",
    }
    assert not version & {"click", "json.decoder", "ssl", "http.client", "urllib", "asyncio"}
    assert len(version) < 10, version
    helped = loaded_by(f"{begin} ['--help']\ntry: main()\nexcept SystemExit: pass")
    assert "entrepot.client" not in helped
    assert not helped & {"ssl", "http.client", "tuf", "securesystemslib", "rich"}


def lint_imports(root: Path, source: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter in `root` on the package found in `source`."""
    program = "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_imports_go_down_only() -> None:
    result = lint_imports(ROOT, ROOT / "src")
    assert result.returncode == 0, result.stdout


def test_import_linter_catches_what_goes_up(tmp_path: Path) -> None:
    modules = {
        "errors": "",
        "settings": "",
        "core.accounts": "import entrepot.core.delivery",
        "core.delivery": "",
        "web.links": "import entrepot.web.oauth",
        "web.oauth": "import entrepot.settings",
        "web.http": "",
        "client": "import entrepot.errors",
    }
    for name, text in modules.items():
        package = tmp_path.joinpath("entrepot", *name.split("."))
        package.mkdir(parents=True)
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
        (package / "__init__.py").write_text(text)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    result = lint_imports(tmp_path, tmp_path)
    assert "0 kept, 4 broken" in result.stdout, result.stdout + result.stderr
