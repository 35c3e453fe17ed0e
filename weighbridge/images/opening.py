"""An image file opened by its content, whatever its name, and what it says of itself."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin, UnidentifiedImageError

from tracking.runs.errors import UserError

# Pillow's formats that hold pixels. Left out are those that run a program (EPS), and stubs that only know a file's kind.
FORMATS = (
    "PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "DIB", "PSD", "QOI", "ICO", "CUR", "ICNS", "PCX",
    "SGI", "DDS", "SUN", "FITS", "FLI", "XBM", "XPM", "IM", "MSP", "SPIDER", "PIXAR", "TGA",
)  # fmt: skip
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
              Image.DecompressionBombError)  # fmt: skip
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
UPRIGHT = 1
JPEG = b"\xff\xd8"  # how such a file begins
LARGEST = 8 * 2 * 89_478_485  # bytes: the largest image that Pillow opens, of four channels of 16 bits
_DEPTH_IN_HEAD = ("PNG", "PPM", "JPEG2000", "AVIF", "SGI")
RGB_FROM = {"1", "L", "P", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LA", "La", "PA", "I", "F"}
_KINDS = (
    (4, b"ftyphei", "a HEIC photograph"),
    (4, b"ftypmif1", "a HEIC photograph"),
    (128, b"DICM", "a DICOM file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript program"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript program"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (4, b"ftyp", "a film"),
    (0, b"\x1aE\xdf\xa3", "a film"),
)


class NoImageError(UserError):
    """The content is no image that Pillow knows; the message says what it is, if that can be told."""


@dataclass(frozen=True)
class Stored:
    """How an image is stored.

    Attributes:
        format, mode: Pillow's words, `JPEG` and `RGB`.
        depth: bits of one sample, as the file has them; Pillow may hold fewer.
        orientation: the EXIF orientation, 1 to 8; 1 where the block is absent, unreadable or holds another number.
        exif: `upright`, `turned 6`, `unreadable`, `invalid 0`.
        alpha: `none`, `opaque` or `transparent`.
        profile: the description of the colour profile; `none`, or `unreadable`.
        frames: how many images the file holds; the first is taken.
        highest: the largest value, where it needs more than 8 bits.
        jpeg_step: the mean of a JPEG's luminance quantisation table (ITU T.81), from 1; the larger, the more was lost.
        jpeg_sampling: of its colours, `4:2:0`; empty for other formats and for grey.
    """

    format: str
    mode: str
    depth: int
    orientation: int
    exif: str
    alpha: str
    profile: str
    frames: int
    highest: float | None
    jpeg_step: float | None
    jpeg_sampling: str


@contextmanager
def open_image(path: Path, content: bytes = b"") -> Iterator[Image.Image]:
    """The image at `path`, its first frame, not yet decoded; a JPEG out of `content`, where that was read already.

    Raises:
        NoImageError: its content is no image.
    """
    read = content.startswith(JPEG)  # TIFFs are read otherwise out of memory
    # given a name, Pillow maps some files into memory, and garbles turned TIFFs (13.0)
    with BytesIO(content) if read else path.open("rb") as file:
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError as problem:
            raise NoImageError(f"is {_kind(path)}, which Pillow does not read as an image") from problem
        with image:
            yield image


def read_image(path: Path) -> bytes:
    """The content of an image file; of a larger one than an image can be, nothing is read.

    Raises:
        NoImageError: it is such a file, and no image.
        ValueError: it is one, and claims to be an image.
    """
    if (size := path.stat().st_size) > LARGEST:
        with open_image(path):
            raise ValueError(f"has {size:,} bytes, more than any image that Pillow opens")
    return path.read_bytes()


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "empty"
    known = (words for offset, magic, words in _KINDS if head[offset:].startswith(magic))
    text = "text" if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head) else "a file"
    return next(known, f"{text} that begins with {head[:8]!r}")


def is_of_another_kind(path: Path) -> bool:
    """Whether the content is known to be something else than a damaged image: an array, a document, a film."""
    return any(_kind(path) == words for _, _, words in _KINDS)


def inspect(path: Path, content: bytes = b"") -> Stored:
    """How the image at `path` is stored; it is decoded, to see that it can be. `content`: of the file, if it was read already.

    Raises:
        NoImageError: its content is no image.
        OSError, ValueError ... (`UNREADABLE`): it cannot be decoded.
    """
    with open_image(path, content) as image:
        frames, (orientation, exif) = int(getattr(image, "n_frames", 1)), orientation_of(image)
        depth, steps = depth_of(image, path), getattr(image, "quantization", {}).get(0)
        image.draft(None, (1, 1))  # every coefficient of a JPEG is read, but few pixels are made of them
        image.load()
        if not is_deep(image) and image.mode not in RGB_FROM:
            raise ValueError(f"its colour mode {image.mode} cannot be turned into RGB; convert the file")
        return Stored(
            format=str(image.format),
            mode=image.mode,
            depth=depth,
            orientation=orientation,
            exif=exif,
            alpha=_alpha(image),
            profile=_profile(image),
            frames=frames,
            highest=_highest(np.asarray(image)) if is_deep(image) else None,
            jpeg_step=None if steps is None else round(sum(steps) / len(steps), 3),
            jpeg_sampling=_sampling(image),
        )


def is_image(path: Path) -> bool:
    """Whether the content says that it is an image, whole or not."""
    try:
        with open_image(path):
            return True
    except NoImageError:
        return False
    except UNREADABLE:
        return True


def is_deep(image: Image.Image) -> bool:
    """Whether a sample has more than 8 bits in Pillow's hands: 16 or 32, or a float."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def orientation_of(image: Image.Image) -> tuple[int, str]:
    """The EXIF orientation, and a word for it; a damaged block counts as upright, as does a number without a meaning."""
    try:
        said = image.getexif()
        if not said and image.info.get("exif"):
            said = Image.Exif()  # of a JPEG, Pillow has tried already, and kept what went wrong to itself
            said.load(image.info["exif"])
        found = int(said.get(ORIENTATION, UPRIGHT))
    except Exception:  # noqa: BLE001 -- whatever a damaged block makes of Pillow's reader
        return UPRIGHT, "unreadable"
    if found == UPRIGHT:
        return UPRIGHT, "upright"
    return (found, f"turned {found}") if 2 <= found <= 8 else (UPRIGHT, f"invalid {found}")


