from __future__ import annotations

from pathlib import Path

import pytest

import eng.fileio as fileio


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("a/b.json", "LocalBackend"),
        (Path("a"), "LocalBackend"),
        ("http://x/y", "HTTPBackend"),
        ("https://x/y", "HTTPBackend"),
        ("s3://b/k", "FsspecBackend"),
        ("gs://b/k", "FsspecBackend"),
        ("petrel://b/k", "PetrelBackend"),
        ("cluster:s3://b/k", "PetrelBackend"),
        ("libarchive://a", "FsspecBackend"),
    ],
    ids=str,
)
def test_the_prefix_chooses(uri, name):
    assert fileio.get_file_backend(uri).name == name


def test_a_named_backend_goes_before_the_prefix():
    assert fileio.get_file_backend("s3://b/k", backend_args={"backend": "petrel"}).name == "PetrelBackend"
    assert fileio.get_file_backend(backend_args={"backend": "local"}).name == "LocalBackend"
