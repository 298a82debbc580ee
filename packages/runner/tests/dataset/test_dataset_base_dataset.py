from __future__ import annotations

import json
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
import yaml
from dataset_parts import toy

from eng.config import Config
from eng.dataset import AnnotationError, BaseDataset, PipelineError, SampleIndexError, force_full_init

FILE = {
    "metainfo": {"classes": ["cat", "dog"], "task": "file", "version": 1},
    "data_list": [{"img_path": f"{i}.jpg", "label": i} for i in range(5)],
}


@pytest.fixture
def annotations(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(FILE))
    return tmp_path


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("json", json.dumps),
        ("yaml", yaml.safe_dump),
        ("yml", yaml.safe_dump),
        ("pkl", pickle.dumps),
        ("pickle", pickle.dumps),
    ],
)
@pytest.mark.parametrize("serialize", [True, False], ids=["packed", "objects"])
def test_annotations_of_each_format(tmp_path, suffix, write, serialize):
    content = write(FILE)
    (tmp_path / f"a.{suffix}").write_bytes(content if isinstance(content, bytes) else content.encode())
    dataset = toy(tmp_path, ann_file=f"a.{suffix}", serialize_data=serialize)
    assert len(dataset) == 5
    assert dataset.get_data_info(3) == {"img_path": f"{tmp_path}/imgs/3.jpg", "label": 3, "sample_idx": 3}
    assert dataset[-1]["sample_idx"] == 4


def test_metainfo_priority_is_argument_then_class_then_file(annotations):
    class Toy(BaseDataset):
        METAINFO = {"task": "class", "version": 2}

    dataset = Toy("train.json", metainfo={"version": 3}, data_root=str(annotations), data_prefix={"img_path": ""})
    assert dataset.metainfo == {"version": 3, "task": "class", "classes": ["cat", "dog"]}
    dataset.metainfo["task"] = "changed"
    assert dataset.metainfo["task"] == "class" and Toy.METAINFO == {"task": "class", "version": 2}


def test_metainfo_value_may_name_a_file_of_lines(annotations):
    (annotations / "classes.txt").write_text("a\nb\n")
    dataset = toy(
        annotations, metainfo={"classes": str(annotations / "classes.txt"), "note": "no file"}, lazy_init=True
    )
    assert dataset.metainfo == {"classes": ["a", "b"], "note": "no file"}


@pytest.mark.parametrize(
    ("root", "ann_file", "prefix", "joined_file", "joined_prefix"),
    [
        ("data", "a.json", "train", "data/a.json", "data/train"),
        ("data", "/abs/a.json", "/abs/train", "/abs/a.json", "/abs/train"),
        ("data", "s3://b/a.json", "s3://b/train", "s3://b/a.json", "s3://b/train"),
        ("s3://b", "a.json", "train", "s3://b/a.json", "s3://b/train"),
        ("", "a.json", "train", "a.json", "train"),
        (None, "a.json", "train", "a.json", "train"),
        ("data", "a.json", None, "data/a.json", "data"),
    ],
    ids=["relative", "absolute", "urls", "url-root", "no-root", "none-root", "none-prefix"],
)
def test_paths_are_joined_to_the_root(root, ann_file, prefix, joined_file, joined_prefix):
    dataset = BaseDataset(ann_file, data_root=root, data_prefix={"img_path": prefix}, lazy_init=True)
    assert (dataset.ann_file, dataset.data_prefix["img_path"]) == (joined_file, joined_prefix)


def test_the_callers_prefix_is_not_changed(annotations):
    prefix = {"img_path": "imgs"}
    toy(annotations, data_prefix=prefix)
    assert prefix == {"img_path": "imgs"}


