from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from torch import nn

from eng.checkpoint import (
    BrokenCheckpointError,
    CheckpointLoader,
    StateMismatchError,
    _load_checkpoint,
    _load_checkpoint_to_model,
    _load_checkpoint_with_prefix,
    get_state_dict,
    load_checkpoint,
    load_state_dict,
    save_checkpoint,
    weights_to_cpu,
)


class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 1)


@pytest.fixture
def saved(tmp_path):
    net = Net()
    save_checkpoint({"meta": {"iter": 1}, "state_dict": net.state_dict()}, tmp_path / "net.pth")
    return net, str(tmp_path / "net.pth")


def same(first, second):
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def load_with_report(model, filename, **kwargs):
    reports = []
    load_checkpoint(model, filename, logger="silent", on_report=reports.append, **kwargs)
    return reports[0]


class TestReport:
    def test_everything_fits(self, saved):
        net, path = saved
        model = Net()
        report = load_with_report(model, path)
        assert report.fits
        assert report.share == 1.0
        assert len(report.matched) == len(net.state_dict())
        assert same(model, net)

    def test_each_kind_of_misfit_is_named(self):
        state = Net().state_dict()
        del state["head.bias"]
        state["head.weight"] = torch.ones(5, 3)
        state["neck.weight"] = torch.ones(1)
        model = Net()
        report = load_state_dict(model, state, logger="silent")
        assert report.missing == ("head.bias",)
        assert report.unexpected == ("neck.weight",)
        assert report.wrong_shape == {"head.weight": ((1, 3), (5, 3))}
        assert report.num_parameters == 2 * 3 + 3 + 3 + 3 + 3 + 1
        assert report.num_loaded == report.num_parameters - 4
        assert torch.equal(model.backbone[0].weight, state["backbone.0.weight"])
        text = str(report)
        for part in (
            "78.9%",
            "head.weight: the model has (1, 3), the file (5, 3)",
            "missing in the file (1)",
            "neck.weight",
        ):
            assert part in text

    def test_the_checkpoint_of_another_model(self, capsys):
        load_state_dict(Net(), {"encoder.block.weight": torch.ones(1)})
        out = capsys.readouterr().out
        assert "0.0%" in out
        assert "checkpoint of another model" in out
        assert "'backbone.0.weight'" in out
        assert "'encoder.block.weight'" in out

    def test_strict_raises_with_the_report_but_loads_what_fits(self, saved):
        net, path = saved
        model = nn.ModuleDict({"head": nn.Linear(3, 1)})
        with pytest.raises(StateMismatchError, match=r"not in the model \(7\)") as caught:
            load_checkpoint(model, path, strict=True)
        assert isinstance(caught.value, RuntimeError)
        assert caught.value.report.matched == ("head.weight", "head.bias")
        assert torch.equal(model["head"].weight, net.head.weight)

    def test_tied_parameters_count_once(self):
        model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
        model["b"].weight = model["a"].weight
        assert load_state_dict(model, model.state_dict()).num_parameters == 4

    def test_what_the_callback_raises_stops_the_load(self, saved):
        def demand(report):
            raise RuntimeError(f"only {report.share}")

        with pytest.raises(RuntimeError, match=r"only 1\.0"):
            load_checkpoint(Net(), saved[1], on_report=demand)


