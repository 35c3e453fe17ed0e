"""What a file says of the input that it takes: sizes, layout, type; and images put into that form."""

from dataclasses import dataclass

import numpy as np

_CHANNELS = ("c", "ch", "chan", "channel", "channels", "num_channels", "in_channels")


@dataclass(frozen=True)
class DeclaredInput:
    """The input of a finished program or of a whole model.

    Attributes:
        shape: with the batch first; None for what is free. Empty where nothing is declared.
        dtype: NumPy's name of the type of its values.
        scale, zero: of a quantised input, whose values are scale (q - zero); a scale of 0: it is not quantised.
        names: what the file calls each dimension, where it does.
        channels_first: the usual layout of such files, for one that declares too little to tell.
    """

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    scale: float = 0.0
    zero: int = 0
    names: tuple[str, ...] = ()
    channels_first: bool = False

    @property
    def batch(self) -> int | None:
        """The only batch size that it takes; None where any will do."""
        return self.shape[0] if self.shape else None

    @property
    def whole_numbers(self) -> bool:
        """Whether it takes integers that are no quantised values."""
        return np.dtype(self.dtype).kind in "iu" and not self.scale

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the greatest value that fit into it; None for floating-point numbers."""
        if np.dtype(self.dtype).kind not in "iu":
            return None
        bounds = np.iinfo(self.dtype)
        scale = self.scale or 1.0
        return scale * (float(bounds.min) - self.zero), scale * (float(bounds.max) - self.zero)

    def first(self, image: tuple[int, ...]) -> bool | None:
        """Whether an image of (height, width, channels) is given channels first; None where it fits neither way."""
        height, width, channels = image
        dims = self.shape[1:] or (None, None, None)
        as_first, as_last = _fits(dims, (channels, height, width)), _fits(dims, (height, width, channels))
        if as_first and as_last:
            second, last = (
                (name.lower() in _CHANNELS for name in (self.names[1], self.names[-1])) if self.names else (0, 0)
            )
            return bool(second) if second != last else self.channels_first
        return as_first if as_first or as_last else None

    def arranged(self, images: np.ndarray) -> np.ndarray:
        """Images (float32, NHWC) in its layout and of its type; what it cannot hold is rounded and cut."""
        batch = images.transpose(0, 3, 1, 2) if images.ndim == 4 and self.first(images.shape[1:]) else images
        if self.range is None:
            return np.ascontiguousarray(batch, self.dtype)
        bounds = np.iinfo(self.dtype)
        steps = np.rint(batch / self.scale) + self.zero if self.scale else np.rint(batch)
        return np.ascontiguousarray(np.clip(steps, bounds.min, bounds.max).astype(self.dtype))

    def words(self) -> str:
        """`1 x 3 x 224 x 224, float16`."""
        return f"{' x '.join('any' if size is None else str(size) for size in self.shape)}, {self.dtype}"


def _fits(dims: tuple[int | None, ...], sizes: tuple[int, ...]) -> bool:
    return len(dims) == len(sizes) and all(dim in (None, size) for dim, size in zip(dims, sizes, strict=True))
