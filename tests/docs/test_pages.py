"""README.md and docs/: what they name exists, what exists is named, and their examples are right."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from tests.docs.pages import BLOCK, PAGES, blocks, commands, inline_code, links, name_of, rows, section
from tests.docs.test_commands import YOURS
from tests.import_graph import ROOT
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from weighbridge.params.complete import complete
from weighbridge.params.shorthand import expand
from weighbridge.params.whole import Params

TEXTS = {name_of(page): page.read_text(encoding="utf-8") for page in PAGES}
FOLDERS = ("stages", "weighbridge", "tracking", "suites", "tests", "benchmarks", "docs", "data")
IN_REPOSITORY = re.compile(
    rf"^(?:(?:{'|'.join(FOLDERS)})(?:/[\w.*<>{{}}$-]+)*/?|[\w.-]+\.(?:yaml|toml|lock|md)|Makefile)$"
)
# Under data/, beside what dvc.yaml declares:
WRITTEN_BY_COMMANDS = ("data/certificates", "data/hybrids", "data/reproduced")
WRITTEN_BY_PUBLISH = ("data/journal", "data/mlflow.db", "data/comet")
CONTEXT = ("data/timings", "data/partial")
PLACEHOLDERS = {"data/weights/<key>/<file>", "path/to/file.py", "suites/weighed.yaml"}
DVC_STAGE = {"foreach", "do", "desc", "cmd", "deps", "params", "outs"}
PIPELINE: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
README_LINES = 150


# ---- what pages name exists


def paths_in(text: str, page: str) -> set[str]:
    """What looks like a path of this repository: in inline code, and among the words of commands."""
    words = [word for command in commands(text, page) for word in command.words]
    return {word.rstrip("/") for word in [*inline_code(text), *words] if IN_REPOSITORY.match(word)}


def exists(path: str) -> bool:
    """Whether a path is in the repository, is written by the pipeline or a command, or is said to be the reader's."""
    if path in YOURS | PLACEHOLDERS:
        return True
    if path == "data" or path.startswith("data/"):
        return path == "data" or is_written(path)
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()


def is_written(path: str) -> bool:
    """Whether something under data/ is written by a stage or a command: it, what holds it, or what it holds."""
    known = [*WRITTEN_BY_COMMANDS, *WRITTEN_BY_PUBLISH, *CONTEXT, *outs()]
    start = path.partition("<")[0].partition("*")[0].rstrip("/")
    return any(f"{start}/".startswith(f"{out}/") or f"{out}/".startswith(f"{start}/") for out in known)


def outs() -> list[str]:
    entries = [stage.get("do", stage) for stage in PIPELINE.values()]
    found = [out for entry in entries for key in ("outs", "metrics", "plots") for out in entry.get(key, [])]
    return [(out if isinstance(out, str) else next(iter(out))).partition("/${")[0] for out in found]


@pytest.mark.parametrize("page", TEXTS)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    assert {path for path in paths_in(TEXTS[page], page) if not exists(path)} == set()


@pytest.mark.parametrize(
    "path", ["stages/infre.py", "suites/photo.yaml", "data/oracle", "tracking/*.xyz", "dvc.yml.md"]
)
def test_a_path_that_does_not_exist_is_found(path: str) -> None:
    assert paths_in(f"See `{path}`.", "x") == {path}
    assert not exists(path)


def broken(text: str, folder: Path) -> list[str]:
    """Links to files that are not there, or to a heading that is not in the file."""
    found = []
    for link in links(text):
        name, _, heading = link.partition("#")
        path = (folder / name).resolve()
        if not link.startswith("https://") and not (path.is_file() and (not heading or heading in anchors(path))):
            found.append(link)
    return found


