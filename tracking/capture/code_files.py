"""The code that a program runs: every file of the project that it can reach, each with a digest that no comment changes.

Read from source, nothing is imported. Followed are imports (also inside functions), modules imported by a name that is made
up (`import_module(f"package.{name}")`: every public module of the package, or those chosen), modules named in a string
(`python -m package.module`), files that a module names and that lie beside it (templates, tables), and folders around a file that
moves `sys.path`: those above it up to the project's, and those that its strings name (`sys.path.insert(0, "lib")`).
"""

import ast
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tracking.runs.writing import write_text

Chosen = Mapping[str, Collection[str]]
_NO_CONTENT = ("kind", "type_comment", "type_ignores")


@dataclass(frozen=True)
class _Source:
    """What one file says of other files, and its digest; `digest` is empty for a file that holds nothing but a docstring.

    Attributes:
        names: imported modules; relative ones with their dots.
        folders: of a file that moves `sys.path` its strings; None of others.
    """

    names: tuple[str, ...]
    packages: tuple[str, ...]
    strings: tuple[str, ...]
    digest: str
    folders: tuple[str, ...] | None = None


def code_digests(
    starts: Collection[Path], root: Path, chosen: Chosen | None = None, apart: Collection[Path] = ()
) -> dict[str, str]:
    """The digest of every file that the files `starts` can reach, by its path below `root` (or as given, outside it).

    Args:
        starts: Python files; relative ones lie below `root`.
        root: the project's folder.
        chosen: of packages whose modules are imported by name, the modules to follow; all public ones by default.
        apart: files that are left out, with what only they reach: something else says that they changed.

    Raises:
        OSError, SyntaxError: a file cannot be read or parsed.
    """
    if _read_now is None:
        _inside.cache_clear()
    found, further = _followed(starts, root, chosen or {}, (), apart)
    while further:  # a path moved by one file is that of all
        before = further
        found, further = _followed(starts, root, chosen or {}, before, apart)
        if set(further) <= set(before):
            break
    return {_named(path, root): digest for path, digest in sorted(found.items()) if digest}


def _followed(
    starts: Collection[Path], root: Path, chosen: Chosen, further: tuple[Path, ...], apart: Collection[Path]
) -> tuple[dict[Path, str], tuple[Path, ...]]:
    """The digests of all that is reached, with imports looked for in the folders `further` too; and such folders as are named."""
    found: dict[Path, str] = {}
    folders: dict[Path, None] = {}
    waiting = [root / start for start in starts]
    while waiting:
        path = waiting.pop()
        if path in found or path in apart:
            continue
        if path.suffix != ".py":
            found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            continue
        source = _read_once(path, root)
        found[path] = source.digest
        folders |= dict.fromkeys(_added_folders(source, path, root))
        waiting += _reached(source, path, root, chosen, further)
    return found, tuple(folders)


def _added_folders(source: _Source, path: Path, root: Path) -> Iterator[Path]:
    """Folders that a file which moves `sys.path` may mean."""
    if source.folders is None:
        return
    above = [each for each in path.parents if each.is_relative_to(root)] or [*path.parents][:2]
    for base in above:
        yield base
        named = [base / text for text in source.folders]
        yield from (each.resolve() for each in named if each.is_dir() and each.resolve() not in (root, *root.parents))


def digest_of(content: bytes, *, python: bool) -> str:
    """Of Python code the digest of its syntax tree without docstrings, the same on every Python; else of the bytes."""
    return _read(content, "").digest if python else hashlib.sha256(content).hexdigest()


