"""A recurrent classifier of texts as in ULMFiT (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146) and ELMo.

An LSTM in both directions; the mean of its states, the largest values and the ends are taken together.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Recurrent(nn.Module):
    """Token ids (int64, shape (texts, length), -1 where a text has ended) to scores."""

    def __init__(self, num_classes: int, vocab_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(6 * width, num_classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        there = ids >= 0
        lengths = there.sum(dim=1)
        packed = pack_padded_sequence(
            self.embedding(ids.clamp(min=0)), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        packed_states, (ends, _) = self.lstm(packed)
        states, _ = pad_packed_sequence(packed_states, batch_first=True, total_length=ids.shape[1])
        mean = states.sum(dim=1) / lengths[:, None]
        largest = states.masked_fill(~there[:, :, None], -torch.inf).amax(dim=1)
        return self.head(self.dropout(torch.cat([mean, largest, *ends], dim=1)))


def recurrent(num_classes: int, vocab_size: int = 1000, width: int = 64) -> nn.Module:
    """The function that `architecture` names."""
    return Recurrent(num_classes, vocab_size, width)
