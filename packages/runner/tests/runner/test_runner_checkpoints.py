"""Where a run begins, what its checkpoints hold, and what happens when they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eng.checkpoint import CheckpointLoader
from eng.dataset import DefaultSampler
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import ResumeError
from eng.runner.errors import WrongCheckpointError
from eng.runner.state.policy import Beginning, choose_beginning

OF_MMENGINE = Path(__file__).parents[1] / "checkpoint" / "data" / "mmengine_0_10_7_epoch_2.pth"


def test_a_checkpoint_loads_with_a_plain_torch_load(make_runner, tmp_path) -> None:
    make_runner(param_scheduler=dict(type="StepLR", step_size=1), cfg=dict(a=1)).train()
    saved = torch.load(tmp_path / "run" / "epoch_2.pth")
    assert set(saved) == {"meta", "state_dict", "message_hub", "optimizer", "param_schedulers", "run_state"}
    assert (saved["meta"]["epoch"], saved["meta"]["iter"], saved["meta"]["seed"]) == (2, 8, 1)
    assert "a = 1" in saved["meta"]["cfg"]


def test_a_checkpoint_does_not_grow_with_the_run(make_runner, tmp_path) -> None:
    sizes = []
    for iterations in (600, 1200):
        where = tmp_path / str(iterations)
        make_runner(work_dir=where, train_cfg=dict(by_epoch=False, max_iters=iterations),
                    default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=-1))).train()  # fmt: skip
        sizes.append((where / f"iter_{iterations}.pth").stat().st_size)
    assert abs(sizes[1] - sizes[0]) < 0.02 * sizes[0]


def test_resume_goes_on_from_the_newest(make_runner, parts, heard) -> None:
    make_runner(train_cfg=dict(max_epochs=1)).train()
    model = parts.Line()
    resumed = make_runner(model=model, resume=True)
    resumed.train()
    assert (resumed.epoch, resumed.iter, model.calls) == (2, 8, 4)


def test_resume_with_nothing_to_go_on_from_starts_anew(make_runner) -> None:
    runner = make_runner(resume=True)
    runner.train()
    assert runner.iter == 8
    assert not runner.is_resuming


def test_load_from_takes_weights_only(make_runner, parts, tmp_path) -> None:
    make_runner().train()
    runner = make_runner(load_from=str(tmp_path / "run" / "epoch_2.pth"), work_dir=tmp_path / "other")
    runner.load_or_resume()
    saved = torch.load(tmp_path / "run" / "epoch_2.pth")["state_dict"]
    assert torch.equal(runner.model.fit.weight, saved["fit.weight"])
    assert runner.iter == 0


@pytest.mark.parametrize(
    ("resume", "load_from", "expected"),
    [
        (False, None, None),
        (True, None, None),
        (False, "a.pth", Beginning("a.pth", resume=False)),
        (True, "a.pth", Beginning("a.pth", resume=True)),
        ("b.pth", None, Beginning("b.pth", resume=True)),
        ("auto", None, None),
    ],
    ids=str,
)
def test_what_resume_and_load_from_mean(tmp_path, resume, load_from, expected) -> None:
    assert choose_beginning(resume, load_from, str(tmp_path)) == expected


class Toy(BaseModel):
    """The model of the stored checkpoint's weights."""

    def __init__(self, weights):
        super().__init__()
        for name, value in weights.items():
            parent = self
            *path, last = name.split(".")
            for part in path:
                if not hasattr(parent, part):
                    parent.add_module(part, nn.Module())
                parent = getattr(parent, part)
            whole = not value.is_floating_point() or "running" in last
            register = parent.register_buffer if whole else parent.register_parameter
            register(last, torch.zeros_like(value) if whole else nn.Parameter(torch.zeros_like(value)))

    def forward(self, x, y, mode="tensor"):
        return {"loss": sum(p.square().sum() for p in self.parameters())}


def test_a_checkpoint_of_mmengine_resumes(make_runner, parts) -> None:
    from eng.checkpoint import CheckpointLoader

    saved = CheckpointLoader.load_checkpoint(str(OF_MMENGINE), map_location="cpu")
    meta = saved["meta"]
    assert "mmengine_version" in meta
    length = meta["iter"] // meta["epoch"]
    groups = saved["optimizer"]["param_groups"][0]
    kind = "AdamW" if "betas" in groups else "SGD"
    optimizer = dict(type=kind, lr=groups["lr"])
    runner = make_runner(
        model=Toy(saved["state_dict"]),
        train_dataloader=parts.loader(2 * length, 2),
        train_cfg=dict(max_epochs=meta["epoch"] + 1),
        optim_wrapper=dict(optimizer=optimizer),
        param_scheduler=[dict(type="StepLR", step_size=1) for _ in saved.get("param_schedulers", [])] or None,
        load_from=str(OF_MMENGINE), resume=True,
    )  # fmt: skip
    begun = {}

    class At(Hook):
        def before_train(self, runner):
            begun.update(epoch=runner.epoch, iter=runner.iter, weights=dict(runner.model.state_dict()))
            for name, value in begun["weights"].items():  # this run has no EMAHook, so the trained weights go on
                assert torch.equal(value, saved["ema_state_dict"][f"module.{name}"])

    runner.register_hook(At())
    runner.train()
    assert (begun["epoch"], begun["iter"]) == (meta["epoch"], meta["iter"])
    assert runner.epoch == meta["epoch"] + 1


