"""Which module of the project imports which, read from the source: imports inside functions count, those under TYPE_CHECKING
do not, and neither does the package that Python runs on the way to a module."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
Graph = Mapping[str, set[str]]

PACKAGES = ("stages", "weighbridge", "tracking")  # left may import right, here and below
ROOMS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "weighbridge": (
        ("cli",),
        ("cluster",),
        ("script",),
        ("networks",),
        ("frameworks",),
        ("weights",),
        ("images", "texts"),
        ("params",),
        ("process",),
    ),
    "tracking": tuple(
        (room,)
        for room in [
            "panels",
            "pages",
            "explain",
            "replay",
            "lookup",
            "foreign",
            "trackers",
            "audit",
            "capture",
            "runs",
        ]
    ),
}


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file of every module of the project; a package goes by its own name."""
    files = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def import_graph(root: Path = ROOT) -> dict[str, set[str]]:
    """Module -> the project's modules that it imports."""
    known = modules(root)
    return {
        name: {found for found in _imports(ast.parse(path.read_text(encoding="utf-8")), known) if found != name}
        for name, path in known.items()
    }


def _imports(tree: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if _type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (each if each in known else node.module for each in named if {each, node.module} & known.keys())
        yield from _imports(node, known)


def against_the_order(graph: Graph) -> list[str]:
    """Every import from right to left, and every room that has no place in the order."""
    edges = [(name, found) for name, imported in sorted(graph.items()) for found in sorted(imported)]
    homeless = [name for name in sorted(graph) if _place(name) is None]
    return [*homeless, *(f"{name} -> {found}" for name, found in edges if not homeless and _leftwards(name, found))]


def _place(name: str) -> tuple[int, int] | None:
    """Package and room, counted from the left; what lies in no room of a package stands left of its rooms."""
    package, _, rest = name.partition(".")
    room, _, inside = rest.partition(".")
    rooms = ROOMS.get(package, ())
    if not rooms or not rest or (room.startswith("__") and not inside):
        return PACKAGES.index(package), -1
    return next(((PACKAGES.index(package), rank) for rank, level in enumerate(rooms) if room in level), None)


def _leftwards(name: str, found: str) -> bool:
    here, there = _place(name), _place(found)
    return here is None or there is None or there < here


def circle(graph: Graph) -> list[str]:
    """Modules that import one another in a ring; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        return list(problem.args[1])
    return []


def long_functions(path: Path, limit: int) -> list[str]:
    """`<line> <name>` of every function of a file with at least `limit` lines, its docstring among them."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [f"{each.lineno} {each.name}" for each in functions if (each.end_lineno or 0) - each.lineno + 1 >= limit]


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def top_modules(path: Path) -> set[str]:
    """The top-level name of every module imported when the file is imported: not those inside functions."""
    nodes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if not _type_checking(node)]
    found = [each for node in nodes if not isinstance(node, ast.FunctionDef | ast.ClassDef) for each in ast.walk(node)]
    names = [alias.name for node in found if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in found if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
