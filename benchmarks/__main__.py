"""What is measured here, and all of it that needs nothing but a machine, as Markdown and JSON side by side.

    python -m benchmarks                                     # the list
    python -m benchmarks FOLDER [--quick] [--only NAME ...]  # run those that need nothing

Each is a process of its own and writes FOLDER/<name>.json and FOLDER/<name>.md, with the machine's state; FOLDER/README.md lists
them. `--quick` takes a few images and one repeat, to see that all of it runs: such figures say nothing, and no verdict is given.
"""

import argparse
import ast
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import ROOT

# What needs nothing, with the sizes of `--quick`; full sizes are each one's own.
ALONE = {
    "whole_job": "--models mobilenet_v3_small --images 40 --repeats 1",
    "feeding": "--images 100 --repeats 1",
    "capture": "--model mobilenet_v3_small --images 40",
    "many_images": "--counts 100 200 --repeats 1 --kills 1",
    "check_memory": "--counts 1100",
    "pipeline": "--growth --models 2 4",
    "publishing": "--runs 3 --repeats 1",
    "audit": "",
    "growth": "--runs 3 10 --models 2 4 --factors 2 4",
    "gpu": "--model mobilenet_v3_small --images 16 --batches 8 --repeats 1",
}
# What needs more, and what that is.
NEEDING = {
    "cluster": "a new folder, Ray and three idle cores",
    "fingerprint": "a folder, the photographs of suites/photos.yaml and an hour",
    "kills": "half an hour",
    "planted": "a folder in which `dvc repro` ran, and hours",
    "repeats": "a folder in which `dvc repro` ran",
    "trust": "the tests' corpus; minutes",
}


def about(name: str) -> str:
    """The first line of a benchmark's docstring."""
    doc = ast.get_docstring(ast.parse((ROOT / f"benchmarks/{name}.py").read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]


def listed() -> str:
    alone = [f"  {name:13} {about(name)}" for name in ALONE]
    needing = [f"  {name:13} {about(name)} Needs {what}." for name, what in NEEDING.items()]
    return "\n".join(
        ["run by `python -m benchmarks FOLDER`", *alone, "", "run by hand, `python -m benchmarks.NAME`", *needing]
    )


def run(name: str, folder: Path, *, quick: bool) -> bool:
    """Whether it ended well; what it says goes to its files, or here where it fails."""
    sizes = ALONE[name].split() if quick else []
    command = [sys.executable, "-m", f"benchmarks.{name}", *sizes, "--json", str(folder / f"{name}.json")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"{name}: {'done' if done.returncode == 0 else done.stdout[-2000:]}", flush=True)  # noqa: T201
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=tuple(ALONE), default=tuple(ALONE))
    asked = parser.parse_args()
    if asked.folder is None:
        print(listed())  # noqa: T201
        return 0
    folder: Path = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ended = {name: run(name, folder, quick=asked.quick) for name in asked.only}
    lines = [
        f"- {f'[{name}]({name}.md)' if well else f'{name} (failed)'}: {about(name)}" for name, well in ended.items()
    ]
    (folder / "README.md").write_text("\n".join(["# Benchmarks", "", *lines]) + "\n", encoding="utf-8")
    return int(not all(ended.values()))


if __name__ == "__main__":
    sys.exit(main())
