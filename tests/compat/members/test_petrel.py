from __future__ import annotations

import eng.compat


def test_s3_is_read_by_petrels_client_where_it_is_installed(tmp_path, monkeypatch) -> None:
    from eng.fileio import get_file_backend

    assert type(get_file_backend("s3://bucket/a", backend_args={"endpoint_url": "x"})).__name__ == "FsspecBackend"
    (tmp_path / "petrel_client").mkdir()
    (tmp_path / "petrel_client/__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert type(get_file_backend("s3://bucket/b")).__name__ == "PetrelBackend"
    eng.compat.uninstall()
    assert type(get_file_backend("s3://bucket/c")).__name__ != "PetrelBackend"
