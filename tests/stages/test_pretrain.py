"""What is said before anything is trained."""

from pathlib import Path

import pytest

from stages.pretrain import main
from tests.import_graph import ROOT
from tracking.runs.errors import UserError


def test_a_source_without_training_images_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "test").mkdir()
    with pytest.raises(
        UserError, match=r"pretrain\.resnet18-digits: there are no images to train on; .* a folder train/"
    ):
        main("resnet18-digits", tmp_path, tmp_path / "images", "", tmp_path / "weights")
