"""Log-likelihoods and generated answers of a causal language model of transformers (`weighbridge.texts.requests`)."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tracking.runs.errors import UserError
from weighbridge.frameworks import Exported
from weighbridge.frameworks._torch import TorchNetwork
from weighbridge.frameworks._torch_layers import last_token
from weighbridge.texts.marks import BEST, HEAD, SCORED
from weighbridge.weights.adjustments import Adjustment


@dataclass(frozen=True)
class Asking:
    """How rows of unlike lengths become one batch, and how it is passed.

    Attributes:
        padding_side: where shorter rows are filled up to the longest of their batch.
        masked: whether the model is told what is padding, and counts positions from each row's first token.
        use_cache: whether what comes before all that is scored passes first, and its keys and values are kept.
    """

    padding_side: str = "right"
    masked: bool = True
    use_cache: bool = False


class TextNetwork(TorchNetwork):
    """A module of transformers that takes token ids."""

    def export(self, folder: Path, sample: tuple[int, ...]) -> Exported:
        """Write an ONNX file whose inputs are called as transformers calls them; batch and length are free, whatever `sample`."""
        if not isinstance(self, LanguageNetwork) and _padding(self.module) is None:
            raise UserError(f"{type(self.module).__name__} has no padding token, without which it takes no batch")
        ids = torch.ones(2, 8, dtype=torch.long, device=self.device)
        free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
        inputs = {name: (ids.clone(), free) for name in ("input_ids", "attention_mask")}
        return self.write_onnx(folder, _Padding(self.module).eval(), inputs, "logits")


class _Padding(torch.nn.Module):
    """The module, told by the mask alone what is padding."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module, self.padding = module, _padding(module) or 0
        self.given = {"use_cache": False} if "use_cache" in inspect.signature(module.forward).parameters else {}

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        ids = input_ids.masked_fill(attention_mask == 0, self.padding)
        return self.module(input_ids=ids, attention_mask=attention_mask, **self.given).logits


def _padding(module: Any) -> int | None:
    return module.config.get_text_config().pad_token_id


class LanguageNetwork(TextNetwork):
    """A causal language model: of requests it gives log-likelihoods, and it generates.

    Attributes:
        asking: how requests are passed; see `asked`.
    """

    send = None  # rows are taken apart where they are

    def __init__(self, module: Any, device: str, asking: Asking, adjustments: Sequence[Adjustment] = ()) -> None:
        super().__init__(module, device, ask=partial(ask, asking=asking), adjustments=adjustments)
        self.asking = asking

    def asked(self, **changes: Any) -> "LanguageNetwork":
        """The same network (shared, not copied), its requests passed in another way."""
        same = LanguageNetwork(self.module, self.device, replace(self.asking, **changes))
        same.ways = self.ways
        return same

    def generate(self, requests: np.ndarray, new_tokens: int, *, training: bool = False) -> list[list[int]]:
        rows = [torch.from_numpy(row[row >= 0].astype(np.int64)).to(self.device) for row in requests[:, 0, HEAD:]]
        batch, ends = padded(rows, "left"), _ends(self.module)
        try:
            with self._mode(training, None):
                found = self.module.generate(  # type: ignore[operator]
                    input_ids=batch.ids,
                    attention_mask=batch.there.long(),
                    max_new_tokens=new_tokens,
                    do_sample=False,
                    use_cache=self.asking.use_cache,
                    pad_token_id=ends[0] if ends else 0,
                )
        except (RuntimeError, ValueError, AttributeError, IndexError) as problem:
            said = " ".join(str(problem).split())
            raise UserError(f"{type(self.module).__name__} cannot generate ({said})") from problem
        return [_until(row, ends) for row in found[:, batch.ids.shape[1] :].tolist()]


@dataclass(frozen=True)
class Padded:
    """Rows of one batch: int64, shape (rows, longest)."""

    ids: torch.Tensor
    there: torch.Tensor

    @property
    def positions(self) -> torch.Tensor:
        return (self.there.long().cumsum(dim=1) - 1).clamp(min=0)


def padded(rows: list[torch.Tensor], side: str) -> Padded:
    """Token ids of unlike lengths in one tensor, filled up with id 0."""
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long, device=rows[0].device)
    there = torch.zeros(len(rows), longest, dtype=torch.bool, device=rows[0].device)
    for place, row in enumerate(rows):
        where = slice(longest - len(row), longest) if side == "left" else slice(len(row))
        ids[place, where], there[place, where] = row, True
    return Padded(ids, there)


