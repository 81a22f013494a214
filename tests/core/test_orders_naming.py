"""Names in a package: templates, mending, shortening, numbering."""

import time
from typing import Any

import pytest

from entrepot.core.conversions.rules import load_media_rules
from entrepot.core.orders.naming import (
    FOLDERS_BYTES_MAX,
    NAME_BYTES_MAX,
    compile_template,
    fields_of,
    mend_folders,
    mend_name,
    number_duplicates,
    take_apart,
)
from entrepot.kit.file_names import check_file_name

VALUES = {
    "asset.id": "20001",
    "asset.title": "Hafen / Nord",
    "asset.stem": "IMG_1",
    "asset.group": "Images",
    "asset.folder": "a/b c/CON",
    "rendition": "preview",
    "ext": "jpg",
}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{asset.stem}.{ext}", ((), "IMG_1.jpg")),
        ("{asset.id}_{asset.title}_{rendition}.{ext}", ((), "20001_Hafen _ Nord_preview.jpg")),
        ("{asset.group}/{asset.stem}.{ext}", (("Images",), "IMG_1.jpg")),
        ("x/{asset.folder}/{asset.id}.{ext}", (("x", "a", "b c", "_CON"), "20001.jpg")),
        ("in {asset.folder}/{asset.id}.{ext}", (("in a_b c_CON",), "20001.jpg")),
        ("{asset.title}/{asset.id}.{ext}", (("Hafen _ Nord",), "20001.jpg")),
        ("plain", ((), "plain")),
    ],
)
def test_a_template_is_filled_in(template: str, made: Any) -> None:
    assert compile_template(template)(VALUES) == made


def test_a_template_says_what_it_needs() -> None:
    assert fields_of("{asset.folder}/{asset.id}_{index}") == {
        "asset.folder",
        "asset.id",
        "index",
        "ext",
    }


def test_every_resolver_of_the_built_in_rules_can_be_filled_in() -> None:
    every = dict.fromkeys(
        ("asset.identifier", "asset.file_name", "preset", "original_ext", "index"), "x"
    )
    values = VALUES | every | {"order.id": "1", "order.name": "n"}
    for resolver in load_media_rules(None).resolvers.values():
        folders, name = compile_template(resolver.template)(values)
        assert name.endswith(".jpg")
        assert all(folders)


@pytest.mark.parametrize(
    ("name", "mended"),
    [
        ("plain.jpg", "plain.jpg"),
        (" a b .jpg ", "a b .jpg"),
        ('a/b\\c:d*e?f"g<h>i|j.jpg', "a_b_c_d_e_f_g_h_i_j.jpg"),
        ("tab\tnew\nline.txt", "tab_new_line.txt"),
        ("gnp\u202egpj.exe", "gnp_gpj.exe"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg"),
        ("..", "file"),
        ("", "file"),
        ("...", "file"),
        ("name. . .", "name"),
        ("a.\u3000.", "a"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("com1.txt", "_com1.txt"),
        (".hidden", ".hidden"),
        ("写真.jpg", "写真.jpg"),
    ],
)
def test_a_name_is_mended(name: str, mended: str) -> None:
    assert mend_name(name) == mended
    assert check_file_name(mended, field="name") == mended


@pytest.mark.parametrize("letter", ["a", "é", "写", "😀"])
def test_a_long_name_is_cut_between_characters_and_keeps_its_ending(letter: str) -> None:
    made = mend_name(f"{letter * 300}.jpeg", "jpeg")
    assert made.endswith(f"{letter}.jpeg")
    size = len(letter.encode())
    assert NAME_BYTES_MAX - size < len(made.encode()) <= NAME_BYTES_MAX


def test_an_ending_is_what_is_short_and_behind_a_dot() -> None:
    assert take_apart("a.tar.gz") == ("a.tar", ".gz")
    assert take_apart("a.tar.gz", "tar.gz") == ("a", ".tar.gz")
    assert take_apart(".hidden") == (".hidden", "")
    assert take_apart("none") == ("none", "")
    assert take_apart("a." + "x" * 17) == ("a." + "x" * 17, "")


def test_folders_are_mended_and_deep_ones_left_out() -> None:
    assert mend_folders("") == ()
    assert mend_folders("/a//. /../b:c/") == ("a", "b_c")
    deep = mend_folders("/".join(["folder"] * 100))
    assert 0 < len("/".join(deep).encode()) <= FOLDERS_BYTES_MAX
    assert set(deep) == {"folder"}


def names(*found: str) -> list[str]:
    return number_duplicates(
        [(tuple(each.split("/")[:-1]), each.rpartition("/")[2]) for each in found]
    )


def test_equal_names_are_numbered_where_a_system_ignores_case() -> None:
    assert names("a.jpg", "A.JPG", "b.jpg", "a.jpg") == [
        "a.jpg",
        "A (2).JPG",
        "b.jpg",
        "a (3).jpg",
    ]
    assert names("straße.txt", "STRASSE.txt") == ["straße.txt", "STRASSE (2).txt"]
    assert names("x/a.jpg", "y/a.jpg", "X/A.jpg") == ["x/a.jpg", "y/a.jpg", "X/A (2).jpg"]


def test_a_number_that_is_taken_is_passed_over() -> None:
    assert names("a (2).jpg", "a.jpg", "a.jpg", "a (2).jpg") == [
        "a (2).jpg",
        "a.jpg",
        "a (3).jpg",
        "a (2) (2).jpg",
    ]


def test_the_papers_and_the_folders_keep_their_names() -> None:
    assert names("ORDER.json", "manifest.json", "report.txt", "x/report.txt") == [
        "ORDER (2).json",
        "manifest (2).json",
        "report (2).txt",
        "x/report.txt",
    ]
    assert names("Images", "images/a.jpg", "images/a.jpg/b") == [
        "Images (2)",
        "images/a (2).jpg",
        "images/a.jpg/b",
    ]


def test_a_numbered_name_is_no_longer_than_any() -> None:
    long = "é" * 98 + ".jpg"
    first, second = names(long, long)
    assert first == long
    assert second.endswith("é (2).jpg")
    assert len(second.encode()) <= NAME_BYTES_MAX


def test_100_000_names_take_little_even_where_all_are_equal() -> None:
    resolve = compile_template("{asset.group}/{asset.stem}_{rendition}.{ext}")
    began = time.thread_time()
    made = number_duplicates([resolve(VALUES) for _ in range(100_000)])
    assert len(set(made)) == 100_000
    assert made[-1] == "Images/IMG_1_preview (100000).jpg"
    assert time.thread_time() - began < 5  # seconds of CPU; usually under one
