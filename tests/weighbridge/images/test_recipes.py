"""Recipes give the bits of the libraries that they are named after."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.import_graph import ROOT
from tests.installed import needs
from tests.weighbridge.images.pictures import recipe as steps
from tracking.runs.errors import UserError
from weighbridge.images.decoders import ORIENTATION
from weighbridge.images.pixels import load_pixels
from weighbridge.images.recipes import empty_images, finish, scale_and_normalise
from weighbridge.params.recipes import Crop, Normalise, Recipe, Resize

PHOTOS = ROOT / "../shared/data/photos-imagenet-classes/images"
REAL = 3
IMAGENET = Normalise(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def resize(size: int = 64, **changes: object) -> Resize:
    values = {"size": size, "fit": "short-side", "interpolation": "bilinear", "antialias": True, "library": "pillow"}
    return Resize.model_validate({**values, **changes})


def crop(size: int = 48, **changes: object) -> Crop:
    return Crop.model_validate({"size": size, "place": "round", "pad": False, **changes})


def recipe(**changes: object) -> Recipe:
    return steps(**{"resize": resize(), "crop": crop(), **changes})


def prepared(path: Path, chosen: Recipe) -> np.ndarray:
    return scale_and_normalise(load_pixels(path, chosen), chosen)


def write_photo(path: Path, size: tuple[int, int]) -> Path:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    image.save(path, quality=90)
    return path


SIZES = [(97, 131), (131, 97), (64, 64), (65, 200)]


@pytest.fixture(params=SIZES, ids=str)
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_photo(tmp_path / "photo.jpg", request.param)


@pytest.fixture(params=["made up", *(f"photograph {number}" for number in range(REAL))])
def picture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One made up, or a real one, copied."""
    if request.param == "made up":
        return write_photo(tmp_path / "photo.jpg", (97, 131))
    if not PHOTOS.is_dir():
        pytest.skip("../shared/data/photos-imagenet-classes, which has real photographs, is absent")
    return real_photos(tmp_path)[int(request.param.rpartition(" ")[2])]


def real_photos(folder: Path) -> list[Path]:
    """Real ones, copied; none where they are absent."""
    chosen = sorted(PHOTOS.iterdir())[:REAL] if PHOTOS.is_dir() else []
    return [Path(shutil.copy(path, folder / path.name)) for path in chosen]


def plain(**changes: object) -> Recipe:
    """Pixels as they are."""
    return recipe(**{"resize": None, "crop": None, "scale": "0..255", "normalise": None, **changes})


# ---- torchvision


def test_short_side_crop_and_normalise_are_bit_identical_to_torchvision(photo: Path) -> None:
    pytest.importorskip("torch")
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    from torchvision import transforms as T

    wanted = [T.Resize(64), T.CenterCrop(48), T.ToTensor(), T.Normalize(IMAGENET.mean, IMAGENET.std)]
    with Image.open(photo) as image:
        theirs = T.Compose(wanted)(image.convert("RGB")).numpy().transpose(1, 2, 0)
    assert np.array_equal(prepared(photo, recipe()), theirs)
    if Image.open(photo).size != (64, 64):
        assert not np.array_equal(prepared(photo, recipe(resize=resize(fit="squash"))), theirs)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_tensors_are_resized_as_torchvision_does(photo: Path, interpolation: str, antialias: bool) -> None:
    torch = pytest.importorskip("torch")
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as F

    image = F.pil_to_tensor(Image.open(photo))
    theirs = F.resize(image, [64], InterpolationMode(interpolation), antialias=antialias)
    ours = load_pixels(
        photo, recipe(resize=resize(library="torch", interpolation=interpolation, antialias=antialias), crop=None)
    )
    assert torch.equal(torch.from_numpy(ours.transpose(2, 0, 1).copy()), theirs)


def test_a_crop_larger_than_the_image_is_padded_as_torchvision_pads(photo: Path) -> None:
    pytest.importorskip("torch")
    from weighbridge.process.torchvision_operators import define_missing_operators

    define_missing_operators()
    from torchvision import transforms as T

    theirs = np.asarray(T.Compose([T.Resize(64), T.CenterCrop(99)])(Image.open(photo)))
    assert np.array_equal(load_pixels(photo, recipe(crop=crop(99, pad=True))), theirs)
    assert (theirs[0] == 0).all() or (theirs[:, 0] == 0).all()


# ---- OpenCV and TensorFlow, which must not share a process with the models of other tests


