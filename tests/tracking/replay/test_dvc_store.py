"""What a run read, found again by its hash: here, in the cache, or not at all."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from tracking.replay.dvc_store import content_hash, locate
from tracking.replay.errors import UnavailableError


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose file changed after DVC kept it."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    keep(root, b"old")
    (root / "weights.bin").write_bytes(b"new")
    return root


def keep(root: Path, content: bytes, suffix: str = "") -> str:
    name = md5(content) + suffix
    path = root / ".dvc/cache/files/md5" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def test_the_working_copy_is_taken_where_it_fits_and_the_cache_where_not(root: Path, tmp_path: Path) -> None:
    working = Path("weights.bin")
    assert locate(md5(b"new"), working, root, tmp_path / "links") == (root / working).resolve()
    link = locate(md5(b"old"), working, root, tmp_path / "links")
    assert (link.name, link.read_bytes()) == ("weights.bin", b"old")
    with pytest.raises(UnavailableError, match=r"weights\.bin: the content with md5 .* is not here"):
        locate(md5(b"other"), working, root, tmp_path / "more")


def test_a_folder_is_laid_out_from_the_cache_and_has_the_hash_that_dvc_gives_it(root: Path, tmp_path: Path) -> None:
    listing = [{"md5": keep(root, content), "relpath": name} for name, content in (("a", b"1"), ("b/c", b"2"))]
    name = keep(root, json.dumps(listing, sort_keys=True).encode(), ".dir")
    link = locate(name, Path("images"), root, tmp_path / "links")
    assert (link / "b/c").read_bytes() == b"2"
    assert content_hash(link) == name


def test_a_listing_that_leads_out_of_its_folder_is_refused(root: Path, tmp_path: Path) -> None:
    listing = [{"md5": keep(root, b"1"), "relpath": "../outside"}]
    name = keep(root, json.dumps(listing, sort_keys=True).encode(), ".dir")
    with pytest.raises(UnavailableError):
        locate(name, Path("images"), root, tmp_path / "links")
    assert not (tmp_path / "outside").exists()


def test_a_listing_with_a_place_of_its_own_is_refused(root: Path, tmp_path: Path) -> None:
    listing = [{"md5": keep(root, b"1"), "relpath": str(tmp_path / "outside")}]
    with pytest.raises(UnavailableError):
        locate(keep(root, json.dumps(listing).encode(), ".dir"), Path("images"), root, tmp_path / "links")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("digest", ["aa/absolute", "../../etc/passwd", "a" * 31, "a" * 32 + ".file"])
def test_what_is_no_hash_leads_to_no_file(digest: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="is not how DVC names content"):
        locate(digest, Path("weights.bin"), root, tmp_path / "links")


def test_content_that_is_damaged_in_the_cache_is_not_taken(root: Path, tmp_path: Path) -> None:
    name = keep(root, b"old")
    (root / ".dvc/cache/files/md5" / name[:2] / name[2:]).write_bytes(b"odd")
    with pytest.raises(UnavailableError, match="cache holds it damaged"):
        locate(name, Path("weights.bin"), root, tmp_path / "links")


@pytest.mark.parametrize(
    ("content", "later"), [(b"new", 1), (b"longer", 0)], ids=["of the same size, later", "longer, at the same time"]
)
def test_a_file_that_was_changed_has_another_hash(content: bytes, later: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    was, seen = content_hash(tmp_path / "file"), (tmp_path / "file").stat()
    folder = content_hash(tmp_path)
    (tmp_path / "file").write_bytes(content)
    os.utime(tmp_path / "file", ns=(seen.st_atime_ns, seen.st_mtime_ns + later))
    assert was == md5(b"old")
    assert content_hash(tmp_path / "file") == md5(content)
    assert content_hash(tmp_path) != folder
