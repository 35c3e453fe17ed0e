"""What stands beside the parameters of a foreign MLflow run: data sets, and the files that MLflow writes next to a model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tracking.lookup.mlflow_files import data_sets, environment_of, facts_of

FILES = {
    "model/requirements.txt": "mlflow==3.17.2\ntorch==2.13.0+cpu\nscikit_learn==1.9.1\nnumpy>=2\n",
    "model/conda.yaml": "dependencies:\n- python=3.11.7\n- pip<=24\n- blas=2.116\n- pip:\n  - torch==2.12.0\n",
    "model/python_env.yaml": "python: 3.11.7\nbuild_dependencies:\n- pip==24.0\ndependencies:\n- -r requirements.txt\n",
    "model/MLmodel": "flavors:\n  python_function:\n    python_version: 3.11.7\n",
    "model/data/model.pth": "torch==0\n",
    "notes.txt": "torch==1\n",
}


class Client:
    """Stands for `mlflow.MlflowClient` with these artifacts."""

    def list_artifacts(self, run_id: str, path: str = "") -> list[Any]:
        below = [name.removeprefix(f"{path}/" if path else "") for name in FILES if name.startswith(path)]
        heads = {name.partition("/")[0]: "/" in name for name in below}
        return [SimpleNamespace(path=f"{path}/{head}".lstrip("/"), is_dir=folder) for head, folder in heads.items()]

    def download_artifacts(self, run_id: str, path: str, folder: str) -> str:
        target = Path(folder, Path(path).name)
        target.write_text(FILES[path])
        return str(target)


def test_packages_are_those_of_the_model_and_pinned_ones_win() -> None:
    assert environment_of(Client(), "r") == {
        "package.blas": "2.116",
        "package.mlflow": "3.17.2",
        "package.pip": "24.0",
        "package.scikit-learn": "1.9.1",
        "package.torch": "2.13.0+cpu",
        "python.version": "3.11.7",
    }


def test_a_file_that_says_nothing_gives_no_fact() -> None:
    assert facts_of("") == facts_of("numpy\n# torch==1 is too old\n") == {}


def test_data_sets_are_inputs_by_their_digests() -> None:
    named = [("train", "1"), ("train", "2"), ("eval", "3")]
    inputs = [SimpleNamespace(dataset=SimpleNamespace(name=name, digest=digest)) for name, digest in named]
    record = SimpleNamespace(inputs=SimpleNamespace(dataset_inputs=inputs))
    assert data_sets(record) == {"dataset.train": "1 2", "dataset.eval": "3"}
    assert data_sets(SimpleNamespace(inputs=None)) == {}
