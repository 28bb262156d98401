"""Engines decide, shells do: no engine reaches a socket, a clock, a disk or chance; no import goes in circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import whoismesh

ROOT = Path(whoismesh.__file__).parent

SINGLE_ENGINES = (
    *(
        "addresses",
        "columns",
        "rangesets",
        "iana",
        "networks",
        "grain",
        "delegated",
        "prior",
        "blocks",
        "prefixes",
        "packing",
        "checks",
        "compounds",
        "messages",
        "registries",
        "history",
        "listener",
        "following",
        "overview",
        "exposition",
        "dashboard.rows",
        "origins",
        "spot",
        "bulk.splitting",
        "bulk.reading",
        "fleet",
        "fleet.hosts",
        "fleet.ec2",
        "fleet.ec2.forecast",
        "fleet.ec2.host_keys",
        "fleet.ec2.shrink",
        "fleet.ec2.tags",
        "fleet.ec2.user_data",
        "hilbert",
        "refresh",
        "serving.instants",
        "serving.questions",
        "serving.rdap_objects",
        "serving.whois_text",
        "maps",
        "maps.looks",
        "maps.cells",
        "maps.layers",
        "maps.drawing",
        "maps.making",
        "maps.svg",
        "segments",
        "exports.rows",
        "one_line",
        "index_layout",
        "differences",
        "merging",
        "depth",
    ),
)
ENGINE_FOLDERS = ("ledger", "lanes", "answers", "gossip")
#: The shells' business.
SHELLS_ONLY = frozenset(
    {"zmq", "time", "socket", "asyncio", "random", "sqlite3", "aiohttp", "threading", "os", "pathlib"}
)


def module_name(path: Path) -> str:
    parts = ("whoismesh", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
ENGINES = [
    name
    for name in MODULES
    if name.removeprefix("whoismesh.") in SINGLE_ENGINES or name.split(".")[1:2] in [[each] for each in ENGINE_FOLDERS]
]


def imports(name: str, *, at_run_time: bool = False) -> Iterator[str]:
    """Yield what a module imports: full names, of `from a import b` both a and a.b. Nothing for type checkers only.

    With `at_run_time` imports inside functions are left out: they cannot close a circle while modules are loaded.
    """
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if at_run_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: absolute imports only"
            yield node.module or ""
            yield from (f"{node.module}.{each.name}" for each in node.names)
        todo.extend(ast.iter_child_nodes(node))


def test_all_engines_are_looked_at() -> None:
    assert {f"whoismesh.{each}" for each in SINGLE_ENGINES} <= set(ENGINES)
    for folder in ENGINE_FOLDERS:
        assert f"whoismesh.{folder}" in ENGINES
        assert sum(each.startswith(f"whoismesh.{folder}.") for each in ENGINES) >= 3


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_imports_nothing_that_acts(name: str) -> None:
    found = {each.partition(".")[0] for each in imports(name)}
    assert not found & SHELLS_ONLY


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_imports_no_shell(name: str) -> None:
    allowed = {*ENGINES, "whoismesh", "whoismesh.errors"}
    found = {each for each in imports(name) if each in MODULES}
    assert found <= allowed


def test_no_import_goes_in_circles() -> None:
    # A package that is imported on the way to one of its modules is no dependency on its __init__'s own imports.
    graph = {
        name: {each for each in imports(name, at_run_time=True) if each in MODULES and each != name} for name in MODULES
    }
    for name in graph:
        graph[name] -= {each for each in graph[name] if name.startswith(f"{each}.")}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for each in sorted(graph[name]):
                visit(each, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())
