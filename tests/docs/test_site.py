"""The documentation builds as a site, with no page left out and no heading that a link misses."""

from pathlib import Path

import pytest

from tests.import_graph import ROOT


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs MkDocs: pip install '.[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    assert (tmp_path / "findings.html").is_file()
    assert (tmp_path / "index.html").is_file()