def has_alpha(image: Image.Image) -> bool:
    """Whether it has a channel, a colour or palette entries that say how opaque pixels are."""
    return bool(image.has_transparency_data)


def _alpha(image: Image.Image) -> str:
    if not has_alpha(image) or is_deep(image):
        return "none"
    return "transparent" if np.asarray(with_alpha(image).getchannel("A")).min() < 255 else "opaque"


def with_alpha(image: Image.Image) -> Image.Image:
    """The image as RGBA."""
    return image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")


def _profile(image: Image.Image) -> str:
    content = image.info.get("icc_profile")
    if not content:
        return "sRGB (PNG)" if "srgb" in image.info else "none"
    try:
        said = ImageCms.getProfileDescription(open_profile(content))
    except (ImageCms.PyCMSError, *UNREADABLE):
        return "unreadable"
    return "".join(filter(str.isprintable, said)).strip()[:60] or "unnamed"


def open_profile(content: bytes) -> ImageCms.ImageCmsProfile:
    """A colour profile, as littlecms reads it."""
    return ImageCms.ImageCmsProfile(BytesIO(content))


def _highest(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else None


def _sampling(image: Image.Image) -> str:
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or len(image.layer) < 3:
        return ""
    return {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(JpegImagePlugin.get_sampling(image), "other")


def depth_of(image: Image.Image, path: Path) -> int:
    """Bits of one sample, as the file's header says; where it says nothing, as Pillow holds them."""
    head = b""
    if image.format in _DEPTH_IN_HEAD:
        with path.open("rb") as file:
            head = file.read(4096)
    if image.format == "PNG":
        return head[24]
    if image.format == "TIFF":
        return int(max(np.atleast_1d(image.tag_v2.get(258, 1))))  # type: ignore[attr-defined]
    if image.format == "PPM" and (
        found := re.match(rb"P[2356]\s+(?:#.*\s+)*\d+\s+(?:#.*\s+)*\d+\s+(?:#.*\s+)*(\d+)", head)
    ):
        return int(found[1]).bit_length()
    if image.format == "JPEG2000":
        box = head.find(b"ihdr")
        return (head[box + 14 if box >= 0 else 42] & 0x7F) + 1
    if image.format == "AVIF" and (box := head.find(b"pixi")) >= 0:
        return head[box + 9]
    if image.format == "SGI":
        return 8 * head[3]
    return {"1": 1, "I": 32, "F": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)
