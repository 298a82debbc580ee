from __future__ import annotations

import doctest
import importlib
import pickle
import pkgutil
import re
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

import eng.fileio as fileio
from eng.fileio._per_process import PerProcess
from eng.fileio.errors import MissingClientError, MissingKeyError, UnknownBackendError, UnsafeKeyError


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


def test_singletons_are_one_per_arguments():
    def chosen(**args):
        return fileio.get_file_backend("http://x", backend_args=args, enable_singleton=True)

    assert chosen(retries=1, headers={"a": "b"}) is chosen(retries=1, headers={"a": "b"})
    assert chosen(retries=1) is not chosen(retries=2)
    assert chosen(retries=4, backoff_s=2) is chosen(backoff_s=2, retries=4)
    assert fileio.get_file_backend("http://x") is not fileio.get_file_backend("http://x")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fileio.get("htps://b/k"), "no backend for 'htps://'; did you mean 'https'"),
        (lambda: fileio.get("x", {"backend": "lmbd"}), "no backend named 'lmbd'; did you mean 'lmdb'"),
        (lambda: fileio.FileClient("nothing"), "known: disk"),
    ],
    ids=["prefix", "name", "client"],
)
def test_unknown_backends_name_those_known(call, match):
    with pytest.raises(UnknownBackendError, match=match):
        call()


def test_neither_uri_nor_backend_is_an_error():
    with pytest.raises(ValueError, match="nothing tells the backend: give a uri"):
        fileio.get_file_backend()


class Upper(fileio.BaseStorageBackend):
    def get(self, filepath):
        return filepath.upper().encode()

    def get_text(self, filepath, encoding="utf-8"):
        return filepath.upper()


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


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ((1, Upper), "should be a string"),
        (("a", 1), "is registered as a class"),
        (("a", int), "must derive from BaseStorageBackend"),
    ],
    ids=["name", "object", "class"],
)
def test_bad_registrations_are_named(args, match):
    with pytest.raises(TypeError, match=match):
        fileio.register_backend(*args)


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


def test_keys_cannot_leave_a_zip(tmp_path):
    pytest.importorskip("fsspec")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.txt", "a")
    assert fileio.get(f"zip://a.txt::{tmp_path}/x.zip") == b"a"
    with pytest.raises(UnsafeKeyError, match="leaves the root of zip://"):
        fileio.get(f"zip://../../etc/passwd::{tmp_path}/x.zip")


def test_missing_keys_are_key_errors_too(tmp_path):
    pytest.importorskip("lmdb").open(str(tmp_path / "db")).close()
    with pytest.raises(KeyError, match="holds no key 'x'") as caught:
        fileio.get("x", {"backend": "lmdb", "db_path": str(tmp_path / "db")})
    assert isinstance(caught.value, MissingKeyError)
    with pytest.raises(FileNotFoundError, match="no LMDB database"):
        fileio.get("x", {"backend": "lmdb", "db_path": str(tmp_path / "absent")})