def bits_by(code: str, *arguments: object) -> np.ndarray:
    """What `code` leaves in `found`, made in a process of its own."""
    script = f"import sys\nimport numpy as np\n{code}\nnp.save(sys.argv[-1], found)"
    target = Path(str(arguments[0])).with_suffix(".npy")
    command = [sys.executable, "-c", script, *map(str, arguments), str(target)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(target)


def test_opencv_decodes_and_resizes_as_it_does_by_itself(picture: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    theirs = cv2.cvtColor(cv2.imread(str(picture), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB)
    assert np.array_equal(load_pixels(picture, plain(decode="opencv")), theirs)
    flags = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
    for interpolation, flag in flags.items():
        chosen = resize(fit="squash", library="opencv", interpolation=interpolation, antialias=False)
        ours = load_pixels(picture, plain(decode="opencv", resize=chosen))
        assert np.array_equal(ours, cv2.resize(theirs, (64, 64), interpolation=flag))


BY_TENSORFLOW = """
from pathlib import Path
import tensorflow as tf
from weighbridge.images.pixels import load_pixels
from tests.weighbridge.images.test_recipes import plain, resize

recipes = [plain(decode=name) for name in ("tensorflow", "tensorflow-accurate")]
recipes += [plain(decode="tensorflow", resize=resize(fit="squash", library="tensorflow", interpolation=how, antialias=antialias))
            for how in ("nearest", "bilinear", "bicubic") for antialias in (True, False)]
theirs = []
for path in sys.argv[1:-1]:
    content = open(path, "rb").read()
    fast, exact = (tf.io.decode_jpeg(content, channels=3, dct_method=method) for method in ("", "INTEGER_ACCURATE"))
    sizes = [tf.image.resize(fast, (64, 64), method, antialias=antialias).numpy()
             for method in ("nearest", "bilinear", "bicubic") for antialias in (True, False)]
    theirs += [np.ravel(each) for each in (fast.numpy(), exact.numpy(), *sizes)]
ours = [np.ravel(load_pixels(Path(path), each)) for path in sys.argv[1:-1] for each in recipes]
found = np.stack([np.concatenate(each).astype(np.float32) for each in (theirs, ours)])
"""


@pytest.mark.slow
def test_tensorflow_decodes_and_resizes_as_it_does_by_itself(tmp_path: Path) -> None:
    needs("keras")
    photo = write_photo(tmp_path / "photo.jpg", (97, 131))
    photos = [photo, *real_photos(tmp_path)]
    theirs, ours = bits_by(BY_TENSORFLOW, *photos)
    assert np.array_equal(ours, theirs)
    exact = load_pixels(photo, plain()).astype(np.float32).ravel()
    assert not np.array_equal(theirs[: exact.size], exact)  # its fast decoder is another one than Pillow's
    assert np.array_equal(theirs[exact.size : 2 * exact.size], exact)  # its accurate one is not


# ---- the libraries' own pipelines, as published


CAFFE = {"mean": [123.68, 116.779, 103.939], "std": [1.0, 1.0, 1.0]}


MODES: dict[str, dict] = {
    "tf": {"scale": "-1..1", "normalise": None},
    "torch": {},
    "caffe": {"scale": "0..255", "channels": "BGR", "normalise": CAFFE},
}
KERAS = "import os; os.environ['KERAS_BACKEND'] = 'numpy'\n"


def test_arithmetic_is_bit_identical_to_keras(tmp_path: Path) -> None:
    needs("keras")
    photos = [write_photo(tmp_path / f"photo{number}.jpg", size) for number, size in enumerate(SIZES)]
    pixels = [load_pixels(photo, recipe(**MODES["tf"])) for photo in photos]
    np.save(tmp_path / "pixels.npy", np.stack(pixels))
    code = KERAS + (
        "from keras.applications.imagenet_utils import preprocess_input\n"
        "pixels = np.load(sys.argv[1]).astype('float32')\n"
        f"found = np.stack([preprocess_input(pixels.copy(), mode=mode) for mode in {list(MODES)}])"
    )
    theirs = bits_by(code, tmp_path / "pixels.npy")
    for mode, found in zip(MODES, theirs, strict=True):
        ours = np.stack([prepared(photo, recipe(**MODES[mode])) for photo in photos])
        assert np.array_equal(ours, found), mode


def test_keras_load_img_squashes_by_nearest_unless_told_otherwise(tmp_path: Path) -> None:
    needs("keras")
    pictures = [write_photo(tmp_path / "photo.jpg", (97, 131)), *real_photos(tmp_path)]
    code = KERAS + (
        "from keras.utils import img_to_array, load_img\n"
        "found = np.stack([img_to_array(load_img(path, target_size=(48, 48))) for path in sys.argv[1:-1]])"
    )
    nearest = resize(48, fit="squash", interpolation="nearest", antialias=False)
    ours = np.stack([prepared(picture, plain(resize=nearest)) for picture in pictures])
    assert np.array_equal(ours, bits_by(code, *pictures))


# ---- what the files bring along


def turned(tmp_path: Path, orientation: int) -> Path:
    path = tmp_path / f"turned-{orientation}.jpg"
    image = Image.open(write_photo(tmp_path / "upright.jpg", (30, 20)))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_exif_orientation_is_honoured_or_ignored_alike_by_every_library(
    library: str, orientation: int, tmp_path: Path
) -> None:
    if library == "opencv":
        pytest.importorskip("cv2")
    from PIL import ImageOps

    path = turned(tmp_path, orientation)
    stored = load_pixels(path, plain(decode=library))
    assert stored.shape == (20, 30, 3)
    upright = load_pixels(path, plain(decode=library, exif="honour"))
    shell = Image.fromarray(stored)
    shell.getexif()[ORIENTATION] = orientation
    assert np.array_equal(upright, np.asarray(ImageOps.exif_transpose(shell)))
    assert np.array_equal(upright, stored) == (orientation == 1)


def test_a_cmyk_image_is_converted_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "ink.jpg"
    Image.new("CMYK", (70, 70), (10, 200, 30, 5)).save(path)
    assert np.array_equal(load_pixels(path, plain()), np.asarray(Image.open(path).convert("RGB")))
    with pytest.raises(UserError, match=r"ink\.jpg: is a CMYK image"):
        load_pixels(path, plain(cmyk="refuse"))


@pytest.mark.parametrize("library", ["pillow", "opencv"])
def test_what_is_no_image_is_named(library: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8 no image")
    with pytest.raises(UserError, match=r"broken\.jpg: cannot be decoded as an image by"):
        load_pixels(path, plain(decode=library))


def test_grey_and_transparent_images_become_three_channels(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "P", "1", "CMYK"):
        path = tmp_path / f"{mode}.tif"
        Image.new(mode, (70, 70)).save(path)
        assert load_pixels(path, recipe()).shape == (48, 48, 3)


# ---- steps of its own


def test_bgr_reverses_the_channels(photo: Path) -> None:
    assert np.array_equal(prepared(photo, plain(channels="BGR")), prepared(photo, plain())[..., ::-1])


def test_half_precision_rounds_the_finished_image(photo: Path) -> None:
    half, single = prepared(photo, recipe(dtype="float16")), prepared(photo, recipe())
    assert half.dtype == np.float32
    assert np.array_equal(half, single.astype(np.float16).astype(np.float32))
    assert not np.array_equal(half, single)


def test_a_half_pixel_of_the_crop_goes_as_the_recipe_says(tmp_path: Path) -> None:
    path = tmp_path / "row.png"
    Image.fromarray(np.arange(7, dtype=np.uint8)[None, :, None] * np.ones((7, 1, 3), np.uint8)).save(path)
    first = {place: load_pixels(path, plain(crop=crop(4, place=place)))[0, 0, 0] for place in ("round", "floor")}
    assert first == {"round": 2, "floor": 1}


def test_a_crop_larger_than_the_image_is_refused_unless_padding_is_allowed(photo: Path) -> None:
    with pytest.raises(UserError, match=r"photo\.jpg: is .* when it comes to a crop of 65"):
        load_pixels(photo, recipe(crop=crop(65), resize=resize(fit="squash")))


@pytest.mark.parametrize(
    "changes", [{}, {"channels": "BGR"}, {"scale": "-1..1", "normalise": None}, {"dtype": "float16"}]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_neither_layout_nor_how_many_are_finished_at_once_moves_a_bit(changes: dict[str, object], dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 40, 31, 3)).astype(dtype)
    one_by_one = np.stack([scale_and_normalise(image, recipe(**changes)) for image in pixels])
    for planes in (False, True):
        images = empty_images(pixels.shape, planes=planes)
        finish(pixels, recipe(**changes), images)
        assert np.array_equal(images, one_by_one)


def test_finishing_leaves_the_pixels_as_they_were(photo: Path) -> None:
    pixels = load_pixels(photo, recipe()).copy()
    before = pixels.copy()
    scale_and_normalise(pixels, recipe())
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize(
    ("library", "interpolation", "antialias"),
    [
        ("pillow", "bilinear", False),
        ("pillow", "nearest", True),
        ("opencv", "bilinear", True),
        ("torch", "lanczos", False),
    ],
)
def test_a_step_that_the_library_does_not_have_is_refused(library: str, interpolation: str, antialias: bool) -> None:
    with pytest.raises(ValueError, match="antialias"):
        resize(library=library, interpolation=interpolation, antialias=antialias)
