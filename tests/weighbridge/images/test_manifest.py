"""The tables of `fetch`: their bytes, which DVC compares, and what a damaged one says."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest

from tracking.runs.errors import UserError
from weighbridge.images.listing import LeftOut
from weighbridge.images.manifest import (
    LONGEST_CELL,
    STORED,
    Row,
    in_order,
    read_left_out,
    read_manifest,
    refused,
    write_left_out,
    write_manifest,
)
from weighbridge.images.opening import Stored
from weighbridge.images.targets import read_labels

GREY = vars(Stored("PNG", "L", 16, 1, "upright", "none", 'sRGB, "v2"', 1, 1e16, None, ""))
PHOTO = vars(Stored("JPEG", "RGB", 8, 6, "turned 6", "none", "none", 1, None, 0.1 + 0.2, "4:2:0"))
ROWS = [
    Row('test/a,"b".png', "test", 0, "NA", "x" * 64, GREY),
    Row("test/null", "test", 10, "", "y" * 64, PHOTO),
    Row("train/ü.jpg", "train", 2, "two\nlines", "z" * 64, PHOTO),
]
RETURNED = Row("train/r.jpg", "train", 3, "carriage\rreturn", "z" * 64, GREY)
WRITTEN = f"""\
name,split,label,class,sha256,format,mode,depth,orientation,exif,alpha,profile,frames,highest,jpeg_step,jpeg_sampling
"test/a,""b"".png",test,0,NA,{"x" * 64},PNG,L,16,1,upright,none,"sRGB, ""v2""\",1,1e+16,,
test/null,test,10,,{"y" * 64},JPEG,RGB,8,6,turned 6,none,none,1,,0.30000000000000004,4:2:0
train/ü.jpg,train,2,"two
lines",{"z" * 64},JPEG,RGB,8,6,turned 6,none,none,1,,0.30000000000000004,4:2:0
"""


def test_a_manifest_is_the_same_bytes_as_ever_and_comes_back(tmp_path: Path) -> None:
    """As pandas wrote it until now: other bytes would run every stage behind `fetch` again."""
    write_manifest(ROWS, tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_bytes() == WRITTEN.encode()
    assert read_manifest(tmp_path / "manifest.csv") == ROWS
    write_manifest([*ROWS, RETURNED], tmp_path / "more.csv")
    assert read_manifest(tmp_path / "more.csv") == [*ROWS, RETURNED]
    write_manifest([], tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_text() == WRITTEN[: WRITTEN.index("\n") + 1]
    assert read_manifest(tmp_path / "empty.csv") == []
    assert [*STORED] == [*GREY] == [field.name for field in fields(Stored)]


@pytest.mark.parametrize(("label", "names"), [("[0, 2]", '["a", "b,\\n"]'), ("[]", "[]"), ("[3.0]", '["age"]')])
def test_several_labels_and_texts_come_back(label: str, names: str, tmp_path: Path) -> None:
    rows = [Row("test/1.txt", "test", label, names, "", {"format": "text"})]
    write_manifest(rows, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == rows
    assert read_labels([rows[0].label], 3).shape == (1, 1 if "." in label else 3)


def test_what_is_left_out_is_the_same_bytes_as_ever_and_comes_back(tmp_path: Path) -> None:
    left = in_order(
        [LeftOut("b", "unfit", 'it is "small", or dark'), LeftOut("NA", "junk", "", 3), LeftOut("a", "unfit", "")]
    )
    write_left_out(left, tmp_path / "refused.csv")
    assert (tmp_path / "refused.csv").read_text() == (
        'name,kind,reason,files\nNA,junk,,3\na,unfit,,1\nb,unfit,"it is ""small"", or dark",1\n'
    )
    assert refused(tmp_path) == left
    assert refused(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("name,split", "name,kind", "its columns are not name, split, label, class, sha256"),
        ("alpha,profile", "alpha,alpha", "its columns are not"),
        (",4:2:0\n", "\n", "line 3 has 15 cells, not 16"),
        ("\n", "\n\n", "line 2 has 0 cells"),
        (",10,", ",ten,", "label is 'ten'"),
        (",10,", ",-1,", "label is '-1'"),
        (",10,", ",9999999999,", "label is '9999999999'"),
        (",10,,", ',"[0, 1]","[""a""]",', r"are not the labels of an image"),
        (",10,,", ',"[0, 1.5]","[""a"", ""b""]",', r"are not the labels of an image"),
        (",10,,", ',"[0]","[""a""]",', "'test/null' has a list of classes, those before it a class"),
        (",10,,", ',"[1e16, 2.0]","[""a"", ""b""]",', "has 2 numbers, those before it a class"),
        (",10,,", "," + "[" * 100_000 + ",,", "recursion"),
        (",10,,", ',"[0",,', "delimiter"),
        ("null,test", "null,../x", "split is '../x'"),
        ("JPEG,RGB,8,", "JPEG,RGB,eight,", "'eight'"),
        ("JPEG,RGB,8,", f"JPEG,RGB,{'8' * 999},", "depth is '888"),
        ("0.30000000000000004", "nan", "jpeg_step is 'nan'"),
        ("test/null", "test/nu\0ll", "it holds a NUL character"),
        ("test/null", "n" * (LONGEST_CELL + 1), "field larger than field limit"),
        ('lines",', "lines,", "unexpected end of data"),
        ("", "", "its last line has no end"),
    ],
)
def test_a_damaged_manifest_is_named_with_what_is_wrong(before: str, after: str, words: str, tmp_path: Path) -> None:
    text = WRITTEN.replace(before, after) if before else WRITTEN[:-3]
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"manifest\.csv: is damaged \(.*{words}.*\); delete it and run `dvc repro`"):
        read_manifest(tmp_path / "manifest.csv")


def damages(whole: bytes) -> Iterator[bytes]:
    """It ends at a byte, or a byte is another: each in turn."""
    for place in range(len(whole)):
        byte = (None, b"\xff", b'"', b",", b"\n")[place % 5]
        yield whole[:place] if byte is None else whole[:place] + byte + whole[place + 1 :]


def test_whatever_becomes_of_a_byte_nothing_but_one_line_is_raised(tmp_path: Path) -> None:
    manifest, left_out = tmp_path / "manifest.csv", tmp_path / "skipped.csv"
    write_manifest(ROWS[:1], manifest)
    write_left_out([LeftOut("a,", "junk", "hidden", 3), LeftOut("b", "unfit", "")], left_out)
    said = []
    for path, read in ((manifest, read_manifest), (left_out, read_left_out)):
        for damaged in damages(path.read_bytes()):
            path.write_bytes(damaged)
            with suppress(UserError):
                read(path)
                continue
            said.append(path)
    assert said.count(manifest) > 150
    assert said.count(left_out) > 40


def test_an_absent_manifest_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"none\.csv: cannot be read \(No such file or directory\); `dvc repro` makes it"
    ):
        read_manifest(tmp_path / "none.csv")
