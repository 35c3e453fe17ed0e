"""`params.yaml`, read strictly: an unknown key, a missing key or a value of the wrong kind is an error that names it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tracking.runs.errors import UserError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_KERAS = ("tensorflow", "jax", "torch")
BACKENDS = {
    "torchvision": ("torch",),
    "timm": ("torch",),
    "transformers": ("torch",),
    "factory": ("torch",),
    "torchfile": ("torch",),
    "keras": _KERAS,
    "kerasfile": _KERAS,
    "savedmodel": ("tensorflow",),
    "tflite": ("litert",),
    "onnx": ("onnxruntime",),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class Labels(_Strict):
    """A table (CSV) that gives each image's class index, counted from 0."""

    file: str
    name: str
    label: str


class Texts(_Strict):
    """A table that holds the texts themselves (CSV, or tab-separated where its name ends in .tsv)."""

    file: str
    text: str
    label: str


class Data(_Strict):
    source: str
    images: str | None
    labels: Labels | None
    texts: Texts | None
    classes: Count
    corrupt: Literal["fail", "skip"]


class Resize(_Strict):
    size: Count
    fit: Literal["squash", "short-side"]
    interpolation: Literal["nearest", "nearest-exact", "bilinear", "bicubic", "lanczos", "area"]
    antialias: bool
    library: Literal["pillow", "opencv", "tensorflow", "torch"]

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


class Crop(_Strict):
    """The centre. A half pixel goes as `place` says; an image that is too small gets black edges if `pad` allows it."""

    size: Count
    place: Literal["round", "floor"]
    pad: bool


class Normalise(_Strict):
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[Rate], Field(min_length=3, max_length=3)]


class Recipe(_Strict):
    """Preprocessing as data; the steps are applied in the order of the fields."""

    decode: Literal["pillow", "tensorflow", "tensorflow-accurate", "opencv"]
    exif: Literal["honour", "ignore"]
    cmyk: Literal["convert", "refuse"]
    colour: Literal["RGB"]
    resize: Resize | None
    crop: Crop | None
    scale: Literal["0..1", "times 1/255", "-1..1", "0..255"]
    normalise: Normalise | None
    channels: Literal["RGB", "BGR"]
    dtype: Literal["float32", "float16"]


class Declaration(_Strict):
    """Weights that declare their own preprocessing: a torchvision weights enum's member, a timm tag, a Keras module ..."""

    framework: Literal["torchvision", "timm", "keras", "transformers"]
    architecture: str
    weights: str | None


class Published(_Strict):
    """The recipe that published weights declare; `preprocess` resolves it and writes the steps down."""

    published: Declaration


class TextRecipe(_Strict):
    """Tokenised text: token ids, cut at `length`, shorter ones padded on the right.

    Attributes:
        tokenizer: a `tokenizer.json`, or the folder that holds one.
        target: `label` keeps the manifest's labels; `last-token` asks a language model for each text's last token.
    """

    tokenizer: str
    length: Annotated[int, Field(ge=2)]
    target: Literal["label", "last-token"]


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


class Optimiser(_Strict):
    name: Literal["sgd", "adam"]
    learning_rate: Rate
    momentum: Fraction | None


class _Network(_Strict):
    """What names one architecture in one framework on one backend."""

    framework: str
    backend: str
    architecture: str
    arguments: dict[str, Any]

    @model_validator(mode="after")
    def _backend_belongs_to_framework(self) -> "_Network":
        if self.framework not in BACKENDS:
            raise ValueError(f"unknown framework {self.framework!r}; known: {', '.join(BACKENDS)}")
        if self.backend not in BACKENDS[self.framework]:
            known = ", ".join(BACKENDS[self.framework])
            raise ValueError(f"{self.framework} has no backend {self.backend!r}; known: {known}")
        return self


class Pretrain(_Network):
    recipe: Name
    optimiser: Optimiser
    epochs: Count
    batch_size: Count
    shift_pixels: Annotated[int, Field(ge=0)]
    batchnorm_momentum: Fraction | None
    seed: int
    threads: Count | None
    export: Literal["onnx"] | None


