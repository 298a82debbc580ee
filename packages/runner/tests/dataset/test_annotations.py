from __future__ import annotations

import json

import pytest
from dataset_parts import toy

from eng.dataset import AnnotationError

BAD_FILES = {
    "no-metainfo": ({"data_list": []}, "a.json: has no key 'metainfo'; it has \\['data_list'\\]"),
    "no-data_list": ({"metainfo": {}}, "a.json: has no key 'data_list'"),
    "metainfo-list": ({"metainfo": [], "data_list": []}, "a.json: 'metainfo' must be a dictionary, got list"),
    "data_list-dict": ({"metainfo": {}, "data_list": {}}, "a.json: 'data_list' must be a list, got dict"),
    "list": ([1], "a.json: holds a list; expected a dictionary"),
    "entry-number": (
        {"metainfo": {}, "data_list": [{"img_path": "a"}, 3]},
        "a.json: each entry of 'data_list' must be a dictionary, got int: '3'",
    ),
    "entry-without-path": (
        {"metainfo": {}, "data_list": [{"x": 1}]},
        "a.json: an entry of 'data_list' has no 'img_path'.*\\['x'\\]",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_malformed_annotations_name_file_and_key(tmp_path, content, message):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=message):
        toy(tmp_path, ann_file="a.json")
