"""Preprocessing as data: `recipes` in `params.yaml`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from weighbridge.params.prompts import ASKED, Prompt
from weighbridge.params.section import Count, Rate, Section

Side = Count | Annotated[list[Count], Field(min_length=2, max_length=2)]  # pixels; height and width where they differ


def both_sides(size: int | list[int]) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class Resize(Section):
    size: Side
    fit: Literal["squash", "short-side"] = "squash"
    interpolation: Literal["nearest", "nearest-exact", "bilinear", "bicubic", "lanczos", "area"] = "bilinear"
    antialias: bool = True
    library: Literal["pillow", "opencv", "tensorflow", "torch"] = "pillow"

    @model_validator(mode="after")
    def _is_one_that_the_library_has(self) -> "Resize":
        if self.fit == "short-side" and not isinstance(self.size, int):
            raise ValueError("short-side takes one number; with height and width fit must be squash")
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
    """The centre: so many pixels, or a share of each side (as `tf.image.central_crop` takes it).

    Of pixels a half goes as `place` says; an image that is too small gets black edges if `pad` allows it.
    """

    size: Side | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    place: Literal["round", "floor"] = "round"
    pad: bool = False

    @model_validator(mode="after")
    def _says_how_much(self) -> "Crop":
        if (self.size is None) == (self.share is None):
            raise ValueError("a crop has a size in pixels or a share of each side, one of the two")
        return self


class Normalise(Section):
    mean: Annotated[list[float], Field(min_length=1, max_length=3)]
    std: Annotated[list[Rate], Field(min_length=1, max_length=3)]


class Recipe(Section):
    """Preprocessing as data; the steps are applied in the order of the fields.

    Attributes:
        exif: whether the image is turned as its EXIF data say.
        alpha: transparency is dropped, and the colours behind it come out; or the image is laid on white or black; or refused.
        profile: a colour profile is ignored, or the colours are converted to sRGB.
        depth: what becomes of samples of more than 8 bits: their high byte; cut at 255; refused; or a range [low, high] that is
            spread over 0..255. A high byte is defined for 16 bits only; integers of 32 and floating-point numbers need a range.
        colour: three channels, or one.
        crop_first: a crop before resizing.
    """

    decode: Literal["pillow", "tensorflow", "tensorflow-accurate", "opencv"] = "pillow"
    exif: Literal["honour", "ignore"] = "ignore"
    cmyk: Literal["convert", "refuse"] = "convert"
    alpha: Literal["drop", "white", "black", "refuse"] = "drop"
    profile: Literal["ignore", "sRGB"] = "ignore"
    depth: Literal["high-byte", "clip", "refuse"] | Annotated[list[float], Field(min_length=2, max_length=2)] = (
        "high-byte"
    )
    colour: Literal["RGB", "grey"] = "RGB"
    crop_first: Crop | None = None
    resize: Resize | None = None
    crop: Crop | None = None
    scale: Literal["0..1", "times 1/255", "-1..1", "0..255"] = "0..1"
    normalise: Normalise | None = None
    channels: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16"] = "float32"

    @property
    def count(self) -> int:
        """How many channels its images have."""
        return 1 if self.colour == "grey" else 3

    @model_validator(mode="after")
    def _steps_fit_together(self) -> "Recipe":
        if isinstance(self.depth, list) and not self.depth[0] < self.depth[1]:
            raise ValueError(f"depth: a range rises, {self.depth[0]:g} to {self.depth[1]:g} does not")
        if self.colour == "grey" and self.channels == "BGR":
            raise ValueError("channels: one channel has no order; leave it at RGB")
        if self.normalise and {len(self.normalise.mean), len(self.normalise.std)} != {self.count}:
            raise ValueError(
                f"normalise: colour {self.colour} has {self.count} channels: give so many means and deviations"
            )
        return self


class Declaration(Section):
    """Weights that declare their own preprocessing: a torchvision weights enum's member, a timm tag, a Keras module ..."""

    framework: Literal["torchvision", "timm", "keras", "transformers"]
    architecture: str
    weights: str | None = None


class Published(Section):
    """The recipe that published weights declare; `preprocess` resolves it and writes the steps down."""

    published: Declaration


class TextRecipe(Section):
    """Tokenised text: token ids, cut at `length`, shorter ones padded where the model is asked.

    Attributes:
        tokenizer: a `tokenizer.json`, or the folder that holds one.
        target: `label` keeps the manifest's labels; `last-token` asks a language model for each text's last token; the others
            ask it about the documents of a task file (`data.prompts`), as `prompt` says.
        truncation_side: where a text that is too long loses tokens; of a prompt the left, unless it is said.
        special_tokens: those that the tokenizer's file adds by itself, or none of them.
        bos: the token that a prompt begins with (its text), where `bos_at` says: where nothing else would come before what is
            scored, always, or twice (which is a mistake that others make).
        eos: a token (its text) after a prompt's last.
    """

    tokenizer: str
    length: Annotated[int, Field(ge=2)] = 128
    target: Literal["label", "last-token", "choices", "last-word", "perplexity", "answer"] = "label"
    truncation_side: Literal["left", "right"] = "right"
    special_tokens: Literal["tokenizer", "none"] = "tokenizer"
    bos: str | None = None
    bos_at: Literal["empty", "always", "twice"] = "empty"
    eos: str | None = None
    prompt: Prompt | None = None

    @property
    def asks(self) -> bool:
        """Whether a language model is asked about documents, so that its scores are log-likelihoods or answers."""
        return self.prompt is not None

    @model_validator(mode="before")
    @classmethod
    def _has_a_prompt(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("target") in ASKED:
            return {"truncation_side": "left", **value, "prompt": value.get("prompt") or {}}
        return value

    @model_validator(mode="after")
    def _prompts_are_of_tasks(self) -> "TextRecipe":
        if self.prompt is not None and self.target not in ASKED:
            raise ValueError(f"prompt: goes with target {', '.join(ASKED)}, not with {self.target}")
        if self.target == "answer" and self.prompt is not None and self.prompt.new_tokens >= self.length:
            raise ValueError(f"prompt.new_tokens: of length {self.length} nothing is left for the prompt")
        if self.prompt is None and (self.bos or self.eos):
            raise ValueError(
                "bos: of labelled texts the tokenizer's file says what stands around them; leave bos and eos out"
            )
        if self.target == "perplexity" and self.bos is None:
            raise ValueError(
                "bos: perplexity needs a token before a document's first; name it, `<|endoftext|>` for GPT-2"
            )
        return self


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
