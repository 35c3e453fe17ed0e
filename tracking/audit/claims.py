"""Published accuracies: the table that is shipped here (`claims.csv`) and a user's own, row by row, found by checkpoint.

A checkpoint is one set of weights, `<publisher>/<model>/<weights>`; several people publish a number for the same one. Numbers
are kept as they were published: per cent, with as many digits as were given.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path

from tracking.runs.errors import UserError

SHIPPED = Path(__file__).with_name("claims.csv")
AGREES, SHORT, EXCEEDS = "agrees", "falls short", "exceeds"


@dataclass(frozen=True)
class Claim:
    """One published accuracy.

    Attributes:
        checkpoint: the weights, for example ``torchvision/ResNet50/IMAGENET1K_V1``.
        framework, model, weights: as their publisher of the number calls them.
        top1, top5: per cent, with the published digits; ``top5`` is None where it was not published.
        preprocessing: what the source says of it; empty where it says nothing.
        source, date: where the number stands, and when (``2019-04``).
    """

    checkpoint: str
    framework: str
    model: str
    weights: str
    top1: Decimal
    top5: Decimal | None
    preprocessing: str
    source: str
    date: str

    @property
    def side(self) -> int | None:
        """Of the images, in pixels, where `preprocessing` says it: "size 288, crop 1.0" or "centre crop 224"."""
        found = re.search(r"(?:\bsize |\bcrop_size=|\bcentre crop )(\d+)", self.preprocessing)
        return int(found[1]) if found else None

    def judged(self, low: float, high: float) -> str:
        """What a measured top-1 accuracy with the interval from `low` to `high` (fractions) is to this claim.

        A number published with few digits stands for all that round to it: 74.9 agrees with whatever meets 74.85 to 74.95.
        """
        half = _last_digit(self.top1) / 2
        if 100 * high < self.top1 - half:
            return SHORT
        return EXCEEDS if 100 * low > self.top1 + half else AGREES


COLUMNS = tuple(field.name for field in fields(Claim))


def comes_back(published: Decimal, hits: int, samples: int) -> bool:
    """Whether `hits` of `samples`, in per cent with the published digits, is the published number; either way at a half."""
    measured = Decimal(100 * hits) / samples
    step = _last_digit(published)
    return any(measured.quantize(step, rounding) == published for rounding in (ROUND_HALF_UP, ROUND_HALF_EVEN))


def claims_about(checkpoint: object, claims: Iterable[Claim], side: int | None = None) -> tuple[Claim, ...]:
    """Every claim about one checkpoint, the oldest first; none where it is not known (None).

    Where a source gives its numbers at several image sizes, `side` among them, only those at `side` are meant.
    """
    about = sorted((claim for claim in claims if claim.checkpoint == checkpoint), key=lambda claim: claim.date)
    at_side = {claim.source for claim in about if side is not None and claim.side == side}
    return tuple(claim for claim in about if claim.source not in at_side or claim.side in (None, side))


def image_side(params: Mapping[str, object]) -> int | None:
    """How large a run's images were, in pixels, by its params; None where its recipe does not make squares."""
    squash = params.get("recipe.resize.fit") == "squash"
    side = params.get("recipe.crop.size") or (params.get("recipe.resize.size") if squash else None)
    return side if isinstance(side, int) else None


def load_claims(own: Path | None = None) -> tuple[Claim, ...]:
    """The shipped table and, where it is another file, the rows of `own`.

    Raises:
        UserError: a file cannot be read, has other columns, or a row breaks the form; file and line are named.
    """
    files = [SHIPPED] if own is None or own.resolve() == SHIPPED.resolve() else [SHIPPED, own]
    return tuple(claim for file in files for claim in _read(file))


def _read(path: Path) -> Sequence[Claim]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            if header != list(COLUMNS):
                raise UserError(f"{path}:1: the columns must be {','.join(COLUMNS)}, not {','.join(header)}")
            return [_claim(row, f"{path}:{rows.line_num}") for row in rows if row]
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); see `claims` in params.yaml") from problem
    except (csv.Error, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: not a table of comma-separated text ({problem})") from problem


def _claim(row: Sequence[str], place: str) -> Claim:
    if len(row) != len(COLUMNS):
        raise UserError(f"{place}: has {len(row)} values for {len(COLUMNS)} columns")
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ("checkpoint", "source", "date"):
        if not values[name].strip():
            raise UserError(f"{place}: {name} is empty")
    top5 = _per_cent(values["top5"], "top5", place) if values["top5"] else None
    texts = {name: values[name] for name in COLUMNS if name not in ("top1", "top5")}
    return Claim(**texts, top1=_per_cent(values["top1"], "top1", place), top5=top5)


def _per_cent(text: str, name: str, place: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 1 <= value <= 100:
        raise UserError(f"{place}: {name} must be a number of per cent from 1 to 100, not {text!r}")
    return value


def _last_digit(value: Decimal) -> Decimal:
    """One unit of the last digit that was given: 0.1 for 74.9."""
    return Decimal(1).scaleb(int(value.as_tuple().exponent))
