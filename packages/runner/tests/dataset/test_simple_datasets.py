"""Image folders, tables, JSON lines, text files and folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from eng.dataset import CsvDataset, ImageFolderDataset, JsonLinesDataset, TextFileDataset
from eng.dataset.errors import AnnotationError
from eng.registry import DATASETS


def test_images_lie_in_a_folder_per_class(tmp_path: Path) -> None:
    for name in ("dog/b.PNG", "cat/deep/a.jpg", "cat/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = DATASETS.build({"type": "ImageFolderDataset", "root": str(tmp_path)})
    assert data.metainfo["classes"] == ("cat", "dog")
    samples = [(data[i]["img_path"], data[i]["label"]) for i in range(len(data))]
    assert samples == [(str(tmp_path / "cat/deep/a.jpg"), 0), (str(tmp_path / "dog/b.PNG"), 1)]
    turned = ImageFolderDataset(tmp_path, metainfo={"classes": ["dog", "cat"]})
    assert [turned[i]["label"] for i in range(2)] == [0, 1]
    with pytest.raises(AnnotationError, match=r"holds no image in a folder per class.*put images in"):
        ImageFolderDataset(tmp_path / "dog")


def test_hidden_folders_are_no_classes_and_hidden_files_no_images(tmp_path: Path) -> None:
    for name in (".ipynb_checkpoints/c.png", "cat/a.png", "cat/._a.png", "cat/.ipynb_checkpoints/a.png", "dog/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = ImageFolderDataset(tmp_path)
    assert data.metainfo["classes"] == ("cat", "dog")
    assert [data[i]["img_path"] for i in range(len(data))] == [str(tmp_path / "cat/a.png"), str(tmp_path / "dog/b.png")]


def test_rows_of_a_table(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('name,age,label\n"a, b",1.5,2\nc,2,3\n')
    data = CsvDataset("a.csv", dtypes={"age": "float", "label": "int"}, data_root=str(tmp_path))
    expected = [{"name": "a, b", "age": 1.5, "label": 2}, {"name": "c", "age": 2.0, "label": 3}]
    assert [{key: data[i][key] for key in expected[0]} for i in range(len(data))] == expected


@pytest.mark.parametrize(
    ("text", "dtypes", "message"),
    [
        ("a,b\n1,x\n", {"b": "int"}, r"a\.csv:2 b: expected int, got 'x'"),
        ("a,b\n1\n", {}, r"a\.csv:2 has another number of columns"),
        ("a,b\n1,2,3\n", {}, r"a\.csv:2 has another number of columns"),
        ("a,b\n1,2\n", {"c": "int"}, r"has no column c; it has a, b"),
        ("a\n1\n", {"a": "bool"}, r"dtypes are float, int, str, not bool"),
    ],
)
def test_a_table_that_is_wrong_is_named_with_line_and_column(
    text: str, dtypes: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        CsvDataset(tmp_path / "a.csv", dtypes=dtypes)


def test_json_lines_and_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": [1, 2]}\n\n{"x": []}\n')
    data = JsonLinesDataset(tmp_path / "a.jsonl")
    assert [data[i]["x"] for i in range(len(data))] == [[1, 2], []]
    (tmp_path / "a.txt").write_text("one \n\nzwei: ü\n", encoding="utf-8")
    lines = TextFileDataset(tmp_path / "a.txt", pipeline=[lambda sample: sample["text"]])
    assert [lines[i] for i in range(len(lines))] == ["one ", "zwei: ü"]
    for text, message in [
        ('{"x": 1}\nx\n', r"a\.jsonl:2 is no JSON"),
        ("[1]\n", r"a\.jsonl:1: expected an object .* list"),
    ]:
        (tmp_path / "a.jsonl").write_text(text)
        with pytest.raises(AnnotationError, match=message):
            JsonLinesDataset(tmp_path / "a.jsonl")
