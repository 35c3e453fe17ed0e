"""A hundred images spoilt in a hundred ways among a hundred good ones: weighed rightly, or named; the good ones as before."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

from stages.fetch import fetch
from stages.preprocess import preprocess
from tests.weighbridge.images.pictures import recipe
from tracking.runs.findings import Verdict
from weighbridge.images.judging import judge_images
from weighbridge.images.listing import plain
from weighbridge.images.manifest import refused
from weighbridge.images.opening import ORIENTATION
from weighbridge.images.samples import SampleSet
from weighbridge.params.data import Data

CLASSES, SIZE = 4, 16
PLAIN = recipe(resize={"size": SIZE}, scale="0..255", normalise=None)


def level(label: int) -> int:
    return 30 + 60 * label


def colour(label: int, mode: str = "RGB") -> Image.Image:
    return Image.new("L", (SIZE, SIZE), level(label)).convert(mode)


def encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    with BytesIO() as file:
        image.save(file, kind, **how)
        return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def deep(label: int, kind: type, factor: float) -> Image.Image:
    return Image.fromarray(np.full((SIZE, SIZE), level(label) * factor).astype(kind))


def right(label: int) -> Iterator[tuple[str, bytes]]:
    """Unusual, and every pixel is there."""
    grey = colour(label)
    kinds = {
        "png": "PNG", "jpg": "JPEG", "jfif": "JPEG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF", "ppm": "PPM",
        "jp2": "JPEG2000", "avif": "AVIF", "tga": "TGA", "pcx": "PCX", "sgi": "SGI", "ico": "ICO", "qoi": "QOI", "dib": "DIB",
        "im": "IM", "dds": "DDS", "icns": "ICNS",
    }  # fmt: skip
    for suffix, kind in kinds.items():
        yield f"kind.{suffix}", encoded(grey, kind)
    yield from (
        (f"suffix-{name}", encoded(grey, "PNG"))
        for name in (
            "none",
            "is.txt",
            "is.JPG",
            "ä.png",
            "x,y.png",
            "new\nline.png",
            "~.png",
            "is.jpeg",
            "is.",
            "a b.png",
        )
    )
    for mode in ("1", "L", "P", "RGBA", "LA"):
        yield f"mode-{mode}.png", encoded(colour(label, mode) if mode != "1" else colour(label), "PNG")
    for mode in ("CMYK", "YCbCr", "L", "RGBA"):
        yield f"mode-{mode}.tif", encoded(colour(label, mode), "TIFF")
    yield "mode-CMYK.jpg", encoded(colour(label, "CMYK"), "JPEG", quality=100)
    yield "deep.png", encoded(deep(label, np.uint16, 256), "PNG")
    yield "deep.tif", encoded(deep(label, np.uint16, 256), "TIFF")
    yield "deep.pgm", encoded(deep(label, np.uint16, 256), "PPM")
    yield "progressive.jpg", encoded(grey, "JPEG", progressive=True, quality=20)
    yield "grey.jpg", encoded(colour(label, "L"), "JPEG")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"{compression}.tif", encoded(grey, "TIFF", compression=compression)
    for orientation in (0, 3, 6, 9):
        yield f"turned-{orientation}.jpg", encoded(grey, "JPEG", exif=turned(orientation))
    for quality in (1, 5, 95):
        yield f"quality-{quality}.jpg", encoded(grey, "JPEG", quality=quality)
        yield f"quality-{quality}.webp", encoded(grey, "WEBP", quality=quality)
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        yield f"sampling-{sampling[::2]}.jpg", encoded(grey, "JPEG", subsampling=sampling)
    yield "exif-broken.png", encoded(grey, "PNG", exif=b"\x00\x08\x00\x02\x01\x12\x00\x03")
    yield "exif-broken.jpg", encoded(grey, "JPEG", exif=b"Exif\x00\x00MM")
    yield (
        "profile.png",
        encoded(grey, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    )
    yield "profile-broken.jpg", encoded(grey, "JPEG", icc_profile=b"none")
    yield "hidden.png", encoded(Image.merge("RGBA", [*grey.split(), Image.new("L", grey.size, 0)]), "PNG")
    yield "film.gif", encoded(grey, "GIF", save_all=True, append_images=[Image.new("RGB", grey.size)])
    yield "pages.tif", encoded(grey, "TIFF", save_all=True, append_images=[Image.new("RGB", grey.size)])
    yield "trailing.jpg", encoded(grey, "JPEG") + b"more"


def wrong(label: int) -> Iterator[tuple[str, bytes]]:
    """No image, or a damaged one."""
    assert label < CLASSES
    noise = Image.effect_noise((SIZE, SIZE), 90).convert("RGB")
    for suffix, kind in {
        "png": "PNG",
        "jpg": "JPEG",
        "webp": "WEBP",
        "tif": "TIFF",
        "bmp": "BMP",
        "avif": "AVIF",
        "jp2": "JPEG2000",
    }.items():
        whole = encoded(noise, kind)
        yield f"half.{suffix}", whole[: len(whole) // 2]
        yield f"head.{suffix}", whole[:20]
    for name in ("empty.png", "empty.jpg", "empty"):
        yield name, b""
    yield "page.jpg", b"<!DOCTYPE html><html>404</html>"
    yield "text.png", b"version https://git-lfs.github.com/spec/v1\n"
    yield "zeros.jpg", bytes(500)
    yield "notes.txt", b"notes"
    yield "labels.csv", b"a,b\n"
    yield "array.npy", b"\x93NUMPY" + bytes(100)
    yield "x-ray.dcm", bytes(128) + b"DICM" + bytes(50)
    yield "photo.heic", b"\0\0\0\x18ftypheic" + bytes(100)
    yield "paper.pdf", b"%PDF-1.7"
    yield "program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    yield "volume.h5", b"\x89HDF\r\n\x1a\n" + bytes(100)
    yield "archive.zip", b"PK\x03\x04" + bytes(50)
    yield "film.mp4", b"\0\0\0\x18ftypmp42" + bytes(50)
    yield "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"


def odd(label: int) -> Iterator[tuple[str, bytes]]:
    """Images that the recipe refuses: they have no high byte, or no way to RGB."""
    yield "float.tif", encoded(deep(label, np.float32, 1 / 255), "TIFF")
    yield "int.tif", encoded(deep(label, np.int32, 1000), "TIFF")
    yield "lab.tif", encoded(colour(label, "LAB"), "TIFF")


def spoilt(folder: Path, kinds: list[Callable[[int], Iterator[tuple[str, bytes]]]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for kind in kinds:
        for index, (name, content) in enumerate(kind(0)):
            label = index % CLASSES
            content = list(kind(label))[index][1]
            found[f"test/{label}/{kind.__name__}-{name}"] = content
    for name, content in found.items():
        path = folder / name.removeprefix("test/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return found


def good(folder: Path, count: int) -> None:
    for index in range(count):
        path = folder / str(index % CLASSES) / f"good-{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = colour(index % CLASSES)
        image.putpixel((0, 0), (index, index, index))
        image.save(path)


def accuracy(samples: SampleSet) -> pd.Series:
    """Whether an oracle that knows each class's level of grey is right, by name."""
    means = samples.inputs.reshape(len(samples), -1).mean(axis=1)
    return pd.Series(np.rint((means - level(0)) / 60) == samples.labels, index=samples.names)