class Claim(_Strict):
    """A published accuracy, as fractions, and where it was published."""

    top1: Fraction
    top5: Fraction | None
    source: str


class Model(_Network):
    weights: str
    sha256: Sha256 | None
    recipe: Name
    batch_size: Count
    claim: Claim | None
    checkpoint: str | None


class ImportColumns(_Strict):
    """The columns of a table (CSV, Parquet) of predictions.

    Attributes:
        name: the image's name; null: images are known by their row.
        label: the class index in the labels' table, which may be the same file.
        classes: class indices, the best first; with `scores` in any order.
        scores: the scores of `classes`, one each; or, where `classes` is empty, the score of every class in order.
    """

    name: str | None
    label: str | None
    classes: list[str]
    scores: list[str]

    @model_validator(mode="after")
    def _belong_together(self) -> "ImportColumns":
        named = [*self.classes, *self.scores]
        if not named or len(set(named)) < len(named):
            raise ValueError("columns: name those of classes or scores, each once")
        if self.classes and self.scores and len(self.classes) != len(self.scores):
            raise ValueError(
                f"columns: {len(self.scores)} scores for {len(self.classes)} classes; give one each, or none"
            )
        return self


class Import(_Strict):
    """Somebody else's predictions, to be weighed as a run. What they declare of how they were made is taken as declared.

    Attributes:
        predictions: `.npy` or `.json` (decisions; best classes; or scores of every class), `.csv`, `.parquet`.
        scores, labels: where those are; the same file again where it holds them too (DVC wants a path).
        classes: how many classes the model tells apart.
        declared: facts of the environment, by the names that captured ones have: `package.keras: "2.2.4"`.
        preprocessing: steps as their authors describe them, by the names that recipes have.
    """

    framework: str
    backend: str | None
    architecture: str
    checkpoint: str | None
    claim: Claim | None
    predictions: str
    scores: str
    labels: str
    columns: ImportColumns | None
    classes: Annotated[int, Field(ge=2)]
    declared: dict[str, str | int | float | bool]
    preprocessing: dict[str, str]


class Claims(_Strict):
    """Published accuracies: the shipped table, or one with the same columns that is added to it."""

    file: str


class Compared(_Strict):
    """Two runs on the same images, for example one architecture in two frameworks."""

    reference: Name
    candidate: Name


class Statement(_Strict):
    """A claim in words that many pairs or runs decide together.

    Attributes:
        says: the claim, as it was made.
        pairs: keys of `pairs`; `better` is the side that is said to win in each.
        runs: or runs that are said to fall short of their published accuracy.
    """

    says: str
    pairs: list[Name]
    better: Literal["reference", "candidate"] | None
    runs: list[Name]

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "Statement":
        if bool(self.pairs) == bool(self.runs) or bool(self.pairs) != bool(self.better):
            raise ValueError("give either pairs, with which is better, or runs")
        return self


class PublishedCheck(_Strict):
    """What is asked of a whole suite.

    Attributes:
        table: the beginning of a claim's source: its cells should come back to the last digit; null: no such table.
        known: for runs whose cells do not, why, where that is known.
        pairs: which runs are compared, on the same images.
    """

    table: str | None
    known: dict[Name, str]
    pairs: dict[Name, Compared]
    statements: dict[Name, Statement]


class Download(_Strict):
    """Weights by the name under which they are published, or by URL; written to `data/weights/<key>/<file>`.

    Attributes:
        name: `torchvision/<Model>/<WEIGHTS>`, `timm/<model>.<tag>`, `keras/<Model>/imagenet`, `transformers/<repository>`.
        arguments: of Keras' builder, when they choose among its files (`alpha: 0.25`).
        file: a plain name; of a transformers repository, which brings several files, the one that must be among them.
    """

    name: Annotated[str, Field(pattern=r"^(torchvision|timm|keras|transformers)/[\w.-]+(/[\w.-]+)?$")] | None
    url: Annotated[str, Field(pattern=r"^https?://")] | None
    arguments: dict[str, Any]
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    sha256: Sha256 | None

    @model_validator(mode="after")
    def _has_one_source(self) -> "Download":
        if (self.name is None) == (self.url is None):
            raise ValueError("give either `name` or `url`, and null for the other")
        if self.url is not None and self.sha256 is None:
            raise ValueError("a URL promises nothing about its content: give its sha256")
        return self