def anchors(page: Path) -> set[str]:
    """GitHub's names for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_of_a_page_resolves(page: str) -> None:
    assert broken(TEXTS[page], (ROOT / page).parent) == []


@pytest.mark.parametrize("link", ["docs/prov.md", "README.md#no-such-heading"])
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    assert broken(f"[a page]({link})", ROOT) == [link]
    assert broken("[a page](README.md#two-commands)", ROOT) == []


@pytest.mark.parametrize("index", ["README.md", "docs/README.md"])
def test_an_index_leads_to_every_page(index: str) -> None:
    assert unlinked(TEXTS[index], (ROOT / index).parent) - {index} == set()


def unlinked(text: str, folder: Path) -> set[str]:
    linked = {(folder / link.partition("#")[0]).resolve() for link in links(text)}
    return {name_of(page) for page in PAGES if page not in linked and page.name != "README.md"}


def test_a_page_that_no_index_leads_to_is_found() -> None:
    assert "docs/prove.md" in unlinked("[one](docs/dvc.md)", ROOT)


# ---- what exists is named


def test_every_stage_has_its_row() -> None:
    assert set(PIPELINE) - rows(TEXTS["docs/what-is-checked.md"]) == set()


def test_every_adapter_has_its_row() -> None:
    adapters = {path.stem for path in (ROOT / "weighbridge/frameworks").glob("[a-z]*.py")}
    assert len(adapters) >= 10
    assert adapters - rows(TEXTS["docs/my-model-and-data.md"]) == set()


def test_every_section_of_the_params_is_explained() -> None:
    explained = rows(section(TEXTS["docs/what-is-checked.md"], "Parameters"))
    assert explained == set(Params.model_fields)


def test_every_suite_has_its_row() -> None:
    suites = {f"suites/{path.name}" for path in (ROOT / "suites").glob("*.yaml")} - YOURS
    assert suites - rows(TEXTS["docs/my-model-and-data.md"]) == set()


def test_a_missing_row_is_found() -> None:
    table = "## One\n\n| stage | what |\n|---|---|\n| `infer`, `record` | scores |\n\n## Two\n\n| `fetch` | images |\n"
    assert rows(table) == {"infer", "record", "fetch"}
    assert rows(section(f"\n{table}", "Two")) == {"fetch"}
    assert rows("| `infer` in prose") == set()


# ---- the examples are right


def test_a_block_is_a_console_yaml_or_python() -> None:
    assert {language for text in TEXTS.values() for language, _ in BLOCK.findall(text)} == {"console", "yaml", "python"}


YAML_BLOCKS = [(page, block) for page, text in TEXTS.items() for block in blocks(text, "yaml")]


def faults(block: str) -> list[str]:
    """What is wrong with sections of params, or with a stage for dvc.yaml, written in a page."""
    found = []
    written = YAML(typ="safe").load(block)
    if {"data", "models"} <= written.keys():  # a whole suite
        complete(written)
        return []
    written_out = expand({key: value for key, value in written.items() if key in Params.model_fields})
    for key, value in {**written, **{key: written_out[key] for key in written if key in written_out}}.items():
        if key not in Params.model_fields:
            found += [f"{key}: {name}" for name in (value.keys() | value.get("do", {}).keys()) - DVC_STAGE]
            continue
        try:
            TypeAdapter(Params.model_fields[key].annotation).validate_python(value, strict=True)
        except ValidationError as problem:
            found.append(f"{key}: {problem}")
    return found


@pytest.mark.parametrize(("page", "block"), YAML_BLOCKS, ids=[page for page, _ in YAML_BLOCKS])
def test_a_yaml_example_is_accepted(page: str, block: str) -> None:
    assert faults(block) == []


@pytest.mark.parametrize("block", ["data: {sourse: x}", "recipes: {a: {decode: pilow}}", "my_check: {comand: x}"])
def test_a_wrong_yaml_example_is_found(block: str) -> None:
    assert faults(block) != []


def test_a_wrong_suite_is_found() -> None:
    with pytest.raises(UserError, match="recipe"):
        faults("data: {source: x}\nmodels: {a: {framework: timm, architecture: b, weights: c, recipe: d}}")


def test_the_example_of_an_adapter_says_what_adapters_say() -> None:
    (block,) = blocks(TEXTS["docs/add-an-adapter.md"], "python")
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    assert namespace["ADAPTER"].program is True


def test_the_example_of_a_tracker_keeps_a_run_once(tmp_path: Path) -> None:
    (block,) = blocks(TEXTS["docs/add-a-tracker.md"], "python")
    namespace: dict[str, Any] = {"__name__": "lines"}
    exec(block, namespace)
    tracker, run = namespace["connect"](tmp_path, "e"), Run("m", "", {}, {}, {}, {}, {"top1": 0.5})
    assert tracker.holds(run) == "absent"
    assert tracker.log(run) == tracker.log(run)
    assert tracker.holds(run) == "whole"
    assert (tmp_path / "e.txt").read_text(encoding="utf-8").count("\n") == 1


def test_the_readme_is_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= README_LINES