class TestModules:
    def test_pre_hooks_may_reshape_entries(self):
        model = nn.Linear(2, 4)

        def double(state, prefix, *args):
            state[prefix + "weight"] = state[prefix + "weight"].repeat(2, 1)
            state[prefix + "bias"] = state[prefix + "bias"].repeat(2)

        model._register_load_state_dict_pre_hook(double)
        report = load_state_dict(model, nn.Linear(2, 2).state_dict())
        assert report.fits

    def test_post_hooks_may_forgive(self):
        model = nn.Linear(2, 2)
        model.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
        assert load_state_dict(model, {"weight": torch.ones(2, 2)}).missing == ()

    def test_versions_of_modules_reach_them(self):
        # A BatchNorm of before version 2 has no num_batches_tracked, which is no misfit.
        state = OrderedDict(nn.BatchNorm1d(2).state_dict())
        del state["num_batches_tracked"]
        state._metadata = {"": {"version": 1}}
        assert load_state_dict(nn.BatchNorm1d(2), state).fits

    @pytest.mark.parametrize(
        "wrap", [nn.DataParallel, partial(torch.compile, backend="eager")], ids=["parallel", "compiled"]
    )
    def test_wrappers_do_not_show_in_the_names(self, wrap):
        net = Net()
        assert get_state_dict(wrap(net)).keys() == net.state_dict().keys()
        model = Net()
        assert load_state_dict(wrap(model), net.state_dict()).fits
        assert same(model, net)

    def test_wrappers_around_parts_neither(self):
        net, plain = Net(), Net()
        keys = list(net.state_dict())
        net.head = nn.DataParallel(net.head)
        assert set(get_state_dict(net)) == set(keys)
        assert load_state_dict(net, plain.state_dict()).fits
        assert torch.equal(net.head.module.weight, plain.head.weight)

    def test_prefix_and_destination(self):
        destination = OrderedDict(before=1)
        state = get_state_dict(nn.Linear(1, 1), destination, prefix="m.", keep_vars=True)
        assert state is destination
        assert list(state) == ["before", "m.weight", "m.bias"]
        assert state["m.weight"].requires_grad

    def test_weights_to_cpu_keeps_versions_and_nesting(self):
        state = nn.BatchNorm1d(2).state_dict()
        state["extra"] = {"x": [torch.ones(1)]}
        moved = weights_to_cpu(state)
        assert moved._metadata == state._metadata
        assert moved["extra"]["x"][0].device.type == "cpu"


class TestLoadCheckpoint:
    def test_renames_by_revise_keys_in_order(self, tmp_path):
        weights = {"module.net.weight": torch.ones(1, 2), "module.net.bias": torch.ones(1)}
        save_checkpoint(weights, tmp_path / "a.pth")
        report = load_with_report(
            nn.Linear(2, 1), tmp_path / "a.pth", revise_keys=[(r"^module\.", ""), (r"^net\.", "")]
        )
        assert report.fits

    def test_data_parallel_prefix_goes_by_default(self, tmp_path):
        save_checkpoint({"state_dict": nn.DataParallel(nn.Linear(2, 1)).state_dict()}, tmp_path / "a.pth")
        assert load_with_report(nn.Linear(2, 1), tmp_path / "a.pth").fits

    def test_returns_the_checkpoint_and_reads_with_a_name_alone(self, saved):
        assert load_checkpoint(Net(), saved[1])["meta"] == {"iter": 1}
        assert load_checkpoint(saved[1])["meta"] == {"iter": 1}
        assert _load_checkpoint(saved[1])["meta"] == {"iter": 1}

    def test_to_a_model_from_memory(self):
        net, model = Net(), Net()
        checkpoint = {"state_dict": net.state_dict()}
        assert _load_checkpoint_to_model(model, checkpoint) is checkpoint
        assert same(model, net)

    def test_by_prefix(self, saved):
        part = _load_checkpoint_with_prefix("head", saved[1])
        assert list(part) == ["weight", "bias"]
        with pytest.raises(KeyError, match=r"begins with 'neck\.'; they begin with backbone, head"):
            _load_checkpoint_with_prefix("neck", saved[1])

    @pytest.mark.parametrize("content", [[1, 2], {"state_dict": 3}], ids=["list", "number"])
    def test_no_weights(self, content, tmp_path):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(BrokenCheckpointError, match="not a mapping"):
            load_checkpoint(Net(), tmp_path / "a.pth")

    def test_without_a_file_name(self):
        with pytest.raises(TypeError, match="name of a file"):
            load_checkpoint(Net())


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