class Inference(_Strict):
    """How every model is asked.

    Attributes:
        mode: null is inference mode; `training` is what a forgotten `eval()` gives: batch statistics, dropout.
        layout: of torch networks' weights in memory; null leaves it.
    """

    threads: Count | None
    seed: int
    device: Literal["auto", "cpu", "cuda"]
    mode: Literal["training"] | None
    layout: Literal["channels_last"] | None


class Parity(_Strict):
    """Two models whose scores should be the same.

    Attributes:
        layer_tolerance: the relative difference allowed of the first layer; of the n-th it is sqrt(n) times as much.
    """

    reference: Name
    candidate: Name
    max_score_difference: Annotated[float, Field(ge=0)]
    max_flips: Annotated[int, Field(ge=0)]
    layer_tolerance: Rate


class Activations(_Strict):
    """What is kept of every layer's output: of these models, for so many test images, so many values of each image."""

    models: list[Name]
    samples: Count
    values: Count


class Canaries(_Strict):
    """Short marks of every step and layer, kept in each run.

    Attributes:
        inputs: made-up inputs for the layers; 0: no canaries are kept.
        layers: how many layers are kept, at most, their places spaced logarithmically.
        images: test images for the steps of the recipe; 0: none.
    """

    inputs: Annotated[int, Field(ge=0)]
    layers: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=0)]


class BackendCheck(_Strict):
    """Small networks trained and timed on Keras' backends; the findings are filed with a model.

    Attributes:
        backends: the first is the one that the others are compared with.
        repeats: each from other weights; all backends take their turn in each.
        margin: accuracies within it count as the same.
        seconds: how long one answer of a backend may take; the first holds its start.
    """

    model: Name
    tasks: Annotated[list[Literal["mlp", "cnn", "bilstm", "bag"]], Field(min_length=1)]
    backends: Annotated[list[Literal["tensorflow", "jax", "torch"]], Field(min_length=2)]
    repeats: Annotated[int, Field(ge=5)]
    steps: Count
    batch_size: Count
    optimiser: Literal["adam", "sgd"]
    learning_rate: Rate
    threads: Count
    margin: Annotated[float, Field(gt=0, lt=1)]
    seconds: Count
    seed: int


class Shift(_Strict):
    """Pixel values (in 0..1) times `scale` plus `offset`, as a mistake in preprocessing or another camera would have it."""

    scale: float
    offset: float


class Frozen(_Strict):
    """New heads over a frozen network, for these models, by every meaning that freezing has had.

    Attributes:
        target: the new task, classes of the source renamed; empty: the source's own classes.
        samples: of the training images, and of the test images, at most.
        epochs: passes through the network for each head.
    """

    models: list[Name]
    target: dict[str, list[int]]
    shifts: dict[Name, Shift]
    samples: Annotated[int, Field(ge=4)]
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    seeds: Annotated[list[int], Field(min_length=1)]


class ModeCheck(_Strict):
    """What the passes through a model in its modes may cost.

    Attributes:
        models: which; null: all.
        batch_sizes: further sizes, each with mixed and with class-sorted batches; empty: batches are not looked at.
        repeats: passes whose spread is dropout's; 1: not, as one pass has no spread.
        black_batches: batches of black images passed in training mode before the accuracy is taken again; 0: not.
        behaviours: which situations of `stages.mode_check.behaviours` are tried: with `all` those with a training step too.
    """

    models: list[Name] | None
    samples: Count
    batch_size: Annotated[int, Field(ge=2)]
    batch_sizes: list[Annotated[int, Field(ge=2)]]
    repeats: Count
    black_batches: Annotated[int, Field(ge=0)]
    behaviours: Literal["none", "passes", "all"]
    frozen: Frozen


