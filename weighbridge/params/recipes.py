"""Preprocessing as data: `recipes` in `params.yaml`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from weighbridge.params.section import Count, Rate, Section


class Resize(Section):
    size: Count
    fit: Literal["squash", "short-side"] = "squash"
    interpolation: Literal["nearest", "nearest-exact", "bilinear", "bicubic", "lanczos", "area"] = "bilinear"
    antialias: bool = True
    library: Literal["pillow", "opencv", "tensorflow", "torch"] = "pillow"

    @model_validator(mode="after")
    def _is_one_that_the_library_has(self) -> "Resize":
        if self.library == "pillow" and self.antialias == (self.interpolation == "nearest"):
            raise ValueError("Pillow antialiases every interpolation but nearest: antialias must say so")
        if self.library == "opencv" and self.antialias != (self.interpolation == "area"):
            raise ValueError("OpenCV antialiases no interpolation but area: antialias must say so")
        if self.library != "torch" and self.interpolation == "nearest-exact":
            raise ValueError("nearest-exact is torch's; Pillow's nearest does the same")
        if self.library == "torch" and self.interpolation == "lanczos" and not self.antialias:
            raise ValueError("torch has lanczos with antialias only")
        return self


class Crop(Section):
    """The centre. A half pixel goes as `place` says; an image that is too small gets black edges if `pad` allows it."""

    size: Count
    place: Literal["round", "floor"] = "round"
    pad: bool = False


class Normalise(Section):
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[Rate], Field(min_length=3, max_length=3)]


class Recipe(Section):
    """Preprocessing as data; the steps are applied in the order of the fields."""

    decode: Literal["pillow", "tensorflow", "tensorflow-accurate", "opencv"] = "pillow"
    exif: Literal["honour", "ignore"] = "ignore"
    cmyk: Literal["convert", "refuse"] = "convert"
    colour: Literal["RGB"] = "RGB"
    resize: Resize | None = None
    crop: Crop | None = None
    scale: Literal["0..1", "times 1/255", "-1..1", "0..255"] = "0..1"
    normalise: Normalise | None = None
    channels: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16"] = "float32"


class Declaration(Section):
    """Weights that declare their own preprocessing: a torchvision weights enum's member, a timm tag, a Keras module ..."""

    framework: Literal["torchvision", "timm", "keras", "transformers"]
    architecture: str
    weights: str | None = None


class Published(Section):
    """The recipe that published weights declare; `preprocess` resolves it and writes the steps down."""

    published: Declaration


class TextRecipe(Section):
    """Tokenised text: token ids, cut at `length`, shorter ones padded on the right.

    Attributes:
        tokenizer: a `tokenizer.json`, or the folder that holds one.
        target: `label` keeps the manifest's labels; `last-token` asks a language model for each text's last token.
    """

    tokenizer: str
    length: Annotated[int, Field(ge=2)] = 128
    target: Literal["label", "last-token"] = "label"


def _kind_of_recipe(value: Any) -> str:
    kinds: dict[type, str] = {Recipe: "steps", Published: "published", TextRecipe: "text"}
    if type(value) in kinds:
        return kinds[type(value)]
    keys = value if isinstance(value, Mapping) else {}
    return "published" if "published" in keys else "text" if "tokenizer" in keys else "steps"


AnyRecipe = Annotated[
    Annotated[Recipe, Tag("steps")] | Annotated[Published, Tag("published")] | Annotated[TextRecipe, Tag("text")],
    Discriminator(_kind_of_recipe),
]
