"""What the manual prints, eng prints: chapters 02, 10, 21, 26 and 28, and warnings that MMEngine 0.10.7 gives.

The texts below are the manual's. Where eng words a message in another way, its facts (class, names, numbers) are held,
and docs/differences.md has the row.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

import eng.compat
from eng.analysis import get_model_complexity_info
from eng.config import Config
from eng.dataset import DefaultSampler
from eng.hooks import CheckpointHook, LoggerHook
from eng.model import BaseModel
from eng.registry import Registry
from eng.runner import Runner
from eng.runner.environment import environment_report
from eng.structures import BaseDataElement, InstanceData, LabelData, PixelData


def pixels() -> PixelData:
    return PixelData(featmap=torch.zeros(10, 20, 40))


def instances() -> InstanceData:
    return InstanceData(det_labels=torch.tensor([2, 3]))


class DetDataSample(BaseDataElement):
    @property
    def proposals(self):
        return self._proposals

    @proposals.setter
    def proposals(self, value):
        self.set_field(value, "_proposals", dtype=InstanceData)


def test_chapter_02_environment_block() -> None:
    lines = environment_report({}).splitlines()
    assert lines[1:3] == ["-" * 60, "System environment:"]
    names = [line.split(":")[0].strip() for line in lines[3:]]
    for name in ("sys.platform", "Python", "CUDA available", "numpy_random_seed", "CUDA_HOME"):
        assert name in names


def test_chapter_10_table_and_structure() -> None:
    class Net(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.resnet = nn.Sequential()
            self.resnet.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
            self.resnet.bn1 = nn.BatchNorm2d(64)

        def forward(self, inputs, data_samples=None, mode="tensor"):
            return self.resnet(inputs)

    info = get_model_complexity_info(Net(), (3, 224, 224))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in info["out_table"].splitlines() if "|" in line]
    assert rows[0] == ["module", "#parameters or shape", "#flops", "#activations"]
    # the manual's row of resnet.conv1 and that of its weight
    assert ["conv1", "9.408K", "0.118G", "0.803M"] in rows
    assert ["conv1.weight", "(64, 3, 7, 7)", "", ""] in rows
    assert ["bn1.bias", "(64,)", "", ""] in rows
    assert "N/A indicates" in info["out_arch"]
    assert "(data_preprocessor): BaseDataPreprocessor(#params: 0, #flops: N/A, #acts: N/A)" in info["out_arch"]
    assert "#params: 9.41K, #flops: 0.12G, #acts: 0.8M" in info["out_arch"]


def test_chapter_21_printed_and_dumped_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("learn_read_config.py").write_text(
        "test_int = 1\ntest_list = [1, 2, 3]\ntest_dict = dict(key1='value1', key2=0.1)\n"
    )
    assert str(Config.fromfile("learn_read_config.py")) == (
        "Config (path: learn_read_config.py): "
        "{'test_int': 1, 'test_list': [1, 2, 3], 'test_dict': {'key1': 'value1', 'key2': 0.1}}"
    )
    Path("optimizer_cfg.py").write_text("optimizer = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001)\n")
    Path("resnet50.py").write_text("_base_ = ['optimizer_cfg.py']\nmodel = dict(type='ResNet', depth=50)\n")
    cfg = Config.fromfile("resnet50.py")
    cfg.dump("dump.py")
    cfg.dump("dump.yaml")
    cfg.dump("dump.json")
    assert Path("dump.py").read_text() == (
        "optimizer = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001)\nmodel = dict(type='ResNet', depth=50)\n"
    )
    assert Path("dump.yaml").read_text() == (
        "model:\n  depth: 50\n  type: ResNet\n"
        "optimizer:\n  lr: 0.02\n  momentum: 0.9\n  type: SGD\n  weight_decay: 0.0001\n"
    )
    assert Path("dump.json").read_text().strip() == (
        '{"optimizer": {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001}, '
        '"model": {"type": "ResNet", "depth": 50}}'
    )


def test_chapter_21_an_assignment_into_a_copied_base_is_refused_and_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("model = dict(type='ResNet')\n")
    (tmp_path / "own.py").write_text("_base_ = ['base.py']\n{{_base_.model}}['type'] = 'MobileNet'\n")
    with pytest.raises(ValueError, match=r"own.py:2: .*an assignment into it is lost; write `_base_.key"):
        Config.fromfile(tmp_path / "own.py")


@pytest.mark.parametrize(
    ("assign", "message"),
    [
        (
            lambda: setattr(instances(), "bboxes", torch.zeros(3, 4)),
            "the length of values 3 is not consistent with the length of this :obj:`InstanceData` 2",
        ),
        (
            lambda: setattr(pixels(), "map2", torch.zeros(3, 20, 30)),
            "the height and width of values (20, 30) is not consistent with the length of this :obj:`PixelData` (20, 40)",
        ),
        (lambda: setattr(pixels(), "map2", torch.zeros(1, 3, 20, 40)), "The dim of value must be 2 or 3, but got 4"),
        (lambda: setattr(DetDataSample(), "proposals", torch.zeros(2)), "but got <class 'torch.Tensor'>"),
    ],
    ids=["length", "size", "dimension", "type"],
)
def test_chapter_26_messages(assign, message: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assign()
    assert message in str(caught.value)


def test_chapter_26_printed_elements() -> None:
    element = BaseDataElement(metainfo=dict(img_shape=(800, 1196, 3), pad_shape=(800, 1216, 3)))
    element.det_labels = torch.LongTensor([0, 1, 2, 3])
    element.det_scores = torch.Tensor([0.01, 0.1, 0.2, 0.3])
    lines = str(element).splitlines()
    assert lines[0] == "<BaseDataElement("
    assert lines[1:4:2] == ["", "    img_shape: (800, 1196, 3)"] and lines[2] == "    META INFORMATION"
    assert lines[-4:-1] == [
        "    DATA FIELDS",
        "    det_labels: tensor([0, 1, 2, 3])",
        "    det_scores: tensor([0.0100, 0.1000, 0.2000, 0.3000])",
    ]
    assert lines[-1].startswith(") at 0x")
    onehot = LabelData.label_to_onehot(label=torch.tensor([1]), num_classes=10)
    assert str(onehot) == "tensor([0, 1, 0, 0, 0, 0, 0, 0, 0, 0])"
    assert str(LabelData.onehot_to_label(onehot=onehot)) == "tensor([1])"


def test_chapter_28_debug_lines(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry("hook", scope="mine")
    registry.register_module(module=type("Timer", (), {"__module__": "my.hooks"}))
    with caplog.at_level(logging.DEBUG, logger="eng"):
        registry.build({"type": "Timer"})
    assert 'Get class `Timer` from "hook" registry in "mine"' in caplog.text
    assert "An `Timer` instance is built from registry, its implementation can be found in my.hooks" in caplog.text


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = nn.Linear(1, 1)

    def forward(self, inputs, mode="tensor"):
        return {"loss": self.fit(torch.stack(inputs)).mean()}


def test_a_loader_without_a_sampler_and_a_finite_one_in_a_loop_of_iterations_are_told(tmp_path, caplog) -> None:
    dataset = [{"inputs": torch.ones(1)}] * 4
    with caplog.at_level(logging.INFO, logger="eng"):
        runner = Runner(
            model=Line(),
            work_dir=str(tmp_path),
            train_dataloader=dict(dataset=dataset, batch_size=2),
            train_cfg=dict(by_epoch=False, max_iters=7),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        )
        runner.train()
    assert isinstance(runner.train_dataloader.sampler, DefaultSampler)
    assert "names no sampler: it gets dict(type='DefaultSampler', shuffle=False)" in caplog.text
    assert [r.levelname for r in caplog.records if "Reached the end of the dataloader" in r.message] == ["WARNING"]


@pytest.mark.parametrize("hook", [CheckpointHook, LoggerHook])
def test_the_old_name_of_backend_args_is_warned_about(hook, caplog) -> None:
    options = {"backend": "local"}
    assert hook(file_client_args=options).backend_args == options
    assert f'"file_client_args" is the old name of "backend_args": give {hook.__name__}(' in caplog.text


def test_members_of_checkpoint_hook_hold_what_they_hold_in_mmengine() -> None:
    with eng.compat.alias():
        hook = CheckpointHook(save_best=["acc", "loss"], rule=["greater", "less"], max_keep_ckpts=2)
        assert hook.init_value_map == {"greater": float("-inf"), "less": float("inf")}
        assert [hook.rule_map["greater"](2, 1), hook.rule_map["less"](2, 1)] == [True, False]
        assert [hook.is_better_than[name](2, 1) for name in ("acc", "loss")] == [True, False]
        assert CheckpointHook(save_best="auto").is_better_than == {}
        assert hook.file_client_args is None and list(hook.keep_ckpt_ids) == [] and hook.keep_ckpt_ids.maxlen == 2
    assert not hasattr(CheckpointHook, "rule_map")
