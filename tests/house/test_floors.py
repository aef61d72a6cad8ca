"""The house rules: floors, purity of the mind, sizes and names. The plan cannot rot while this passes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "envmon"
FLOORS = {
    "model": 1, "core": 2, "config": 3, "host": 3, "profiles": 3, "wire": 3, "drivers": 4, "actuators": 4, "probes": 4,
    "publishers": 4, "pagers": 4, "leases": 4, "journal": 4, "recordings": 4, "sim": 4, "weather": 4, "runtime": 5,
    "web": 6, "cli": 7,
}  # fmt: skip
IMPURE = {
    "time", "random", "os", "asyncio", "logging", "socket", "datetime", "pathlib", "threading", "subprocess",
    "secrets", "uuid", "io", "sys", "sqlite3", "tempfile",
}  # fmt: skip
MODULE_LINES = 350
FUNCTION_LINES = 40
BANNED_NAMES = ("Manager", "Helper", "Utils", "Base", "Handler", "Service")
MODULES = sorted(PACKAGE.rglob("*.py"))


def floor_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            module = node.module or ""
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def trespasses(here: str, tree: ast.AST) -> list[str]:
    """Imports that go up or sideways."""
    found = []
    for name, line in imports(tree):
        parts = name.split(".")
        if parts[0] != "envmon" or len(parts) < 2 or parts[1] not in FLOORS or parts[1] == here:
            continue
        if FLOORS[parts[1]] >= FLOORS[here]:
            found.append(f"line {line}: {here} imports {name}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path):
    here = floor_of(path)
    if here == "__init__.py":
        return
    assert here in FLOORS, f"{path}: a package without a floor"
    assert trespasses(here, parse(path)) == []


@pytest.mark.parametrize("path", [p for p in MODULES if floor_of(p) in {"model", "core"}], ids=lambda p: p.name)
def test_the_mind_is_pure(path):
    used = {name.split(".")[0] for name, _ in imports(parse(path))}
    assert used & IMPURE == set()
    calls = {n.func.id for n in ast.walk(parse(path)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert calls & {"open", "print", "input", "hash", "id"} == set()


@pytest.mark.parametrize("path", [p for p in MODULES if floor_of(p) == "core"], ids=lambda p: p.name)
def test_core_never_iterates_a_set_and_never_inherits(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.For | ast.comprehension):
            assert not isinstance(node.iter, ast.Set | ast.SetComp), f"line {node.iter.lineno}"
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            assert bases <= {"StrEnum", "Generic[A]"}, f"{node.name} inherits {bases}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes_names_and_docstrings(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MODULE_LINES
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree), "a module says in one sentence what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{node.name}: {length} lines"
        if isinstance(node, ast.ClassDef):
            assert not node.name.endswith(BANNED_NAMES), node.name


@pytest.mark.parametrize("path", [p for p in MODULES if floor_of(p) != "cli"], ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_of_ours_runs_in_the_threads_that_resolve_names(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr != "to_thread", f"line {node.lineno}: use envmon.host.threads.aside"
            shared = node.func.attr == "run_in_executor" and ast.unparse(node.args[0]) == "None"
            assert not shared, f"line {node.lineno}: name an executor"


def test_programs_are_started_in_one_place():
    starts = [p for p in MODULES if "create_subprocess" in p.read_text() and floor_of(p) not in {"cli", "sim"}]
    assert starts == [PACKAGE / "host" / "program.py"]


def test_there_is_no_import_cycle():
    graph = {}
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {used for used, _ in imports(parse(path)) if used.startswith("envmon.")}
    known = set(graph)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for used in sorted(graph[name] & known):
                visit(used, (*trail, name))
            done.add(name)

    for name in sorted(known):
        visit(name, ())


@pytest.mark.parametrize(
    ("here", "line"),
    [("core", "from envmon.runtime import engine"), ("drivers", "import envmon.actuators.kamailio"),
     ("model", "from envmon.core.world import World")],
)  # fmt: skip
def test_a_trespass_would_be_seen(here, line):
    assert trespasses(here, ast.parse(line))


def test_top_level_holds_what_was_agreed():
    agreed = {
        "pyproject.toml", "README.md", "envmon", "config", "deploy", "tests", "LICENSE", "CHANGELOG.md",
        "CONTRIBUTING.md", "SECURITY.md",
    }  # fmt: skip
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - agreed == set()
