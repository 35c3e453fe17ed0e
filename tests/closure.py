"""The import closure of a module of this project, read from its source: what DVC must know about."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("stages", "tracking")
BY_NAME = "weighbridge.frameworks"  # its adapters are imported by name: dvc.yaml lists the one a model uses


def closure(path: Path, root: Path = ROOT) -> set[Path]:
    """Every file of the project that importing `path` runs, itself included; files holding only a docstring left out."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += imported(current, root)
    return {file for file in found if _has_code(file)}


def imported(path: Path, root: Path = ROOT) -> list[Path]:
    """The project's files that `path` imports, at its top or inside a function (but not under TYPE_CHECKING)."""
    names = list(_names(ast.parse(path.read_text(encoding="utf-8"))))
    files = [file for name in names for file in _files(name, root)]
    return sorted(set(files))


def modules_named(path: Path) -> set[str]:
    """The top-level name of every module imported when `path` is imported: not those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name.partition(".")[0] for node in tree.body for name in _names(ast.Module([node], [])) if not _lazy(node)}


def _lazy(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef) or _type_checking(node)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if _type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from _names(node)


def _files(name: str, root: Path) -> list[Path]:
    if name.partition(".")[0] not in PACKAGES:
        return []
    base = root.joinpath(*name.split("."))
    packages = [parent / "__init__.py" for parent in (base, *base.parents) if parent != root and root in parent.parents]
    return [file for file in [base.with_suffix(".py"), *packages] if file.is_file()]


def _has_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)
