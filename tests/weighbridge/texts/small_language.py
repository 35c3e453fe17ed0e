"""A tiny GPT-2 from a seed, its tokenizer, and documents to ask it about; nothing is downloaded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

WORDS = "the model reads a short line and says what comes next: yes, no, seven, eleven or nothing at all. "
END = "<|endoftext|>"
LENGTH = 48
QUESTIONS = [
    {"prompt": f"Line {number}: the model says", "choices": ["yes", "no, not at all", "seven"], "label": number % 3}
    for number in range(12)
]
LAST_WORDS = [{"prompt": f"{number} short lines and what comes", "answer": "next"} for number in range(8)]
LAST_WORDS.append({"prompt": "29 lines", "answer": "n"})  # which the small model finds likeliest
TEXTS = [{"prompt": WORDS * (number + 1)} for number in range(4)]
ANSWERS = [{"prompt": f"Say {word}:", "answer": answer} for word, answer in (("yes", "5"), ("no", "7"), ("seven", "5"))]
GPT2 = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": LENGTH,
    "eos_token_id": 0,
    "bos_token_id": 0,
    "initializer_range": 0.3,
}


def write_tokenizer(folder: Path) -> Path:
    """A byte-level BPE of 300 tokens; token 0 is END."""
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([WORDS] * 3, vocab_size=300, special_tokens=[END], show_progress=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def write_model(folder: Path) -> Any:
    """What `save_pretrained` writes of a GPT-2 from seed 3, and the model."""
    import torch

    from weighbridge.frameworks import transformers as adapter

    transformers = adapter._import_transformers()
    torch.manual_seed(3)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=300, **GPT2)).eval()
    model.save_pretrained(folder)
    return model


def write(folder: Path) -> Path:
    """The tokenizer and the model; the folder again."""
    pytest.importorskip("tokenizers")
    write_tokenizer(folder)
    write_model(folder)
    return folder


def write_tasks(path: Path, documents: list[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")
    return path