def ask(module: Any, ids: torch.Tensor, asking: Asking) -> torch.Tensor:
    """Of texts (samples, length) the scores of the token after each last; of requests (samples, rows, ...) log-likelihoods."""
    if ids.ndim == 2:
        logits = module(input_ids=ids.clamp(min=0), attention_mask=(ids >= 0).long(), use_cache=False).logits
        return logits[torch.arange(len(ids)), last_token(ids)]
    return log_likelihoods(module, ids, asking)


def log_likelihoods(module: Any, requests: torch.Tensor, asking: Asking) -> torch.Tensor:
    """Of every row, divided by what it says: float32, shape (samples, rows); minus infinity for a row that is absent.

    As many rows pass at once as there are samples in the batch. Memory: their longest row times the vocabulary.
    """
    samples, rows = requests.shape[:2]
    flat = requests.flatten(0, 1)
    there = (flat[:, HEAD:] >= 0).any(dim=1)
    found = [torch.full((), -torch.inf, device=flat.device)] * len(flat)
    asked = torch.nonzero(there)[:, 0].tolist()
    for start in range(0, len(asked), samples):
        places = asked[start : start + samples]
        for place, (own, best) in zip(places, _sums(module, flat[places], asking), strict=True):
            found[place] = own / flat[place, 0].clamp(min=1)
            if place + 1 < len(flat) and not there[place + 1] and flat[place + 1, 0] == BEST:
                found[place + 1] = best
    return torch.stack(found).reshape(samples, rows)


def _sums(module: Any, rows: torch.Tensor, asking: Asking) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Of each row the log-likelihood of what it scores, and of the likeliest tokens in the same places."""
    kept = [row[row >= 0] for row in rows[:, HEAD:]]
    ids = [row & (SCORED - 1) for row in kept]
    counts = [int((row & SCORED != 0).sum()) for row in kept]
    batch = padded([row[:-1] for row in ids], asking.padding_side)
    shortest = min(len(row) - count for row, count in zip(ids, counts, strict=True))
    logits = _logits(module, batch, asking, shortest - 1)
    for place, (row, count) in enumerate(zip(ids, counts, strict=True)):
        own = logits[place, batch.there[place]]
        yield _sum(own[len(own) - count :], row[len(row) - count :])


def _sum(logits: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The second is the first where the wanted tokens are the likeliest, and else larger, as ties of equal logits can be."""
    logs = torch.log_softmax(logits, dim=-1)
    own = logs.gather(1, wanted[:, None])[:, 0].sum().float()
    likeliest = logs.argmax(dim=-1)
    if bool((likeliest == wanted).all()):
        return own, own
    best = logs.gather(1, likeliest[:, None])[:, 0].sum().float()
    return own, torch.maximum(best, torch.nextafter(own, torch.full_like(own, torch.inf)))


def _logits(module: Any, batch: Padded, asking: Asking, before: int) -> torch.Tensor:
    """Shape (rows, longest, vocabulary)."""
    if not asking.use_cache or before < 1 or asking.padding_side == "left":
        return module(**_inputs(batch, asking, slice(None)), use_cache=False).logits
    first = module(**_inputs(batch, asking, slice(before)), use_cache=True)
    kept = "cache" if "cache" in inspect.signature(module.forward).parameters else "past_key_values"  # its older name
    inputs = _inputs(batch, asking, slice(before, None))
    rest = module(**inputs, **{kept: first.past_key_values}, use_cache=True)
    return torch.cat([first.logits, rest.logits], dim=1)


def _inputs(batch: Padded, asking: Asking, where: slice) -> dict[str, torch.Tensor]:
    """The mask is of all up to the end, as one who keeps keys and values gives it."""
    inputs = {"input_ids": batch.ids[:, where]}
    if asking.masked:
        inputs |= {"attention_mask": batch.there[:, : where.stop].long(), "position_ids": batch.positions[:, where]}
    return inputs


def _ends(module: Any) -> list[int]:
    end = module.generation_config.eos_token_id
    return [] if end is None else end if isinstance(end, list) else [end]


def _until(ids: list[int], ends: list[int]) -> list[int]:
    stop = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[:stop]
