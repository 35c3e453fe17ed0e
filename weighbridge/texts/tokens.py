"""Texts to token ids, by a tokenizer's own file (https://huggingface.co/docs/tokenizers). It is data: no code runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracking.runs.errors import UserError
from weighbridge.params.recipes import TextRecipe
from weighbridge.texts.marks import ENDED


def tokenise(texts: Sequence[str | tuple[str, str]], recipe: TextRecipe) -> np.ndarray:
    """Token ids of texts or of pairs, int32, shape (texts, length): cut at `recipe.length`, `ENDED` after a text's last.

    Raises:
        UserError: there is no tokenizer file, it is none, or a text has no token.
    """
    tokenizer = load_tokenizer(recipe)
    tokenizer.enable_truncation(recipe.length, direction=recipe.truncation_side)
    ids = np.full((len(texts), recipe.length), ENDED, np.int32)
    for row, found in enumerate(
        tokenizer.encode_batch(list(texts), add_special_tokens=recipe.special_tokens == "tokenizer")
    ):
        if not found.ids:
            raise UserError(f"{recipe.tokenizer}: gives no token for {texts[row]!r}")
        ids[row, : len(found.ids)] = found.ids
    return ids


def without_last(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Token ids without each text's last token, and those tokens (int64, shape (texts,)): what a language model is asked.

    Raises:
        UserError: a text has a single token, and nothing comes before it.
    """
    rows, last = np.arange(len(ids)), (ids != ENDED).sum(axis=1) - 1
    if (last < 1).any():
        raise UserError(f"text {int(np.argmin(last))} has a single token; last-token asks what follows at least one")
    asked, labels = ids.copy(), ids[rows, last].astype(np.int64)
    asked[rows, last] = ENDED
    return asked, labels


def tokenizer_file(recipe: TextRecipe) -> Path:
    """The file that the recipe names, or the one in the folder that it names."""
    path = Path(recipe.tokenizer)
    return path / "tokenizer.json" if path.is_dir() else path


def load_tokenizer(recipe: TextRecipe) -> Any:
    """The tokenizer of a recipe; it cuts and pads nothing.

    Raises:
        UserError: there is no file, or it is none.
    """
    from tokenizers import Tokenizer

    path = tokenizer_file(recipe)
    if not path.is_file():
        raise UserError(
            f"{path}: not found; a text recipe's tokenizer is a tokenizer.json or the folder that holds one"
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as problem:
        raise UserError(f"{path}: not a tokenizer file ({' '.join(str(problem).split())})") from problem
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
