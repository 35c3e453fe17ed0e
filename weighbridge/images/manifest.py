"""The tables that `fetch` writes about images, read back: a class may be called `NA`, and an image too."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from tracking.runs.errors import UserError
from weighbridge.images.listing import LeftOut

REFUSED = "refused.csv"
LEFT_OUT = [field.name for field in fields(LeftOut)]
NOT_WEIGHED = ("corrupt", "unread", "unfit")
_NUMBERS = {name: [""] for name in ("label", "depth", "orientation", "frames", "highest", "jpeg_step", "files")}


def read_manifest(path: Path) -> pd.DataFrame:
    """A manifest, or the list of what was left out; empty cells of numbers are NaN, every text is as it was written.

    Raises:
        UserError: it is absent or damaged.
    """
    texts: dict[str, type] = {"name": str, "class": str, "kind": str, "reason": str}
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=_NUMBERS, dtype=texts)
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); `dvc repro` makes it") from problem
    except ValueError as problem:
        raise UserError(f"{path}: is damaged ({problem}); delete it and run `dvc repro`") from problem


def left_out_table(left: Sequence[LeftOut]) -> pd.DataFrame:
    """A row for each, sorted."""
    return pd.DataFrame([asdict(each) for each in left], columns=LEFT_OUT).sort_values(["kind", "name"])


def refused(folder: Path) -> pd.DataFrame:
    """What a recipe refused of the images that are prepared in `folder`; mostly nothing."""
    path = folder / REFUSED
    return read_manifest(path) if path.is_file() else left_out_table([])


def not_weighed(left_out: pd.DataFrame) -> int:
    """How many of those that are left out are images, or stood where images are expected."""
    return int(left_out.loc[left_out["kind"].isin(NOT_WEIGHED), "files"].sum())
