"""A value that a part refuses when it is built: the error names the file and line of the part's config."""

from __future__ import annotations

import re

import pytest

from eng.config import Config
from eng.registry import DATASETS, DefaultScope, Registry, build_chain, isolated_registries
from eng.runner import Runner
from eng.testing._toys import ToyDataset

LINES = (
    "from eng.testing._toys import ToyDataset, ToyModel",
    "model = dict(type=ToyModel)",
    "log_level = 'ERROR'",
    "train_dataloader = dict(batch_size=4, num_workers=0, dataset=dict(type=ToyDataset))",
    "train_cfg = dict(by_epoch=True, max_epochs=1)",
    "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))",
)

WRONG = {
    "default hook": ("default_hooks = dict(logger=dict(type='LoggerHook', interval=0))", "hook → LoggerHook(interval=0)"),
    "custom hook": ("custom_hooks = [dict(type='EMAHook', begin_iter=-1)]", "hook → EMAHook(begin_iter=-1)"),
    "log processor": ("log_processor = dict(windw=3)", "log_processor → LogProcessor(windw=3)"),
    "model": ("model = dict(type='torch.nn.Linear', in_features='4')", "model → torch.nn.Linear(in_features='4'"),
    "loop": ("train_cfg = dict(by_epoch=True, max_epochs='3')", "loop → EpochBasedTrainLoop(max_epochs='3')"),
    "dataloader": (
        "train_dataloader = dict(batch_size='8', dataset=dict(type=ToyDataset))",
        "dataloader → DataLoader(batch_size='8')",
    ),
    "optimizer": ("optim_wrapper = dict(optimizer=dict(type='SGD', lr='0.1'))", "optimizer → SGD(lr='0.1')"),
    "wrapper": (
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=0)",
        "optim_wrapper → OptimWrapper(accumulative_counts=0)",
    ),
    "schedule": (
        "param_scheduler = [dict(type='MultiStepLR', milestones=3)]",
        "parameter_scheduler → MultiStepLR(milestones=3",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "call"), WRONG.values(), ids=WRONG)
def test_the_error_names_file_line_and_call(tmp_path, line, call) -> None:
    file = tmp_path / "config.py"
    file.write_text("\n".join([*LINES, f"work_dir = {str(tmp_path / 'run')!r}", line]))
    where = f"{file}:{len(LINES) + 2}"
    with pytest.raises((ValueError, TypeError), match=re.escape(f"while building {where} {call}")) as caught:
        Runner.from_cfg(Config.fromfile(file), check=False).train()
    assert build_chain(caught.value)[-1].where == where


def test_a_dataloader_config_with_a_type_is_refused() -> None:
    loader = dict(type="DataLoader", batch_size=4, dataset=dict(type="eng.testing.ToyDataset"))
    with pytest.raises(ValueError, match="a dataloader config takes no 'type' .it is 'DataLoader'"):
        Runner.build_dataloader(loader)


def test_a_dataloader_in_the_scope_of_a_library_is_no_slip_of_a_scope(caplog) -> None:
    with isolated_registries():
        Registry("dataset", parent=DATASETS, scope="library_of_datasets")
        with DefaultScope.overwrite_default_scope("library_of_datasets"):
            Runner.build_dataloader(dict(batch_size=4, dataset=dict(type=ToyDataset)))
    assert "among the dataloader registries" not in caplog.text
