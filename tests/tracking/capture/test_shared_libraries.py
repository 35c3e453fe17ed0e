"""Loaded libraries by their builds, thread pools, kernels, and how numbers are rounded."""

import io
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tracking.capture.onednn import parsed
from tracking.capture.shared_libraries import build_id, numerics_mode, shared_objects, thread_pools

MAPS = """7f00-7f10 r--p 00000000 08:01 11  /venv/lib/python3.11/site-packages/torch/lib/libgomp.so.1
7f10-7f20 r-xp 00001000 08:01 11  /venv/lib/python3.11/site-packages/torch/lib/libgomp.so.1
7f20-7f30 r-xp 00001000 08:01 12  /venv/lib/python3.11/site-packages/scikit_learn.libs/libgomp-e985bcbb.so.1.0.0
7f30-7f40 r-xp 00001000 08:01 13  /venv/lib/python3.11/site-packages/numpy.libs/libscipy_openblas64_-32a4b2a6.so
7f40-7f50 r-xp 00001000 08:01 14  /usr/lib/x86_64-linux-gnu/libm.so.6
7f50-7f60 r-xp 00001000 08:01 15  /venv/lib/python3.11/site-packages/nvidia/cudnn/lib/libcudnn_ops.so.9
7f60-7f70 r-xp 00001000 08:01 16  /venv/lib/python3.11/site-packages/nvidia/cublas/lib/libcublasLt.so.12
7f70-7f80 r-xp 00001000 08:01 17  /usr/lib/x86_64-linux-gnu/libssl.so.3
7f80-7f90 r-xp 00001000 08:01 18  /home/libm/notes with spaces.txt
7f90-7fa0 rw-p 00000000 00:00 0   [heap]
7fa0-7fb0 rw-p 00000000 00:00 0
7fb0-7fc0 r-xp 00001000 08:01 19  /opt/libmkl_core.so.2 (deleted)
"""


def elf(identity: bytes) -> bytes:
    """The smallest 64-bit ELF file with a note of another owner and a GNU build id."""
    notes = (
        struct.pack("<III", 4, 3, 1)
        + b"XXX\0"
        + b"abc\0"
        + struct.pack("<III", 4, len(identity), 3)
        + b"GNU\0"
        + identity
    )
    header = b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    tables = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, 0) + struct.pack(
        "<IIQQQQQQ", 4, 4, 176, 0, 0, len(notes), 0, 4
    )
    return header + tables + notes


def test_a_build_id_is_found_among_the_notes() -> None:
    assert build_id(io.BytesIO(elf(bytes(range(20))))) == "0001020304050607"


@pytest.mark.parametrize("content", [b"", b"text", b"\x7fELF\x01\x01" + bytes(80), elf(b"")[:64] + bytes(56)])
def test_other_files_carry_none(content: bytes) -> None:
    try:
        assert build_id(io.BytesIO(content)) == ""
    except struct.error:
        assert len(content) < 200  # cut off: `shared_objects` calls it unreadable


@pytest.mark.skipif(not (sys.platform == "linux" and shutil.which("readelf")), reason="needs Linux and readelf")
def test_the_build_id_is_the_one_readelf_prints() -> None:
    library = next(path for path in Path("/lib").rglob("libm.so.6"))
    printed = subprocess.run(["readelf", "-n", library], capture_output=True, text=True, check=True).stdout
    with library.open("rb") as file:
        assert f"Build ID: {build_id(file)}" in printed


def test_only_what_computes_is_listed_and_two_builds_of_one_library_are_joined() -> None:
    builds = {"libgomp.so.1": elf(b"\x02" * 20), "libgomp-e985bcbb.so.1.0.0": elf(b"\x01" * 20)}
    found = shared_objects(MAPS, lambda path: io.BytesIO(builds.get(Path(path).name, b"no ELF file")))
    assert found == {
        "library.libgomp": "0101010101010101 + 0202020202020202",
        "library.libscipy_openblas64_": "11 bytes",
        "library.libm": "11 bytes",
        "library.libcudnn_ops": "11 bytes",
        "library.libcublasLt": "11 bytes",
        "library.libmkl_core": "replaced on disk since",
    }


def test_a_library_that_cannot_be_opened_is_still_listed() -> None:
    def refuse(path: str) -> io.BytesIO:
        raise PermissionError(path)

    assert shared_objects(MAPS, refuse)["library.libm"] == "unreadable"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_this_process_has_libm_loaded() -> None:
    assert "library.libm" in shared_objects()


def test_numpys_blas_names_its_kernel() -> None:
    pytest.importorskip("threadpoolctl")
    import numpy

    numpy.ones((2, 2)) @ numpy.ones((2, 2))
    kernels = [
        value for name, value in thread_pools().items() if name.startswith("pool.numpy.") and name.endswith(".kernel")
    ]
    assert all(isinstance(kernel, str) and kernel for kernel in kernels)
    assert not any("/" in str(value) for value in thread_pools().values())


# ---- rounding


def test_this_thread_rounds_to_nearest_and_keeps_small_numbers() -> None:
    assert numerics_mode() == {"numerics.flush_to_zero": False, "numerics.rounding": "to nearest"}


def test_flushing_to_zero_is_noticed() -> None:
    assert numerics_mode(half=lambda _: 0.0)["numerics.flush_to_zero"] is True


@pytest.mark.parametrize(
    ("mode", "up", "down", "inward"),
    [("upward", 1, 0, 0), ("downward", 0, 1, 1), ("toward zero", 0, 0, 1), ("to nearest", 0, 0, 0)],
)
def test_each_way_of_rounding_is_told_apart(mode: str, up: int, down: int, inward: int) -> None:
    step = 2.0**-52

    def add(left: float, right: float) -> float:
        if left > 0 and right > 0:
            return left + up * step
        if left < 0:
            return left - down * step
        return left - inward * step

    assert numerics_mode(add=add)["numerics.rounding"] == mode


# ---- oneDNN in its own words

VERBOSE = """onednn_verbose,v1,info,oneDNN v3.12.0 (commit 80afa71049cd69a3df32adcccb623b12cd7baa22)
onednn_verbose,v1,info,cpu,runtime:OpenMP,nthr:2
onednn_verbose,v1,info,cpu,isa:Intel AVX-512 with Intel DL Boost and bfloat16 support
onednn_verbose,v1,primitive,exec,cpu,reorder,jit:blk,undef,src:f32::blocked:abcd::f0,0.10791
onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,forward_training,src:f32:a:blocked:aBcd16b::f0,1.57812
"""


def test_onednn_tells_its_instruction_set_once_and_its_kernel_each_time() -> None:
    seen: dict[str, str] = {}
    first = parsed(VERBOSE, seen)
    again = parsed(VERBOSE.split("\n", 3)[3], seen)
    assert (
        first
        == again
        == {
            "onednn.isa": "Intel AVX-512 with Intel DL Boost and bfloat16 support",
            "onednn.kernel": "jit:avx512_core",
        }
    )


def test_the_older_wording_is_understood() -> None:
    old = "onednn_verbose,info,cpu,isa:Intel AVX2\nonednn_verbose,exec,cpu,convolution,jit:avx2,forward_inference,x,1\n"
    assert parsed(old, {}) == {"onednn.isa": "Intel AVX2", "onednn.kernel": "jit:avx2"}


def test_silence_says_nothing() -> None:
    assert parsed("", {}) == {}