def _named(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _package(path: Path, root: Path) -> str:
    """The name that the module `path` has; its package's, for an `__init__`."""
    if not path.is_relative_to(root):
        return ""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _reached(source: _Source, path: Path, root: Path, chosen: Chosen, further: tuple[Path, ...]) -> Iterator[Path]:
    folder = path.parent
    yield from _imported(source.names, folder, root, further)
    for package in source.packages:
        public = _public(root.joinpath(*package.split(".")))
        modules = tuple(f"{package}.{module}" for module in chosen.get(package, public))
        yield from _imported(modules, folder, root, ())
    yield from _named_in(source.strings, folder, root)


@lru_cache(maxsize=4096)
def _imported(names: tuple[str, ...], folder: Path, root: Path, further: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(file for name in names for file in _files(name, folder, root, further)))


@lru_cache(maxsize=256)
def _public(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


@lru_cache(maxsize=4096)
def _named_in(strings: tuple[str, ...], folder: Path, root: Path) -> tuple[Path, ...]:
    """The files that strings in a file of `folder` name: beside it, or as modules."""
    found = []
    for text in strings:
        *packages, module = text.split(".")
        found += [folder / text] if text in _inside(folder).files else []
        if not packages or packages[0] in _inside(root).folders:
            place = root.joinpath(*packages)
            found += [place / f"{module}.py"] if f"{module}.py" in _inside(place).files else []
    return tuple(found)


@lru_cache(maxsize=65536)
def _files(name: str, folder: Path, root: Path, further: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files that importing `name` in a file of `folder` runs, its packages' `__init__` among them; none for a library.

    A file that belongs to no package (a user's own) may import what lies beside it, or in the folders `further`.
    """
    own = name.lstrip(".")
    if own != name:
        bases: tuple[Path, ...] = ((folder, *folder.parents)[len(name) - len(own) - 1],)
    else:
        bases = (root, *(() if "__init__.py" in _inside(folder).files else (folder,)), *further)
    return next(filter(None, (_beneath(base, own.split(".")) for base in dict.fromkeys(bases))), ())


def _beneath(base: Path, parts: Sequence[str]) -> tuple[Path, ...]:
    """The files of a dotted name whose first part lies in `base`, as far as there are folders."""
    found: list[Path] = []
    for part in parts:
        here, place = _inside(base), base / part
        if is_folder := part in here.folders:
            found += [place / "__init__.py"] if "__init__.py" in _inside(place).files else []
        found += [base / f"{part}.py"] if f"{part}.py" in here.files else []
        if not is_folder:
            break
        base = place
    return tuple(found)


class _Inside(NamedTuple):
    files: frozenset[str]
    folders: frozenset[str]


@lru_cache(maxsize=4096)
def _inside(folder: Path) -> _Inside:
    """The names in a folder, which is looked through once for each `code_digests`, or for all while they are `remembered`."""
    try:
        with os.scandir(folder) as entries:
            every = list(entries)
    except OSError:
        every = []
    return _Inside(
        frozenset(each.name for each in every if each.is_file()),
        frozenset(each.name for each in every if each.is_dir()),
    )


# ---- one file

_known: dict[str, _Source] = {}
_before: dict[str, _Source] = {}
_read_now: dict[Path, _Source] | None = None  # while `remembered`


@contextmanager
def remembered(file: Path) -> Iterator[None]:
    """Spare reading again what has not changed since the last time: what files say is kept in `file`, by their content's hash.

    What an other version of this module wrote there, or nobody, is not looked at.
    """
    global _read_now
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["version"] == version:
            _before.update({key: _as_source(values) for key, values in kept["files"].items()})
    _inside.cache_clear()
    _read_now = {}
    try:
        yield
    finally:
        _read_now = None
    with suppress(OSError):  # only time is lost
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": version, "files": {key: astuple(each) for key, each in _known.items()}})
        write_text(file, text)


def _as_source(values: list[Any]) -> _Source:
    names, packages, strings, digest, folders = values
    if not all(isinstance(text, str) for text in (digest, *names, *packages, *strings, *(folders or ()))):
        raise TypeError("not what was written")
    return _Source(tuple(names), tuple(packages), tuple(strings), digest, None if folders is None else tuple(folders))


def _read_once(path: Path, root: Path) -> _Source:
    """What the file at `path` says; while they are `remembered`, no file is read twice."""
    known = {} if _read_now is None else _read_now
    if path not in known:
        known[path] = _read(path.read_bytes(), _package(path, root))
    return known[path]


def _read(content: bytes, package: str) -> _Source:
    key = f"{package} {hashlib.sha256(content).hexdigest()}"
    if key not in _known:
        _known[key] = _before.get(key) or _parsed(content, package)
    return _known[key]


def _parsed(content: bytes, package: str) -> _Source:
    tree = ast.parse(content)
    names: list[str] = []
    packages: list[str] = []
    strings: list[str] = []
    for node in _code(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (f"{node.module}." if node.module else "")
            names += [f"{origin}{alias.name}" for alias in node.names]  # what is taken may be a module too
        elif isinstance(node, ast.Call):
            packages += _named_packages(node, package)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _could_name_a_file(node.value):
            strings.append(node.value)
    digest = hashlib.sha256(_canonical(tree).encode()).hexdigest() if tree.body else ""
    return _Source(_once(names), _once(packages), _once(strings), digest, _folders(content, tree))


def _folders(content: bytes, tree: ast.AST) -> tuple[str, ...] | None:
    """The strings of a file that mentions `sys.path`; None for any other."""
    if b"sys" not in content or b"path" not in content:
        return None
    nodes = list(ast.walk(tree))
    if not any(_is_sys_path(node) for node in nodes):
        return None
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return _once([text for text in texts if text and len(text) < 100 and "\0" not in text])


def _is_sys_path(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "path"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    )


def _once(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker sees; docstrings are taken out of the tree on the way."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                del node.body[0]
        elif isinstance(node, ast.If) and any(_is_type_checking(part) for part in ast.walk(node.test)):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def _is_type_checking(node: ast.AST) -> bool:
    return "TYPE_CHECKING" in (getattr(node, "id", ""), getattr(node, "attr", ""))


def _canonical(node: object) -> str:
    """The tree as text without places; empty fields are left out, because newer Pythons have more of them."""
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in node._fields if name not in _NO_CONTENT]
        inside = (f"{name}={_canonical(value)}" for name, value in fields if value is not None and value != [])
        return f"{type(node).__name__}({','.join(inside)})"
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    return repr(node)


def _named_packages(call: ast.Call, package: str) -> list[str]:
    """The package whose modules are imported by a name that is made up: `import_module(f"package.{name}")`."""
    if not call.args or not isinstance(name := call.args[0], ast.JoinedStr):
        return []
    if not ast.unparse(call.func).endswith("import_module"):
        return []
    parts = (str(part.value) if isinstance(part, ast.Constant) else _own(part, package) for part in name.values)
    text = "".join(parts).partition("*")[0]
    return [text.rstrip(".")] if text.endswith(".") else []


def _own(part: ast.expr, package: str) -> str:
    return package if isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "__name__" else "*"


def _could_name_a_file(text: str) -> bool:
    """Whether it could be a file's name or a dotted module's."""
    return "." in text and len(text) < 100 and text.replace(".", "").replace("_", "").replace("-", "").isalnum()