def test_an_entry_may_give_many_samples(annotations):
    class Video(BaseDataset):
        def parse_data_info(self, raw_data_info):
            return [{"frame": (raw_data_info["label"], n)} for n in range(2)]

    dataset = Video("train.json", data_root=str(annotations))
    assert [dataset.get_data_info(i)["frame"] for i in range(4)] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_filter_then_indices_then_packing(annotations):
    class Filtered(BaseDataset):
        def filter_data(self):
            return [info for info in self.data_list if info["label"] >= self.filter_cfg["least"]]

    dataset = Filtered(
        "train.json", data_root=str(annotations), data_prefix={"img_path": ""}, filter_cfg={"least": 2}, indices=2
    )
    assert [dataset[i]["label"] for i in range(len(dataset))] == [2, 3]
    assert dataset.data_list == [] and dataset.data_bytes.nbytes > 0


@pytest.mark.parametrize("serialize", [True, False], ids=["packed", "objects"])
@pytest.mark.parametrize(
    ("indices", "labels"),
    [
        (2, [0, 1]),
        (-2, [3, 4]),
        ([4, 0], [4, 0]),
        ([-1], [4]),
        (np.array([1, 2]), [1, 2]),
        (99, [0, 1, 2, 3, 4]),
        ([], []),
        (0, []),
    ],
    ids=str,
)
def test_subsets(annotations, serialize, indices, labels):
    dataset = toy(annotations, serialize_data=serialize, pipeline=[lambda data: data["label"]])
    subset = dataset.get_subset(indices)
    assert [subset[i] for i in range(len(subset))] == labels and len(dataset) == 5
    assert subset.metainfo == dataset.metainfo and type(subset) is type(dataset)
    dataset.get_subset_(indices)
    assert [dataset[i] for i in range(len(dataset))] == labels
    assert list(subset) == labels  # iteration ends by IndexError


def test_objects_in_a_subset_and_infos_are_copies(annotations):
    dataset = toy(annotations, serialize_data=False)
    dataset.get_subset(2).data_list[0]["label"] = 99
    dataset.get_data_info(0)["label"] = 98
    assert dataset.get_data_info(0)["label"] == 0


@pytest.mark.parametrize(
    ("indices", "error"),
    [("abc", TypeError), (1.5, TypeError), (True, TypeError), ([7], SampleIndexError), ([-6], SampleIndexError)],
    ids=str,
)
def test_bad_subsets(annotations, indices, error):
    with pytest.raises(error, match=r"indices must be|sample -?\d of BaseDataset does not exist: it has 5 samples"):
        toy(annotations).get_subset(indices)


@pytest.mark.parametrize("serialize", [True, False], ids=["packed", "objects"])
@pytest.mark.parametrize("index", [5, -6, 1000])
def test_index_out_of_range_is_named(annotations, serialize, index):
    with pytest.raises(IndexError, match=f"sample {index} of BaseDataset does not exist: it has 5 samples, 0 to 4"):
        toy(annotations, serialize_data=serialize)[index]


@pytest.mark.parametrize("index", ["1", 1.0, None, [1]], ids=repr)
def test_a_number_that_is_none_is_named(annotations, index):
    with pytest.raises(TypeError, match="number of a sample of BaseDataset must be an int, got"):
        toy(annotations)[index]


@pytest.mark.parametrize("index", [np.int64(1), torch.tensor(1), True], ids=repr)
def test_whole_numbers_of_any_type_are_taken(annotations, index):
    assert toy(annotations)[index]["sample_idx"] == 1


def test_lazy_init_reads_at_the_first_use(annotations):
    dataset = toy(annotations, lazy_init=True)
    assert not dataset._fully_initialized and "classes" not in dataset.metainfo
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(dataset) == 5
    assert dataset._fully_initialized and dataset.metainfo["task"] == "file"
    with pytest.warns(UserWarning, match="full_init"):
        assert toy(annotations, lazy_init=True)[0]["label"] == 0


def test_full_init_runs_once(annotations):
    dataset = toy(annotations)
    address = dataset.data_address
    dataset.full_init()
    assert dataset.data_address is address


def test_force_full_init_needs_a_full_init():
    class Bare:
        @force_full_init
        def size(self):
            return 3

    with pytest.raises(AttributeError, match="Bare needs a full_init"):
        Bare().size()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", b"{"), ("a.yaml", b"a: [1"), ("a.pkl", b"\x80\x05nonsense"), ("b.pkl", b""), ("a.txt", b"x")],
    ids=str,
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=f"{name}: (cannot be parsed|must end in one of)"):
        toy(tmp_path, ann_file=name)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"annotation file .*nowhere\.json does not exist"):
        toy(tmp_path, ann_file="nowhere.json")