class Target(_Strict):
    """What is transferred to.

    Attributes:
        images: a folder with train/ and test/, one folder per class in each, or a Python file with `write_images(folder)`.
        classes: target classes, each a list of class folders (those not named are left out); null: each folder is a class.
    """

    images: str
    classes: dict[str, Annotated[list[str], Field(min_length=1)]] | None

    @model_validator(mode="after")
    def _no_folder_is_in_two_classes(self) -> "Target":
        folders = [folder for group in (self.classes or {}).values() for folder in group]
        twice = sorted({folder for folder in folders if folders.count(folder) > 1})
        if twice:
            raise ValueError(f"class folders in more than one target class: {', '.join(twice)}")
        return self


class IsolationCheck(_Strict):
    """In which ways a model is asked about the same images.

    Attributes:
        models: which; null: all.
        scenarios: `reload`, `export` and `serve` start processes; `serve` an MLflow server on 127.0.0.1.
        samples: of the test images, at most, in whole batches of the model's `batch_size` (at least one).
        one_by_one: how many of these are asked about singly, at most.
        max_score_difference: what counts as rounding.
        seconds: how long another process, a server's start or one answer of it may take.
    """

    models: list[Name] | None
    scenarios: list[
        Literal["alone", "repeated", "interleaved", "after_others", "batch", "order", "reload", "export", "serve"]
    ]
    samples: Count
    one_by_one: Count
    max_score_difference: Annotated[float, Field(ge=0)]
    seconds: Count


class Transfer(_Strict):
    """A second task for these models.

    Attributes:
        samples, test_samples: of the target's images (and of the source's test images), at most.
        neighbours: of the k-NN on frozen features.
        earlier_layers: on so many layers before the last features a linear head is tried too. 0: not.
        learning_rates: fine-tuning everything; one training for each of them and each seed.
        probed_rates: the same after training the head alone, by Adam at `head_rate`.
        scratch_rates: the same architecture from random weights.
        cuts: at how many places AnB and BnB cut the network; each is five trainings a seed. 0: not.
        warmup: the share of the steps in which the learning rate first rises.
        few: of a target with fewer training images the advice for small ones is given.
    """

    models: list[Name]
    target: Target
    samples: Annotated[int, Field(ge=2)]
    test_samples: Annotated[int, Field(ge=2)]
    neighbours: Count
    earlier_layers: Annotated[int, Field(ge=0)]
    learning_rates: Annotated[list[Rate], Field(min_length=1)]
    probed_rates: list[Rate]
    head_rate: Rate
    scratch_rates: list[Rate]
    cuts: Annotated[int, Field(ge=0)]
    warmup: Fraction
    momentum: Fraction
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    seeds: Annotated[list[int], Field(min_length=1)]
    few: Count

    @model_validator(mode="after")
    def _layers_need_a_base(self) -> "Transfer":
        if self.cuts and not self.scratch_rates:
            raise ValueError(
                "cuts needs scratch_rates: AnB is held against a network trained from scratch, at the first of them"
            )
        return self


class PreprocessCheck(_Strict):
    samples: Annotated[int, Field(ge=0)]


class TopColumns(_Strict):
    """The columns of a table (CSV) of decisions: image names and class indices, counted from 0."""

    name: str
    top1: str


class Fingerprint(_Strict):
    """Somebody else's predictions with a model of `models`, to be told which recipe made them.

    Attributes:
        candidates: how many recipes are tried, at most; each costs a pass over the samples.
        noise: the share of decisions that other hardware and library versions are expected to flip.
    """

    model: Name
    predictions: str
    columns: TopColumns | None
    samples: Count
    candidates: Annotated[int, Field(ge=2)]
    noise: Annotated[float, Field(gt=0, le=0.05)]


class Publish(_Strict):
    experiment: str
    trackers: list[Name]


