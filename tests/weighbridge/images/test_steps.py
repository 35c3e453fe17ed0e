"""What a recipe does with depth, transparency, orientation, profiles, channels and shapes: said, and by no decoder on its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from pydantic import ValidationError

from tests.weighbridge.images.pictures import recipe as steps
from tracking.runs.errors import UserError
from weighbridge.images.opening import ORIENTATION, UNREADABLE, NoImageError, inspect
from weighbridge.images.pixels import load_pixels
from weighbridge.images.recipes import scale_and_normalise
from weighbridge.params.recipes import Recipe

LIBRARIES = ["pillow", "opencv"]
COLOURS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
RAMP = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + np.uint16(77)


def plain(**changes: Any) -> Recipe:
    return steps(**{"resize": None, "crop": None, "scale": "0..255", "normalise": None, **changes})


def saved(path: Path, pixels: np.ndarray | Image.Image, **how: Any) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **how)
    return path


def needed(library: str) -> None:
    if library == "opencv":
        pytest.importorskip("cv2")


# ---- depth


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "grey.pgm"])
def test_of_16_bits_the_high_byte_is_taken(name: str, library: str, tmp_path: Path) -> None:
    needed(library)
    path = saved(tmp_path / name, RAMP)
    pixels = load_pixels(path, plain(decode=library))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[..., 0], RAMP >> 8)
    assert len(np.unique(pixels)) == 256
    assert pixels.mean() == 127.5
    assert inspect(path).depth == 16


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bits_are_refused_by_name_or_spread_by_a_range(kind: type, tmp_path: Path) -> None:
    path = saved(tmp_path / "deep.tif", RAMP.astype(kind))
    assert inspect(path).mode == ("I" if kind is np.int32 else "F")
    assert inspect(path).depth == 32
    with pytest.raises(UserError, match=r"deep\.tif: its samples are .*, 77 to 65357: .* set depth in its recipe"):
        load_pixels(path, plain())
    spread = load_pixels(path, plain(depth=[0, 65535]))[..., 0]
    assert np.array_equal(spread, np.rint(RAMP.astype(float) / 257))
    assert np.array_equal(load_pixels(path, plain(depth="clip"))[..., 0], np.minimum(RAMP, 255))


def test_a_range_is_spread_and_cut_and_what_is_no_number_is_black(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.tif", np.asarray([[-1, 0, 0.5, 1, 2, np.nan, np.inf]], np.float32))
    assert load_pixels(path, plain(depth=[0, 1]))[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0, 255]
    path = saved(tmp_path / "twelve.png", np.asarray([[0, 1023, 4095]], np.uint16))
    assert load_pixels(path, plain(depth=[0, 4095]))[0, :, 0].tolist() == [0, 64, 255]
    with pytest.raises(ValidationError, match="a range rises"):
        plain(depth=[1, 0])


def test_depth_may_be_refused_and_8_bits_are_never_touched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has samples of 16 bits; set depth"):
        load_pixels(saved(tmp_path / "grey.png", RAMP), plain(depth="refuse"))
    path = saved(tmp_path / "c.png", COLOURS)
    for depth in ("high-byte", "clip", "refuse", [0, 1]):
        assert np.array_equal(load_pixels(path, plain(depth=depth)), COLOURS)


def test_deep_colour_is_read_by_its_high_byte_or_by_who_can(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    deep = np.random.default_rng(0).integers(0, 65536, (6, 9, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "c.png"), deep[..., ::-1])
    assert inspect(tmp_path / "c.png").depth == 16
    for library in LIBRARIES:
        assert np.array_equal(load_pixels(tmp_path / "c.png", plain(decode=library)), deep >> 8)
    with pytest.raises(UserError, match="of 16-bit colour Pillow reads 8 bits; decode it by opencv"):
        load_pixels(tmp_path / "c.png", plain(depth=[0, 65535]))
    spread = load_pixels(tmp_path / "c.png", plain(depth=[0, 65535], decode="opencv"))
    assert np.array_equal(spread, np.rint(deep / 257.0))


# ---- orientation

FORMATS: list[tuple[str, str, dict[str, Any]]] = [
    ("png", "RGB", {}),
    ("webp", "RGB", {"lossless": True}),
    ("tif", "RGB", {}),
    ("tif", "RGB", {"compression": "tiff_lzw"}),
    ("tif", "L", {}),
    ("tif", "I;16", {}),
    ("tif", "I;16", {"compression": "tiff_lzw"}),
]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("suffix", "mode", "how"), FORMATS, ids=lambda value: str(value))
def test_no_library_turns_an_image_by_itself(
    suffix: str, mode: str, how: dict[str, Any], library: str, tmp_path: Path
) -> None:
    needed(library)
    stored = {"RGB": COLOURS, "L": COLOURS[..., 0], "I;16": COLOURS[..., 0].astype(np.uint16) << 8}[mode]
    wanted = Image.fromarray(COLOURS if mode == "RGB" else COLOURS[..., 0]).convert("RGB")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        path = saved(tmp_path / f"{orientation}.{suffix}", stored, exif=exif, **how)
        assert np.array_equal(load_pixels(path, plain(decode=library, exif="ignore")), wanted)
        wanted.getexif()[ORIENTATION] = orientation
        upright = np.asarray(ImageOps.exif_transpose(wanted))
        assert np.array_equal(load_pixels(path, plain(decode=library, exif="honour")), upright)
        assert inspect(path).orientation == orientation


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("exif", "words"),
    [
        (b"Exif\x00\x00\x00\x08\x00\x02\x01\x12\x00\x03", "unreadable"),
        (b"Exif\x00\x00MM\x00", "unreadable"),
        (0, "invalid 0"),
        (9, "invalid 9"),
        (1, "upright"),
    ],
)
def test_a_broken_block_or_a_number_without_meaning_counts_as_upright_and_is_noted(
    exif: bytes | int, words: str, library: str, tmp_path: Path
) -> None:
    needed(library)
    block: Any = exif
    if isinstance(exif, int):
        block = Image.Exif()
        block[ORIENTATION] = exif
    for path in (
        saved(tmp_path / "a.png", COLOURS, exif=block),
        saved(tmp_path / "b.jpg", COLOURS, exif=block, quality=100, subsampling=0),
    ):
        assert inspect(path).exif == words
        ignored, honoured = (load_pixels(path, plain(decode=library, exif=how)) for how in ("ignore", "honour"))
        assert np.array_equal(ignored, honoured)
        assert ignored.shape == COLOURS.shape


# ---- transparency and profiles


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_transparent_shows_its_hidden_colour_or_a_background(library: str, tmp_path: Path) -> None:
    needed(library)
    alpha = np.full((6, 9), 255, np.uint8)
    alpha[:, :4] = 0
    path = saved(tmp_path / "a.png", np.dstack([COLOURS, alpha]))
    assert np.array_equal(load_pixels(path, plain(decode=library)), COLOURS)
    for name, level in (("white", 255), ("black", 0)):
        pixels = load_pixels(path, plain(decode=library, alpha=name))
        assert (pixels[:, :4] == level).all()
        assert np.array_equal(pixels[:, 4:], COLOURS[:, 4:])
    with pytest.raises(UserError, match="has transparency; set alpha in its recipe to drop, white or black"):
        load_pixels(path, plain(decode=library, alpha="refuse"))
    assert inspect(path).alpha == "transparent"


@pytest.mark.parametrize(
    ("mode", "how"), [("P", {"transparency": 0}), ("LA", {}), ("RGB", {"transparency": (9, 9, 9)})]
)
def test_transparency_is_found_in_every_form(mode: str, how: dict[str, Any], tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (9, 9, 9))
    path = saved(tmp_path / "a.png", image.quantize(2) if mode == "P" else image.convert(mode), **how)
    if mode == "LA":
        saved(path, Image.merge("LA", [Image.new("L", (4, 4), 9), Image.new("L", (4, 4), 0)]))
    assert inspect(path).alpha == "transparent"
    assert (load_pixels(path, plain()) == 9).all()
    assert (load_pixels(path, plain(alpha="white")) == 255).all()


def test_a_library_that_rescales_what_is_transparent_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    path = saved(tmp_path / "a.tif", np.dstack([COLOURS, COLOURS[..., :1]]))
    with pytest.raises(UserError, match="opencv changes the colours of a transparent TIFF file; decode it by pillow"):
        load_pixels(path, plain(decode="opencv"))
    assert np.array_equal(load_pixels(path, plain()), COLOURS)


def test_a_profile_is_ignored_or_converted_and_named(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = saved(tmp_path / "a.png", COLOURS, icc_profile=profile)
    assert inspect(path).profile == "sRGB built-in"
    assert np.array_equal(load_pixels(path, plain()), COLOURS)
    converted = load_pixels(path, plain(profile="sRGB"))
    assert np.abs(converted.astype(int) - COLOURS).max() <= 1
    broken = saved(tmp_path / "b.png", COLOURS, icc_profile=b"no profile")
    assert inspect(broken).profile == "unreadable"
    assert np.array_equal(load_pixels(broken, plain()), COLOURS)
    with pytest.raises(UserError, match=r"b\.png: its colour profile cannot be used"):
        load_pixels(broken, plain(profile="sRGB"))
    assert np.array_equal(load_pixels(saved(tmp_path / "c.png", COLOURS), plain(profile="sRGB")), COLOURS)


# ---- channels and shapes


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_channel_goes_through_every_step(library: str, tmp_path: Path) -> None:
    needed(library)
    path = saved(tmp_path / "a.png", COLOURS)
    own = {"resize": {"size": 4, "library": library, "antialias": library == "pillow"}, "scale": "0..1"}
    grey = plain(decode=library, colour="grey", normalise={"mean": [0.5], "std": [0.25]}, **own)
    pixels = load_pixels(path, grey)
    assert pixels.shape == (4, 4, 1)
    assert np.allclose(scale_and_normalise(pixels[None], grey), (pixels[None] / 255 - 0.5) / 0.25, atol=1e-6)
    unresized = load_pixels(path, plain(decode=library, colour="grey"))[..., 0]
    assert np.abs(unresized.astype(int) - np.asarray(Image.fromarray(COLOURS).convert("L"))).max() <= 1
    assert np.array_equal(
        load_pixels(saved(tmp_path / "l.png", COLOURS[..., 0]), plain(colour="grey"))[..., 0], COLOURS[..., 0]
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "grey", "channels": "BGR"}, "one channel has no order"),
        ({"colour": "grey", "normalise": {"mean": [0, 0, 0], "std": [1, 1, 1]}}, "colour grey has 1 channels"),
        ({"normalise": {"mean": [0], "std": [1]}}, "colour RGB has 3 channels"),
        ({"resize": {"size": [4, 8], "fit": "short-side"}}, "short-side takes one number"),
        ({"crop": {"size": 4, "share": 0.5}}, "a size in pixels or a share"),
        ({"crop": {"place": "floor"}}, "a size in pixels or a share"),
        ({"crop": {"share": 1.5}}, "less than or equal to 1"),
    ],
)
def test_steps_that_do_not_fit_together_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        plain(**changes)


def test_images_need_not_be_square(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(COLOURS).resize((300, 200)))
    resized = load_pixels(path, plain(resize={"size": [256, 128]}))
    assert np.array_equal(resized, Image.open(path).resize((128, 256), Image.Resampling.BILINEAR))
    cropped = load_pixels(path, plain(crop={"size": [100, 200]}))
    assert np.array_equal(cropped, np.asarray(Image.open(path))[50:150, 50:250])
    with pytest.raises(UserError, match="is 300 x 200 when it comes to a crop of 128 x 256"):
        load_pixels(path, plain(crop={"size": [256, 128]}))


def test_a_share_may_be_cut_out_before_resizing_as_tf_slim_does(tmp_path: Path) -> None:
    """The indices are those of tf.image.central_crop: int((length - length * share) / 2) from either edge."""
    path = saved(tmp_path / "a.png", Image.fromarray(COLOURS).resize((301, 200)))
    whole = np.asarray(Image.open(path))
    inside = whole[12:188, 18:283]
    first = plain(crop_first={"share": 0.875}, resize={"size": 224, "library": "torch", "antialias": False})
    after = plain(crop={"share": 0.875})
    assert np.array_equal(load_pixels(path, after), inside)
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(inside.transpose(2, 0, 1)[None].astype(np.float32))
    wanted = torch.nn.functional.interpolate(tensor, (224, 224), mode="bilinear")[0].numpy().transpose(1, 2, 0)
    found = load_pixels(path, first)
    assert found.shape == (224, 224, 3)
    assert np.abs(found - wanted).max() <= 1
    outside = load_pixels(path, plain(resize={"size": 224}, crop={"share": 0.875}))
    assert outside.shape == (196, 196, 3)


@pytest.mark.parametrize(
    ("suffix", "how"), [("png", {}), ("jpg", {"quality": 90}), ("bmp", {}), ("webp", {}), ("tif", {})]
)
def test_of_ordinary_images_the_new_steps_change_no_bit(suffix: str, how: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS).resize((90, 60)), **how)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("RGB"))
    for changes in ({}, {"alpha": "white"}, {"profile": "sRGB"}, {"depth": [0, 9]}, {"exif": "honour"}):
        assert np.array_equal(load_pixels(path, plain(**changes)), wanted)


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"subsampling": 0}], ids=["plain", "progressive", "4:4:4"])
def test_a_jpeg_is_found_damaged_where_decoding_all_of_it_would_fail(how: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(path, quality=90, **how)
    whole, damaged = path.read_bytes(), 0
    for cut in range(2, len(whole) + 1, len(whole) // 25):
        path.write_bytes(whole[:cut])
        found = []
        for look in (inspect, lambda each: Image.open(each).load()):
            try:
                look(path)
                found.append("")
            except UNREADABLE as problem:
                found.append(str(problem))
            except NoImageError:
                found.append("none")
        damaged += bool(found[0])
        assert bool(found[0]) == bool(found[1])
    assert damaged > 0
