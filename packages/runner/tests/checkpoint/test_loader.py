from __future__ import annotations

import logging
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from checkpoint_parts import Net, same

from eng.checkpoint import CheckpointLoader, load_checkpoint, save_checkpoint


class TestLoader:
    @pytest.fixture(autouse=True)
    def schemes_are_put_back(self, monkeypatch):
        monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))

    def test_a_registered_scheme(self, caplog):
        @CheckpointLoader.register_scheme(prefixes=["zebra://", "horse://"])
        def load_from_stable(filename, map_location=None):
            return {"file": filename, "where": map_location}

        with caplog.at_level(logging.INFO, "eng"):
            loaded = CheckpointLoader.load_checkpoint(
                "horse://x", map_location="cpu", logger=logging.getLogger("eng.t")
            )
        assert loaded == {"file": "horse://x", "where": "cpu"}
        assert "Checkpoint horse://x: read by the loader 'stable'" in caplog.text
        with pytest.raises(KeyError, match="force=True"):
            CheckpointLoader.register_scheme("zebra://", load_from_stable)
        CheckpointLoader.register_scheme("zebra://", load_from_stable, force=True)

    @pytest.mark.parametrize(
        ("name", "loader"),
        [
            ("a/b.pth", "load_from_local"), ("http://x/y.pth", "load_from_http"), ("https://x/y.pth", "load_from_http"),
            ("s3://b/y.pth", "load_from_storage"), ("cluster:s3://b/y", "load_from_storage"), ("gs://b/y", "load_from_storage"),
            ("memory://b/y", "load_from_storage"), ("torchvision://resnet50", "load_from_torchvision"),
            ("open-mmlab://r50", "load_from_openmmlab"), ("mmcls://r50", "load_from_mmcls"),
        ],
    )  # fmt: skip
    def test_names_lead_to_their_loader(self, name, loader):
        assert CheckpointLoader._get_checkpoint_loader(name).__name__ == loader

    def test_from_a_web_server_once_with_its_hash_checked(self, saved, tmp_path, monkeypatch):
        class Quiet(SimpleHTTPRequestHandler):
            requests = []

            def log_message(self, *args):
                self.requests.append(args)

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
        (tmp_path / "bad-00000000.pth").write_bytes((tmp_path / "net.pth").read_bytes())
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            for _ in range(2):
                assert load_checkpoint(Net(), f"{address}/net.pth", logger="silent")["meta"] == {"iter": 1}
            assert sum("GET" in str(request) for request in Quiet.requests) == 1
            with pytest.raises(RuntimeError, match="hash"):
                load_checkpoint(Net(), f"{address}/bad-00000000.pth", logger="silent")
        finally:
            server.shutdown()
            server.server_close()

    def test_from_an_fsspec_storage(self, saved):
        pytest.importorskip("fsspec")
        save_checkpoint({"state_dict": saved[0].state_dict()}, "memory://zoo/net.pth")
        model = Net()
        load_checkpoint(model, "memory://zoo/net.pth")
        assert same(model, saved[0])

    def test_names_of_a_zoo_from_the_user_s_table(self, saved, tmp_path, monkeypatch):
        (tmp_path / "open_mmlab.json").write_text(f'{{"tiny/net": "{saved[1]}"}}')
        (tmp_path / "mmcls.json").write_text(f'{{"net": "{saved[1]}"}}')
        monkeypatch.setenv("ENG_HOME", str(tmp_path))
        assert load_checkpoint("open-mmlab://tiny/net", logger="silent")["meta"] == {"iter": 1}
        assert "0.weight" in load_checkpoint("mmcls://net", logger="silent")["state_dict"]
        with pytest.raises(KeyError, match="did you mean 'tiny/net"):
            load_checkpoint("open-mmlab://tiny/ned", logger="silent")
