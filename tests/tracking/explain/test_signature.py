"""Signatures of certificates, by ssh-keygen."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tracking.explain.signature import NAMESPACE, sign, signature_of, signed_by
from tracking.runs.errors import UserError

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


@pytest.fixture
def ada(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A certificate's file, Ada's key, and a file of signers that names her."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "signers").write_text(f"ada@example.org {(tmp_path / 'key.pub').read_text()}")
    (tmp_path / "c.json").write_text("a certificate\n")
    return tmp_path / "c.json", key, tmp_path / "signers"


def test_a_signed_certificate_is_its_signers_and_nobody_elses(ada: tuple[Path, Path, Path]) -> None:
    path, key, signers = ada
    assert signed_by(path.read_bytes(), signature_of(path), "ada@example.org", signers).startswith("unsigned")
    assert sign(path, key) == signature_of(path)
    assert sign(path, key) == signature_of(path)
    assert signed_by(path.read_bytes(), signature_of(path), "ada@example.org", signers) == ""
    assert "not signed by eve@example.org" in signed_by(
        path.read_bytes(), signature_of(path), "eve@example.org", signers
    )
    changed = path.read_bytes().replace(b"a c", b"a C")
    assert "not signed by ada" in signed_by(changed, signature_of(path), "ada@example.org", signers)


def test_a_signature_for_another_purpose_is_none(ada: tuple[Path, Path, Path]) -> None:
    path, key, signers = ada
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git", path], check=True, capture_output=True)
    assert NAMESPACE != "git"
    assert signed_by(path.read_bytes(), signature_of(path), "ada@example.org", signers)


def test_mistakes_are_one_line(ada: tuple[Path, Path, Path]) -> None:
    path, key, signers = ada
    for wrong in (
        lambda: sign(path, path.with_name("absent")),
        lambda: signed_by(b"", signature_of(path), "ada@example.org", path.with_name("absent")),
        lambda: signed_by(b"", signature_of(path), "-f x", signers),
    ):
        with pytest.raises(UserError, match=r"^--(key|signers|signer): [^\n]+$"):
            wrong()
    assert key.is_file()