@pytest.mark.parametrize(
    ("module", "read", "match"),
    [
        (
            "lmdb",
            lambda: fileio.LmdbBackend(__file__).get("x"),
            r"LmdbBackend needs lmdb.*pip install 'eng-fileio\[lmdb\]'",
        ),
        ("requests", lambda: fileio.get("http://x/y"), r"HTTPBackend needs requests.*pip install 'eng-fileio\[http\]'"),
        (
            "pymemcache",
            lambda: fileio.MemcachedBackend("h:1", None).get("x"),
            r"MemcachedBackend needs pymemcache.*pip install 'eng-fileio\[memcached\]'",
        ),
        (
            "petrel_client",
            lambda: fileio.PetrelBackend().get("petrel://b/k"),
            "PetrelBackend needs petrel_client.*install petrel_client from your cluster",
        ),
        ("fsspec", lambda: fileio.get("memory://x"), r"FsspecBackend needs fsspec.*pip install 'eng-fileio\[fsspec\]'"),
        ("s3fs", lambda: fileio.get("s3://b/k"), r"s3:// needs a package.*pip install 'eng-fileio\[s3\]'"),
        ("ossfs", lambda: fileio.get("oss://b/k"), "oss:// needs a package.*pip install ossfs"),
        ("adlfs", lambda: fileio.get("az://b/k"), "az:// needs a package.*pip install adlfs"),
        ("paramiko", lambda: fileio.get("sftp://h/k"), "sftp:// needs a package.*paramiko"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_a_missing_client_says_how_to_install_it(monkeypatch, registries, module, read, match):
    registry = pytest.importorskip("fsspec.registry")
    # What fsspec imported before, it does not ask for again.
    monkeypatch.setattr(registry, "_registry", {})
    monkeypatch.setattr(registry, "registry", {})
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    if module == "paramiko":
        monkeypatch.delitem(sys.modules, "fsspec.implementations.sftp", raising=False)
    with pytest.raises(MissingClientError, match=match):
        read()


def test_a_prefix_that_fsspec_might_know_says_how_to_install_that(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UnknownBackendError, match=r"no backend for 'dropbox://'.*pip install 'eng-fileio\[fsspec\]'"):
        fileio.get("dropbox://x")


@pytest.mark.parametrize(
    ("uri", "args", "match"),
    [
        ("http://x", {"retires": 3}, "backend_args of HTTPBackend: .*'retires'; did you mean 'retries'"),
        ("x", {"backend": "lmdb"}, "backend_args of LmdbBackend: .*'db_path'.*known: db_path"),
        ("x", {"backend": "memcached", "client_cfg": None}, "backend_args of MemcachedBackend: .*server_list_cfg"),
        ("x", {"backend": "local", "retries": 3}, "backend_args of LocalBackend: .*'retries'; it takes none"),
    ],
    ids=["misspelt", "missing", "second-missing", "none"],
)
def test_options_that_a_backend_does_not_have_are_named(uri, args, match):
    with pytest.raises(TypeError, match=match):
        fileio.get(uri, args)


def test_a_memcached_that_does_not_answer_is_named():
    pytest.importorskip("pymemcache")
    with pytest.raises(ConnectionError, match="memcached 127.0.0.1:9: "):
        fileio.get("x", {"backend": "memcached", "server_list_cfg": "127.0.0.1:9", "client_cfg": None})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        options = {"backend": "memcached", "server_list_cfg": address, "client_cfg": {"timeout": 0.2}}
        with pytest.raises(TimeoutError, match=f"memcached {address}: timed out"):
            fileio.get("x", options)


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


def test_pickled_backends_carry_their_arguments_only(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path / "db")) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"k", b"v")
    backend = fileio.LmdbBackend(str(tmp_path / "db"))
    assert backend.get("k") == b"v"
    text = pickle.dumps(backend)
    assert len(text) < 500
    assert pickle.loads(text).db_path == backend.db_path


def test_threads_make_one_client():
    made, holder = [], PerProcess()
    threads = [threading.Thread(target=holder.get, args=(lambda: made.append(1) or len(made),)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_import_brings_no_client():
    script = (
        "import sys, eng.fileio\n"
        "print([m for m in ('torch', 'numpy', 'yaml', 'requests', 'fsspec', 'lmdb', 'pymemcache') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


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


def modules():
    return sorted(info.name for info in pkgutil.walk_packages(fileio.__path__, "eng.fileio."))


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name, registries):
    pytest.importorskip("fsspec")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def blocks():
    return list(found_blocks())


def found_blocks():
    package = Path(__file__).parents[1]
    pages = [package / "README.md", package.parents[1] / "docs" / "fileio.md"]
    for page in pages:
        if page.is_file():
            for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S), 1):
                yield pytest.param(code, id=f"{page.name}-{number}")


@pytest.mark.parametrize("code", blocks())
def test_examples_in_documents_run(code, tmp_path, monkeypatch, registries):
    pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "<document>", "exec"), names)
    assert set(names) - {"__builtins__"}


def test_every_document_checks_itself():
    pages = {}
    for each in found_blocks():
        pages.setdefault(each.id.rpartition("-")[0], []).append(each.values[0])
    assert "README.md" in pages and all("assert " in "".join(codes) for codes in pages.values())
