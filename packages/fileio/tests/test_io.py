from __future__ import annotations

from pathlib import Path

import pytest
from storage_contract import Upper

import eng.fileio as fileio
from eng.fileio.errors import UnsafeKeyError


def test_singletons_are_one_per_arguments():
    def chosen(**args):
        return fileio.get_file_backend("http://x", backend_args=args, enable_singleton=True)

    assert chosen(retries=1, headers={"a": "b"}) is chosen(retries=1, headers={"a": "b"})
    assert chosen(retries=1) is not chosen(retries=2)
    assert chosen(retries=4, backoff_s=2) is chosen(backoff_s=2, retries=4)
    assert fileio.get_file_backend("http://x") is not fileio.get_file_backend("http://x")


def test_neither_uri_nor_backend_is_an_error():
    with pytest.raises(ValueError, match="uri should not be None where backend_args names no backend"):
        fileio.get_file_backend()


def test_a_backend_of_your_own(registries):
    fileio.register_backend("upper", prefixes="upper")(Upper)
    assert fileio.get_text("upper://x") == "UPPER://X"
    assert fileio.FileClient(prefix="upper").get("upper://x") == b"UPPER://X"
    with pytest.raises(ValueError, match="'upper' is already registered; pass force=True"):
        fileio.register_backend("upper", Upper)
    with pytest.raises(ValueError, match="prefix 's3' is already registered"):
        fileio.register_backend("upper2", Upper, prefixes=["s3"])
    fileio.register_backend("upper", Upper, force=True, prefixes=["s3"])
    assert fileio.get("s3://x") == b"S3://X"
    with pytest.raises(fileio.UnsupportedOperationError, match="Upper cannot exists"):
        fileio.exists("s3://x")


def test_file_client_serves_one_backend(tmp_path):
    client = fileio.FileClient.infer_client(uri=tmp_path / "a")
    client.put_text("x", tmp_path / "a")
    assert (client.name, client.allow_symlink, client.get_text(tmp_path / "a")) == ("HardDiskBackend", True, "x")
    assert list(client.list_dir_or_file(tmp_path)) == ["a"]
    assert client.isfile(client.join_path(tmp_path, "a"))
    with client.get_local_path(tmp_path / "a") as path:
        assert Path(path).read_text() == "x"
    client.remove(tmp_path / "a")
    assert not client.exists(tmp_path / "a")
    assert fileio.FileClient.parse_uri_prefix("a/b") is None
    assert fileio.FileClient.parse_uri_prefix("s3://b") == "s3"
    with pytest.raises(fileio.UnsupportedOperationError, match="HTTPBackend cannot put"):
        fileio.FileClient(prefix="http").put(b"", "http://x")


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/../x"])
def test_keys_cannot_leave_an_lmdb(tmp_path, key):
    with pytest.raises(UnsafeKeyError, match="leaves the root"):
        fileio.get(key, {"backend": "lmdb", "db_path": str(tmp_path)})


def test_petrel_maps_paths_and_signs(tmp_path):
    args = {"backend": "petrel", "conf_path": str(tmp_path), "path_mapping": {"data/": "cluster:s3://bucket/"}}
    fileio.put(b"x", "data/a.txt", args)
    assert (tmp_path / "cluster:s3/bucket/a.txt").read_bytes() == b"x"
    assert fileio.generate_presigned_url("data/a.txt", expires_in=5, backend_args=args).endswith("get_object&5")


def test_s3_signs_addresses_that_work(s3_options):
    import urllib.request

    fileio.put(b"signed", "s3://bucket/signed.txt", s3_options)
    url = fileio.generate_presigned_url("s3://bucket/signed.txt", backend_args=s3_options)
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == b"signed"


def test_memory_signs_nothing():
    with pytest.raises(fileio.UnsupportedOperationError, match="no presigned"):
        fileio.generate_presigned_url("memory://a")


def test_copies_give_back_what_they_were_given(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "tree").mkdir()
    for copy in (fileio.copyfile, fileio.copyfile_from_local, fileio.copyfile_to_local):
        assert copy(tmp_path / "a", tmp_path / "b") == tmp_path / "b"
        assert copy(tmp_path / "a", str(tmp_path / "b")) == str(tmp_path / "b")
        assert copy(tmp_path / "a", tmp_path / "tree") == str(tmp_path / "tree" / "a")  # as shutil.copy
    for number, copy in enumerate((fileio.copytree, fileio.copytree_from_local, fileio.copytree_to_local)):
        assert copy(tmp_path / "tree", tmp_path / f"t{number}") == tmp_path / f"t{number}"
        assert copy(tmp_path / "tree", str(tmp_path / f"s{number}")) == str(tmp_path / f"s{number}")
    fileio.put(b"x", "memory://given/a")
    assert fileio.copyfile_to_local("memory://given/a", tmp_path / "c") == tmp_path / "c"


def test_local_path_of_a_path_is_a_str(tmp_path):
    (tmp_path / "a").write_text("x")
    with fileio.get_local_path(tmp_path / "a") as path:
        assert path == str(tmp_path / "a")
        assert type(path) is str


def test_links_are_made_or_replaced_by_copies(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("x")
    assert fileio.copy_if_symlink_fails(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").is_symlink()
    monkeypatch.setattr("os.symlink", lambda *_: (_ for _ in ()).throw(OSError("no links")))
    assert not fileio.copy_if_symlink_fails(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "x"


def test_public_names_are_pinned():
    # A change here is a line in the CHANGELOG.
    names = """
        BaseFileHandler BaseStorageBackend FileClient FsspecBackend HTTPBackend HardDiskBackend JsonHandler
        LmdbBackend LocalBackend MemcachedBackend ParseError PetrelBackend PickleHandler TomlHandler
        UnsupportedOperationError UntrustedFileError YamlHandler __version__ atomic_write
        copy_if_symlink_fails copyfile copyfile_from_local copyfile_to_local copytree copytree_from_local
        copytree_to_local dict_from_file dump exists generate_presigned_url get get_file_backend
        get_local_path get_text isdir isfile join_path list_dir_or_file list_from_file load put put_text
        register_backend register_handler remove rmtree
    """
    assert sorted(fileio.__all__) == sorted(names.split())
    assert all(hasattr(fileio, name) for name in fileio.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fileio.nothing