@pytest.mark.filterwarnings("ignore")
def test_every_spoilt_image_is_weighed_rightly_or_named(tmp_path: Path) -> None:
    good(tmp_path / "s", 100)
    names = spoilt(tmp_path / "s", [right, wrong, odd])
    assert len(names) >= 100
    data = Data(source=str(tmp_path / "s"), classes=CLASSES, corrupt="skip")
    manifest, left = fetch(tmp_path / "s", data, tmp_path / "images")
    listed, _ = preprocess(tmp_path / "images", manifest, PLAIN, tmp_path / "prepared", "skip")
    SampleSet.describe(tmp_path / "prepared", listed, [], PLAIN)
    found = accuracy(SampleSet.load(tmp_path / "prepared"))
    everything = [*left, *refused(tmp_path / "prepared")]
    left_out = {each.name for each in everything}
    assert {*found.index, *left_out} >= {plain(name) for name in names}
    assert left_out.isdisjoint(found.index)
    assert all(each.reason for each in everything)
    assert found[found.index.str.contains("good-")].sum() == 100
    assert not [name for name, is_right in found.items() if not is_right]
    assert not [name for name in names if "/right-" in name and plain(name) not in found.index]
    assert not [name for name in names if "/right-" not in name and name in found.index]
    sentence = next(judge_images("m", manifest, everything)).sentence
    assert sentence.startswith(f"{len(found)} test images were weighed")
    assert next(judge_images("m", manifest, everything)).verdict is Verdict.WARN
