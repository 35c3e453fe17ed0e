"""A section of `params.yaml`, read strictly: an unknown key or a value of the wrong kind is an error that names it."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tracking.runs.errors import UserError

Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\+[A-Za-z0-9][A-Za-z0-9_-]*)?$")
]  # on a test set: name+set
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
PARAMS = Path("params.yaml")
Kind = TypeVar("Kind")


class Section(BaseModel):
    """Part of `params.yaml`: frozen, and no key but those declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _has_no_other_key(cls, value: Any) -> Any:
        for key in value if isinstance(value, Mapping) else ():
            if key not in cls.model_fields:
                near = nearest(str(key), cls.model_fields)
                raise PydanticCustomError("unknown_key", "{near}", {"key": str(key), "near": near})
        return value


@overload
def read(kind: type[Kind], *keys: str, path: Path = PARAMS) -> Kind: ...
@overload
def read(kind: Any, *keys: str, path: Path = PARAMS) -> Any: ...
def read(kind: Any, *keys: str, path: Path = PARAMS) -> Any:
    """What stands under `keys` in a params file, checked; a stage reads its own sections by it and no others.

    Raises:
        UserError: the file is absent, is not YAML, has no such keys, or breaks the schema; every offending key is named.
    """
    value: Any = load_yaml(path)
    for depth, key in enumerate(keys, 1):
        if not isinstance(value, dict) or key not in value:
            raise UserError(f"{path}: missing key {'.'.join(keys[:depth])!r}")
        value = value[key]
    return check(kind, value, path, *keys)


def check(kind: type[Kind], value: Any, path: Path, *keys: str) -> Kind:
    """`value` as a `kind`; `path` and `keys` say in messages where it stands.

    Raises:
        UserError: it breaks the schema; every offending key is named.
    """
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as problem:
        raise UserError(f"{path}: {'; '.join(_sentence(error, keys) for error in problem.errors())}") from problem


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown `name`: which known one it resembles, and all there are unless they are many."""
    names = list(known)
    like = get_close_matches(name, names, n=1)
    resembled = f"did you mean {like[0]!r}?" if like else ""
    every = f"known: {', '.join(names) or 'none'}" if len(names) <= (24 if like else 100) else ""
    return "; " + " ".join(filter(None, (resembled, every))) if resembled or every else ""


def load_yaml(path: Path) -> Any:
    """The content of a YAML file: plain values.

    Raises:
        UserError: it cannot be read, or is not YAML.
    """
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); run this in the project's folder") from problem
    except (YAMLError, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: not YAML ({' '.join(str(problem).split())})") from problem


@lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    """A stage reads several sections of one file; nobody changes what it is given."""
    return YAML(typ="safe").load(text)


def _sentence(error: Any, keys: tuple[str, ...]) -> str:
    where = ".".join(str(part) for part in (*keys, *error["loc"]) if part != "[key]")
    if error["type"] == "unknown_key":
        full = ".".join(part for part in (where, error["ctx"]["key"]) if part)
        return f"unknown key {full!r}{error['ctx']['near']}"
    if error["type"] == "missing":
        return f"missing key {where!r}"
    message = error["msg"].removeprefix("Value error, ")
    return (
        f"{where}: {message}, not {error['input']!r}"
        if error["type"] != "value_error"
        else f"{where or 'params'}: {message}"
    )