class Params(_Strict):
    data: Data
    recipes: dict[Name, AnyRecipe]
    inference: Inference
    pretrain: dict[Name, Pretrain]
    downloads: dict[Name, Download]
    models: dict[Name, Model]
    imports: dict[Name, Import]
    claims: Claims
    backend_parity: dict[Name, Parity]
    activations: Activations
    canaries: Canaries
    backend_check: dict[Name, BackendCheck]
    mode_check: ModeCheck
    isolation_check: IsolationCheck
    transfer_check: Transfer
    preprocess_check: PreprocessCheck
    fingerprint: dict[Name, Fingerprint]
    published_check: PublishedCheck
    publish: Publish

    @property
    def weighed(self) -> tuple[str, ...]:
        """The subject of every run: the models, then the imported predictions."""
        return (*self.models, *self.imports)

    @model_validator(mode="after")
    def _subjects_are_unique(self) -> "Params":
        if twice := self.models.keys() & self.imports.keys():
            raise ValueError(f"imports: {', '.join(sorted(twice))} is a model's name too")
        return self

    @model_validator(mode="after")
    def _folders_are_apart(self) -> "Params":
        if both := sorted(self.downloads.keys() & self.pretrain.keys()):
            raise ValueError(f"downloads.{both[0]} and pretrain.{both[0]} would write the same folder: rename one")
        return self

    @model_validator(mode="after")
    def _frozen_models_are_asked(self) -> "Params":
        asked, frozen = self.mode_check.models, self.mode_check.frozen.models
        if asked is not None and (left := [name for name in frozen if name not in asked]):
            raise ValueError(
                f"mode_check.frozen.models: {left[0]} is not among mode_check.models; take it out of one or into both"
            )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        for where, name, known in self._references():
            if name not in known:
                raise ValueError(f"{where}: there is no {name!r}; known: {', '.join(known)}")
        return self

    def _references(self) -> Iterator[tuple[str, str, Collection[str]]]:
        sections: dict[str, Mapping[str, Model | Pretrain]] = {"models": self.models, "pretrain": self.pretrain}
        for section, networks in sections.items():
            for key, network in networks.items():
                yield f"{section}.{key}.recipe", network.recipe, self.recipes
        for key, pair in self.backend_parity.items():
            yield f"backend_parity.{key}.reference", pair.reference, self.models
            yield f"backend_parity.{key}.candidate", pair.candidate, self.models
        for name in self.activations.models:
            yield "activations.models", name, self.models
        for key, timed in self.backend_check.items():
            yield f"backend_check.{key}.model", timed.model, self.models
        for key, asked in self.fingerprint.items():
            yield f"fingerprint.{key}.model", asked.model, self.models
        chosen = {
            "mode_check.models": self.mode_check.models,
            "mode_check.frozen.models": self.mode_check.frozen.models,
            "transfer_check.models": self.transfer_check.models,
            "isolation_check.models": self.isolation_check.models,
        }
        yield from ((where, name, self.models) for where, names in chosen.items() for name in names or ())
        yield from self._asked_of_the_suite()

    def _asked_of_the_suite(self) -> Iterator[tuple[str, str, Collection[str]]]:
        asked = self.published_check
        for key, compared in asked.pairs.items():
            yield f"published_check.pairs.{key}.reference", compared.reference, self.weighed
            yield f"published_check.pairs.{key}.candidate", compared.candidate, self.weighed
        for key, statement in asked.statements.items():
            for pair in statement.pairs:
                yield f"published_check.statements.{key}.pairs", pair, asked.pairs
            for name in statement.runs:
                yield f"published_check.statements.{key}.runs", name, self.weighed
        for name in asked.known:
            yield "published_check.known", name, self.weighed


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file.

    Raises:
        UserError: the file is absent, is not YAML, or breaks the schema; every offending key is named.
    """
    try:
        return Params.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); run this in the project's folder") from problem
    except YAMLError as problem:
        raise UserError(f"{path}: not YAML ({' '.join(str(problem).split())})") from problem
    except ValidationError as problem:
        raise UserError(f"{path}: {'; '.join(_sentence(error) for error in problem.errors())}") from problem


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    words = {"extra_forbidden": "unknown key", "missing": "missing key"}.get(error["type"])
    if words:
        return f"{words} {where!r}"
    message = error["msg"].removeprefix("Value error, ")
    return (
        f"{where}: {message}, not {error['input']!r}"
        if error["type"] != "value_error"
        else f"{where or 'params'}: {message}"
    )