def test_paths_may_be_objects(annotations):
    given = BaseDataset(Path("train.json"), data_root=Path(annotations), data_prefix={"img_path": "imgs"})
    assert given[0] == toy(annotations)[0]


def test_a_file_name_of_another_type_is_named():
    with pytest.raises(AnnotationError, match="ann_file: must be the path of a file, got int: 3"):
        BaseDataset(3)


def test_empty_file_name_says_what_to_do():
    with pytest.raises(AnnotationError, match=r"override load_data_list\(\)"):
        BaseDataset()


@pytest.mark.parametrize(("given", "got"), [(3, "int"), ([{}, 3], "list of int"), (None, "NoneType")], ids=str)
def test_parse_data_info_must_give_dicts(annotations, given, got):
    class Wrong(BaseDataset):
        def parse_data_info(self, raw_data_info):
            return given

    with pytest.raises(TypeError, match=rf"parse_data_info\(\) must give one dict, or several in a list, got {got}"):
        Wrong("train.json", data_root=str(annotations))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"metainfo": [1]}, "metainfo should be a Mapping or a Config, but got list"),
        ({"data_prefix": {"img_path": 3}}, r"data_prefix\['img_path'\] must be a string or None, got int"),
        ({"pipeline": [3]}, r"pipeline\[0\] must be a callable or a config"),
    ],
    ids=["metainfo", "prefix", "pipeline"],
)
def test_arguments_of_the_wrong_type(options, match):
    with pytest.raises(TypeError, match=match):
        BaseDataset(lazy_init=True, **options)


def test_dropped_samples_are_replaced_in_training(annotations):
    dataset = toy(annotations, pipeline=[lambda data: None if data["label"] == 0 else data["label"]])
    assert dataset[0] in {1, 2, 3, 4}


def test_pipeline_that_always_drops_names_the_samples(annotations):
    dataset = toy(annotations, pipeline=[lambda data: None], max_refetch=3)
    with pytest.raises(PipelineError, match=r"gave None 4 times in a row \(max_refetch=3\), for samples 2, ") as error:
        dataset[2]
    assert error.value.indices[0] == 2 and len(error.value.indices) == 4


def test_test_mode_does_not_replace_samples(annotations):
    with pytest.raises(PipelineError, match="None for sample 2, which test_mode does not allow"):
        toy(annotations, pipeline=[lambda data: None], test_mode=True)[2]


def test_full_init_written_by_a_library_works(annotations):
    class Library(BaseDataset):
        def full_init(self):
            if self._fully_initialized:
                return
            self.data_list = self.load_data_list()
            self.data_list = self.filter_data()
            self.data_list = self._get_unserialized_subset(3)
            if self.serialize_data:
                self.data_bytes, self.data_address = self._serialize_data()
            self._fully_initialized = True

    dataset = Library("train.json", data_root=str(annotations))
    assert len(dataset) == 3 and dataset[2]["label"] == 2


def test_get_cat_ids_is_for_subclasses(annotations):
    with pytest.raises(NotImplementedError, match="BaseDataset must define get_cat_ids"):
        toy(annotations).get_cat_ids(0)


@pytest.mark.parametrize(
    "metainfo", [Config({"classes": ["cat"]}), MappingProxyType({"classes": ["cat"]}), OrderedDict(classes=["cat"])]
)
def test_metainfo_is_any_mapping(metainfo):
    class Rows(BaseDataset):
        METAINFO = {"task": "rows"}

        def load_data_list(self):
            return [{"x": 1}]

    assert Rows(metainfo=metainfo).metainfo == {"task": "rows", "classes": ["cat"]}


@pytest.mark.parametrize("ann_file", ["", None, "a.txt"])
def test_no_annotation_file_is_a_type_error(ann_file):
    with pytest.raises(TypeError, match=r"ann_file: is empty|must end in one of"):
        BaseDataset(ann_file=ann_file)