def test_a_checkpoint_of_another_model_tells_what_did_not_match(make_runner, heard, tmp_path) -> None:
    make_runner().train()

    class Other(BaseModel):
        def __init__(self):
            super().__init__()
            self.fit, self.head = nn.Linear(1, 3), nn.Linear(3, 1)

        def forward(self, x, y, mode="tensor"):
            return {"loss": self.head(self.fit(x)).mean()}

    runner = make_runner(model=Other(), load_from=str(tmp_path / "run" / "epoch_2.pth"), work_dir=tmp_path / "other")
    heard.listen(runner.logger)
    with pytest.raises(WrongCheckpointError, match=r"0\.0% of the model's parameters"):
        runner.load_or_resume()
    runner.load_checkpoint(str(tmp_path / "run" / "epoch_2.pth"))
    assert "fit.weight" in heard.text
    assert "head.weight" in heard.text
    with pytest.raises(RuntimeError, match=r"head\.weight"):
        runner.load_checkpoint(str(tmp_path / "run" / "epoch_2.pth"), strict=True)


def test_other_schedulers_than_the_saved_runs(make_runner) -> None:
    make_runner(param_scheduler=dict(type="StepLR", step_size=1), train_cfg=dict(max_epochs=1)).train()
    two = [dict(type="StepLR", step_size=1), dict(type="ConstantLR", factor=0.5)]
    with pytest.raises(ResumeError, match="the run has 2 parameter schedulers and the checkpoint 1"):
        make_runner(param_scheduler=two, resume=True).train()


def test_another_seed_than_the_saved_runs_is_told(make_runner, heard) -> None:
    make_runner(train_cfg=dict(max_epochs=1)).train()
    runner = make_runner(randomness=dict(seed=2), resume=True)
    heard.listen(runner.logger)
    runner.train()
    assert "The seed is 2 and was 1 in the saved run" in heard.text


def test_a_checkpoint_that_is_not_there(make_runner, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        make_runner(load_from=str(tmp_path / "none.pth"), resume=True).train()


def test_meta_of_ones_own(make_runner, tmp_path) -> None:
    runner = make_runner()
    runner.train()
    runner.save_checkpoint(
        str(tmp_path), "own.pth", meta=dict(note="x"), save_optimizer=False, save_param_scheduler=False
    )
    saved = torch.load(tmp_path / "own.pth")
    assert saved["meta"]["note"] == "x"
    assert not {"optimizer", "param_schedulers"} & set(saved)
    with pytest.raises(TypeError, match="meta must be a dict or None, got str"):
        runner.save_checkpoint(str(tmp_path), "own.pth", meta="x")


def test_the_metainfo_of_a_dataset_comes_back_as_it_was(make_runner, tmp_path) -> None:
    class Opaque:
        def __str__(self) -> str:
            return "opaque"

    metainfo = {
        "classes": ("cat", "dog"), "label2cat": {0: "cat", 1: "dog"}, 2.5: None, "things": {"dog"}, "scale": np.float32(2),
        "colors": np.array([[0, 255, 0], [255, 0, 0]], dtype=np.uint8), "sigmas": np.array([0.5, 0.25]),
        "names": np.array(["a", "b"]), "pairs": [(0, np.array([1]))],
    }  # fmt: skip
    runner = make_runner()
    runner.train_dataloader.dataset.metainfo = {**metainfo, "object": Opaque()}
    runner.train()
    runner.save_checkpoint(str(tmp_path), "one.pth")
    assert torch.load(tmp_path / "one.pth")["meta"]["dataset_meta"]["sigmas"].tolist() == [0.5, 0.25]
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "one.pth"))["meta"]["dataset_meta"]
    assert loaded.pop("object") == "opaque"
    assert loaded.pop("names") == ["a", "b"]
    assert list(loaded) == [key for key in metainfo if key != "names"]
    for name in ("colors", "sigmas"):
        assert loaded[name].dtype == metainfo[name].dtype
        np.testing.assert_array_equal(loaded.pop(name), metainfo[name])
    ((number, array),) = loaded.pop("pairs")
    assert (number, type(array), array.tolist()) == (0, np.ndarray, [1])
    expected = {
        "classes": ("cat", "dog"),
        "label2cat": {0: "cat", 1: "dog"},
        2.5: None,
        "things": {"dog"},
        "scale": 2.0,
    }
    assert loaded == expected


class Counted(torch.utils.data.Dataset):
    """Counts what is read of a million samples."""

    def __init__(self, n):
        self.n, self.read = n, 0

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.read += 1
        return torch.tensor([float(index)]), torch.tensor([0.0])


@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
def test_no_sample_before_the_place_is_read_again(make_runner, by_epoch) -> None:
    done, total = 999_990, 1_000_000

    def build(dataset):
        loader = torch.utils.data.DataLoader(
            dataset, batch_size=1, sampler=DefaultSampler(dataset, shuffle=True, seed=1)
        )
        cfg = dict(max_epochs=1) if by_epoch else dict(by_epoch=False, max_iters=total)
        return make_runner(
            train_dataloader=loader, train_cfg=cfg, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.0))
        )

    dataset = Counted(total)
    runner = build(dataset)
    loop = runner.build_train_loop(runner.train_loop)
    position = dict(loop.position(None), iter=done, batch=done, samples=done)
    runner.train_part.value = loop
    loop.go_on_from(position, None)
    runner.train()
    assert runner.iter == total
    assert dataset.read == total - done
