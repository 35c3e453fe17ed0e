"""One numbering over all splits; every file is an image of a class, or listed with its reason."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.fetch import fetch
from tests.weighbridge.images.pictures import recipe
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from weighbridge.images.judging import judge_images, stored_facts
from weighbridge.images.label_tables import list_table
from weighbridge.images.listing import LeftOut, natural, plain
from weighbridge.images.manifest import (
    Row,
    not_weighed,
    read_left_out,
    read_manifest,
    refused,
    write_left_out,
    write_manifest,
)
from weighbridge.images.pixels import load_pixels
from weighbridge.params.data import Data, Labels

LABELS = Labels(file="labels.csv", name="id", label="label")


def write(path: Path, level: int = 0, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level, level, level)).save(path, **how)
    return path


def taken(source: Path, images: Path, **changes: object) -> tuple[list[Row], list[LeftOut]]:
    return fetch(source, Data.model_validate({"source": str(source), **changes}), images)


def found(source: Path, images: Path, **changes: object) -> list[Finding]:
    return list(judge_images("m", *taken(source, images, **changes), order=changes.get("order", "text")))  # type: ignore[arg-type]


def warnings(findings: list[Finding]) -> list[str]:
    return [each.sentence for each in findings if each.verdict is Verdict.WARN]


@pytest.mark.parametrize(
    ("train", "test"),
    [("abc", "bcd"), (("0", "90", "180", "270"), ("0", "90", "270")), ("ab", "ab"), ("a", "b")],
    ids=["shifted", "one lacks", "alike", "apart"],
)
def test_classes_are_numbered_over_all_splits(train: str, test: str, tmp_path: Path) -> None:
    for split, names in (("train", train), ("test", test)):
        for name in names:
            write(tmp_path / "s" / split / name / "1.png", len(name))
    known = sorted({*train, *test})
    manifest, left = taken(tmp_path / "s", tmp_path / "images", classes=len(known))
    assert [row.label for row in manifest] == [known.index(row.class_name) for row in manifest]
    lacking = sorted(
        [*(f"test/{n}/" for n in set(train) - set(test)), *(f"train/{n}/" for n in set(test) - set(train))]
    )
    assert [each.name for each in left] == lacking
    sentences = warnings(list(judge_images("m", manifest, left)))
    assert any("in one of train and test only" in each for each in sentences) == bool(lacking)


@pytest.mark.parametrize(
    ("train", "folder"),
    [
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("Training", "Testing"),
        ("Train", "Test"),
        ("train", "dev"),
    ],
)
def test_the_usual_names_of_splits_are_known(train: str, folder: str, tmp_path: Path) -> None:
    for split in (train, folder):
        for name in "ab":
            write(tmp_path / "s" / split / name / "1.png")
    manifest, _ = taken(tmp_path / "s", tmp_path / "images", classes=2)
    assert [row.name for row in manifest] == ["test/a/1.png", "test/b/1.png", "train/a/1.png", "train/b/1.png"]


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    for name in ("bus", "test", "train"):
        write(tmp_path / "s" / name / "1.png")
    manifest, _ = taken(tmp_path / "s", tmp_path / "images", classes=3)
    assert [row.class_name for row in manifest] == ["bus", "test", "train"]


def oracle(manifest: list[Row], images: Path) -> float:
    """How often a network is right that sees the class in the level of grey."""
    levels = [load_pixels(images / name, recipe(resize=None)).mean() for name, *_ in manifest]
    return float((np.round(np.asarray(levels) / 20) == [row.label for row in manifest]).mean())


def test_numbers_sorted_as_text_are_said_and_can_be_sorted_as_numbers(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "s" / str(number) / "1.png", 20 * number)
    manifest, left = taken(tmp_path / "s", tmp_path / "text", classes=12)
    assert oracle(manifest, tmp_path / "text") == pytest.approx(2 / 12)
    judged = list(judge_images("m", manifest, left))
    assert "'10' is class 2" in judged[-1].sentence
    assert "order to natural" in judged[-1].sentence
    assert warnings(judged) == []  # it may be right so; `accuracy_check` sees whether
    manifest, left = taken(tmp_path / "s", tmp_path / "natural", classes=12, order="natural")
    assert oracle(manifest, tmp_path / "natural") == 1
    assert warnings(list(judge_images("m", manifest, left, "natural"))) == []


def test_a_natural_order_is_no_question_where_text_gives_the_same(tmp_path: Path) -> None:
    for name in ("class01", "class02", "class10"):
        write(tmp_path / "s" / name / "1.png", len(name) + int(name[-2:]))
    assert warnings(found(tmp_path / "s", tmp_path / "images", classes=3)) == []
    assert sorted(["class10", "class9", "b", "10", "9", ""], key=natural) == ["", "9", "10", "b", "class9", "class10"]


def test_the_order_may_be_listed_with_classes_that_have_no_image(tmp_path: Path) -> None:
    for level, name in enumerate(("cat", "ant")):
        write(tmp_path / "s" / name / "1.png", level)
    order = ["dog", "cat", "cow", "ant"]
    manifest, left = taken(tmp_path / "s", tmp_path / "images", classes=4, order=order)
    assert [(row.class_name, row.label) for row in manifest] == [("ant", 3), ("cat", 1)]
    said = " ".join(each.sentence for each in judge_images("m", manifest, left, order))
    assert "over 2 of 4 classes" in said
    with pytest.raises(UserError, match=r"has a class 'cat', which data\.order"):
        taken(tmp_path / "s", tmp_path / "more", classes=2, order=["dog", "ant"])


def test_accents_written_in_two_ways_are_one_name_in_a_list_and_no_second_class_in_silence(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    for name in (apart, "tea"):
        write(tmp_path / "s/test" / name / "1.png", len(name))
    manifest, _ = taken(tmp_path / "s", tmp_path / "images", classes=2, order=["tea", composed])
    assert {row.class_name: row.label for row in manifest} == {"tea": 0, apart: 1}
    write(tmp_path / "s/train" / composed / "1.png")
    with pytest.raises(UserError, match="two classes that both read"):
        taken(tmp_path / "s", tmp_path / "more", classes=2)


def test_folders_of_any_name_are_looked_into(tmp_path: Path) -> None:
    write(tmp_path / "s" / "a\nb" / "x" / "1.png")
    write(tmp_path / "s" / b"\xff".decode(errors="surrogateescape") / "1.png", 1)
    manifest, _ = taken(tmp_path / "s", tmp_path / "images", classes=2)
    assert len(manifest) == 2


# ---- by content


def test_images_are_judged_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "s/cat"
    kinds = {
        "1.jpg": "JPEG", "2.jfif": "JPEG", "3.avif": "AVIF", "4.jp2": "JPEG2000", "5.tga": "TGA", "6": "PNG", "7.JPG": "JPEG",
        "8.png": "JPEG", "9.dat": "WEBP", "10.txt": "GIF", "11.qoi": "QOI", "12.tif": "TIFF",
    }  # fmt: skip
    for name, kind in kinds.items():
        write(folder / name, 9, format=kind)
    (folder / "notes.txt").write_text("cats\n")
    np.save(folder / "cat.npy", np.zeros(3))
    (folder / "13.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (folder / "link.png").symlink_to(folder / "nowhere.png")
    write(tmp_path / "s/stray.png")
    manifest, left = taken(tmp_path / "s", tmp_path / "images", classes=1)
    assert {row.name.removeprefix("test/cat/"): row.stored["format"] for row in manifest} == kinds
    assert [(each.name, each.kind) for each in left] == [
        ("stray.png", "outside"),
        ("cat/link.png", "unread"),
        ("test/cat/13.heic", "unread"),
        ("test/cat/cat.npy", "unread"),
        ("test/cat/notes.txt", "unread"),
    ]
    (sentence,) = warnings(list(judge_images("m", manifest, left)))
    assert sentence == (
        "12 test images were weighed; of the source's other files 4 are no images; 1 lie in no class's folder "
        "(first: cat/link.png, test/cat/13.heic, test/cat/cat.npy and 1 more): data/skipped.csv."
    )


def test_what_systems_leave_behind_is_no_class_and_no_image_and_said_once(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write(tmp_path / "s" / name / "1.jpg", len(name) + ord(name[0]))
        write(tmp_path / "s" / name / ".ipynb_checkpoints/1-checkpoint.jpg")
        for junk in ("Thumbs.db", ".DS_Store", "._1.jpg", "desktop.ini"):
            (tmp_path / "s" / name / junk).write_bytes(b"x")
    write(tmp_path / "s/.ipynb_checkpoints/2.jpg")
    write(tmp_path / "s/__MACOSX/cat/._1.jpg")
    manifest, left = taken(tmp_path / "s", tmp_path / "images", classes=2)
    assert [row.name for row in manifest] == ["test/cat/1.jpg", "test/dog/1.jpg"]
    assert {each.kind for each in left} == {"junk"}
    assert {each.name: each.files for each in left} == {
        ".*": 2, ".DS_Store": 2, ".ipynb_checkpoints/": 3, "Thumbs.db": 2, "__MACOSX/": 1, "desktop.ini": 2
    }  # fmt: skip
    assert warnings(list(judge_images("m", manifest, left))) == []


def test_links_are_followed_and_a_link_into_itself_ends(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/deep/1.png")
    (tmp_path / "s/cat").mkdir(parents=True)
    (tmp_path / "s/cat/more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere/deep/again").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    manifest, left = taken(tmp_path / "s", tmp_path / "images", classes=1)
    assert [row.name for row in manifest] == ["test/cat/more/deep/1.png"]
    assert [each.kind for each in left] == ["unread"]


def test_strange_names_are_kept_apart_and_written_down(tmp_path: Path) -> None:
    names = [
        'a,"b".png',
        "a\nb.png",
        "NA",
        "null.png",
        b"\xff\xfe.png".decode(errors="surrogateescape"),
        " .png",
        "ä ö.png",
    ]
    for number, name in enumerate(names):
        write(tmp_path / "s/NA" / name, number, format="PNG")
    manifest, left = taken(tmp_path / "s", tmp_path / "images", classes=1)
    assert len(manifest) == len(names)
    assert left == []
    write_manifest(manifest, tmp_path / "manifest.csv")
    again = read_manifest(tmp_path / "manifest.csv")
    assert again == manifest
    assert {row.class_name for row in again} == {"NA"}
    assert all((tmp_path / "images" / row.name).is_file() for row in again)
    assert plain("a\nb") == r"a\nb"


def test_nothing_left_to_be_weighed_is_said_with_the_reason(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / "s" / name / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(UserError, match=r"s: no test image is left to be weighed; .* test/a/1\.png: cannot be decoded"):
        taken(tmp_path / "s", tmp_path / "images", classes=2, corrupt="skip")


def test_the_same_bytes_under_two_labels_or_in_train_and_test_are_a_finding(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for level, name in enumerate("ab"):
            write(tmp_path / "s" / split / name / "own.png", 10 + level + 5 * (split == "test"))
    write(tmp_path / "s/test/a/both.png", 99)
    write(tmp_path / "s/test/b/both.png", 99)
    write(tmp_path / "s/train/a/seen.png", 98)
    write(tmp_path / "s/test/a/seen.png", 98)
    assert warnings(found(tmp_path / "s", tmp_path / "images", classes=2)) == [
        "1 images are there under two labels, byte by byte: test/a/both.png = test/b/both.png.",
        "1 images are there in train and test, byte by byte: test/a/seen.png = train/a/seen.png.",
    ]


def test_what_fetch_writes_is_judged_the_same_when_read_back(tmp_path: Path) -> None:
    write(tmp_path / "s/a/1.png", 1)
    write(tmp_path / "s/b/1.png", 1)
    (tmp_path / "s/c").mkdir()
    (tmp_path / "s/a/notes.txt").write_text("x")
    for folder, names in ((tmp_path / "s", "abc"), (tmp_path / "s", ["a", "b", "c", "d"])):
        order = "text" if isinstance(names, str) else names
        manifest, left = taken(folder, tmp_path / f"images{len(names)}", classes=len(names), order=order)
        write_manifest(manifest, tmp_path / "manifest.csv")
        write_left_out(left, tmp_path / "skipped.csv")
        again = read_manifest(tmp_path / "manifest.csv")
        known = [*read_left_out(tmp_path / "skipped.csv"), *refused(tmp_path)]
        assert list(judge_images("m", again, known, order)) == list(judge_images("m", manifest, left, order))
        assert stored_facts(again) == stored_facts(manifest)
        assert not_weighed(known) == 1


# ---- tables


def table(folder: Path, *rows: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join(["id,label", *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (["x/a.jpg,0", "y/a.jpg,1"], {"x/a.jpg": 0, "y/a.jpg": 1}),
        (["x/a,0", r"y\a.jpg,1"], {"x/a.jpg": 0, "y/a.jpg": 1}),
        (["./only.png,1"], {"x/only.png": 1}),
        (["only,1"], {"x/only.png": 1}),
        (["top.jpg,0", "top.png,1"], {"top.jpg": 0, "top.png": 1}),
    ],
)
def test_a_table_finds_images_by_what_it_may_call_them(rows: list[str], names: dict[str, int], tmp_path: Path) -> None:
    for level, name in enumerate(("x/a.jpg", "y/a.jpg", "x/only.png", "top.jpg", "top.png")):
        write(tmp_path / "s" / name, level)
    manifest, left = taken(table(tmp_path / "s", *rows), tmp_path / "images", classes=2, labels=LABELS)
    assert {row.name.removeprefix("test/"): row.label for row in manifest} == names
    assert sum(each.kind == "unlisted" for each in left) == 5 - len(names)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["top,0"], r"lists 'top', which may be top\.jpg or top\.png"),
        (["a.jpg,0"], r"which may be x/a\.jpg or y/a\.jpg"),
        (["top.jpg,0", "top.jpg,1"], r"lists top\.jpg under two labels, 0 and 1"),
        (["x/only,0", "x/only.png,1"], r"lists x/only\.png under two labels, 0 and 1"),
        (["only.jpg,0"], r"lists 'only\.jpg', but .*s has no such image; x/only\.png has that stem"),
        (["x/ONLY.PNG,0"], r"x/only\.png has that stem"),
        (["top.jpg,1", "top.png,2"], r"row 3 has label 2, outside 0\.\.1 .*set data\.labels\.first to 1"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(rows: list[str], words: str, tmp_path: Path) -> None:
    for level, name in enumerate(("x/a.jpg", "y/a.jpg", "x/only.png", "top.jpg", "top.png")):
        write(tmp_path / "s" / name, level)
    with pytest.raises(UserError, match=words):
        taken(table(tmp_path / "s", *rows), tmp_path / "images", classes=2, labels=LABELS)


def test_a_row_that_is_there_twice_counts_once_and_is_said(tmp_path: Path) -> None:
    write(tmp_path / "s/a.png")
    manifest, left = taken(table(tmp_path / "s", "a.png,0", "a.png,0"), tmp_path / "images", classes=1, labels=LABELS)
    assert len(manifest) == 1
    assert [(each.name, each.kind, each.files) for each in left] == [("a.png", "twice", 1)]


def test_labels_may_count_from_1_or_be_names(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"s/{number}.png", 20 * number)
    source = table(tmp_path / "s", *(f"{number},{number + 1}" for number in range(3)))
    from_one = LABELS.model_copy(update={"first": 1})
    manifest, _ = taken(source, tmp_path / "one", classes=3, labels=from_one)
    assert oracle(manifest, tmp_path / "one") == 1
    source = table(tmp_path / "s", "2,b", "0,NA", "1,a")  # a permuted table
    manifest, _ = taken(source, tmp_path / "names", classes=3, labels=LABELS)
    assert {row.class_name: row.label for row in manifest} == {"NA": 0, "a": 1, "b": 2}
    assert oracle(manifest, tmp_path / "names") == 1


def test_an_image_that_a_table_lists_and_that_is_none_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(UserError, match=r"a\.dcm: cannot be decoded as an image \(it is a DICOM file"):
        taken(table(tmp_path / "s", "a,0"), tmp_path / "images", classes=1, labels=LABELS)


def test_what_people_and_libraries_leave_in_tables_is_read(tmp_path: Path) -> None:
    """Blanks around names, whole numbers with a point (as pandas writes them beside gaps); Windows' notes beside downloads."""
    for name in ("a.png", "b.png"):
        write(tmp_path / "s" / name)
    (tmp_path / "s/a.png:Zone.Identifier").write_text("[ZoneTransfer]")
    (tmp_path / "s/labels.csv").write_text("id,label\n a.png ,1.0\nb.png,0.0\n")
    asked = Labels(file="labels.csv", name="id", label="label")
    listing = list_table(tmp_path / "s", ".", asked, "text", 2)
    assert [(image.path.name, image.class_name) for image in listing.images] == [("a.png", "1"), ("b.png", "0")]
    assert [left.kind for left in listing.left_out] == ["junk"]
