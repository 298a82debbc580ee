"""What code written for MMEngine does and reads, one function for each group of behaviour; prints what came of it as JSON.

    python -m eng.compat behaviours.py     under eng
    python behaviours.py                   under MMEngine 0.10.7, which made behaviours.json

The number in a function's name is the group in the report of what users of MMEngine rely on.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, IterTimerHook, LoggerHook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel, BaseTTAModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, RUNNERS, Registry, build_from_cfg
from mmengine.runner import LogProcessor, Runner, autocast
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import Dataset


class Numbers(Dataset):
    METAINFO: dict = {}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.full((2,), float(index))


@MODELS.register_module()
class Net(BaseModel):
    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor=data_preprocessor)
        self.conv = nn.Conv2d(1, 1, 1)
        self.bn = nn.BatchNorm2d(1)
        self.line = nn.Linear(2, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        output = self.line(inputs)
        return {"loss": output.sum()} if mode == "loss" else [output]


class Count(BaseMetric):
    default_prefix = "a"

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {"n": len(results)}


def runner(work_dir, **settings):
    loader = {"batch_size": 1, "dataset": Numbers(), "sampler": {"type": "DefaultSampler", "shuffle": False}}
    defaults = {
        "train_dataloader": loader, "val_dataloader": loader, "val_evaluator": [Count()], "val_cfg": {},
        "train_cfg": {"by_epoch": True, "max_epochs": 3}, "experiment_name": Path(work_dir).name,
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}}, "default_hooks": {"logger": {"type": "LoggerHook"}},
    }  # fmt: skip
    return Runner(Net(), work_dir, **{**defaults, **settings})


def raises(kind, call):
    """Whether `call` raises an exception of this kind."""
    try:
        call()
    except kind:
        return True
    return False


def g01_autocast_off(folder):
    net = Net()
    with torch.autocast("cpu", dtype=torch.bfloat16), autocast(device_type="cpu", enabled=False):
        return str(net.conv(torch.rand(1, 1, 2, 2)).dtype)


def g02_reading_builds_the_loop(folder):
    run = runner(folder)
    before = [
        type(run._train_loop).__name__ in ("dict", "ConfigDict"),
        type(run._val_loop).__name__ in ("dict", "ConfigDict"),
    ]
    loop = run.train_loop
    return [
        before,
        type(loop).__name__,
        run.max_epochs,
        run.max_iters,
        type(run.train_dataloader).__name__,
        len(loop.dataloader),
    ]


def g02_schedulers_of_a_runner_that_was_just_made(folder):
    run = runner(folder)
    run.optim_wrapper = run.build_optim_wrapper(run.optim_wrapper)
    run.train_loop
    (scheduler,) = run.build_param_scheduler({"type": "MultiStepLR", "milestones": [1]})
    return [type(scheduler).__name__, scheduler.end, scheduler.by_epoch]


def g03_groups_of_schedulers(folder):
    one = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}}
    schedulers = {"g": {"type": "MultiStepLR", "milestones": [1]}, "d": [{"type": "MultiStepLR", "milestones": [2]}]}

    class Two:
        def __call__(self, model):
            from mmengine.optim import OptimWrapper, OptimWrapperDict

            return OptimWrapperDict(**{
                name: OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)) for name in ("g", "d")
            })  # fmt: skip

    run = runner(folder, optim_wrapper=Two()(Net()), param_scheduler=schedulers)
    built = run.build_param_scheduler(run.param_schedulers)
    return [one["type"], sorted((name, [type(item).__name__ for item in items]) for name, items in built.items())]


def g03_a_scope_of_another_registry(folder):
    Registry("hook", parent=__import__("mmengine").HOOKS, scope="only_hooks")
    cfg = Config({
        "model": {"type": "Net"}, "work_dir": folder, "default_scope": "only_hooks", "experiment_name": Path(folder).name,
        "env_cfg": {"dist_cfg": {"backend": "gloo"}},
    })  # fmt: skip
    return type(Runner.from_cfg(cfg)).__name__


def g05_a_visualizer_without_its_backends(folder):
    visualizer = Visualizer(vis_backends=[{"type": "LocalVisBackend"}], save_dir=folder)
    first = sorted(visualizer._vis_backends)
    visualizer._vis_backends = {}
    visualizer.add_scalar("a", 1)
    return [first, visualizer._vis_backends, hasattr(visualizer, "fig_save"), visualizer.dpi > 0]


def g05_a_visualizer_with_the_old_signature(folder):
    class Old(Visualizer):
        seen: list = []

        def add_scalars(self, scalar_dict, step=0, file_path=None):
            self.seen.append(sorted(scalar_dict)[:1])

    run = runner(folder, visualizer=Old(name=Path(folder).name), train_cfg={"by_epoch": True, "max_epochs": 1},
                 default_hooks={"logger": {"type": "LoggerHook", "interval": 4}})  # fmt: skip
    run.train()
    return len(Old.seen) > 0


def g06_time_of_an_iteration(folder):
    hook = IterTimerHook()
    hook.t = 3.0
    return round(hook.t, 3)


def g07_overrides_of_a_log_processor(folder):
    class Mine(LogProcessor):
        calls: set = set()

        def _get_max_memory(self, runner):
            self.calls.add("memory")
            return 7

        def _collect_scalars(self, *args, **kwargs):
            self.calls.add("scalars")
            return super()._collect_scalars(*args, **kwargs)

        def _get_iter(self, *args, **kwargs):
            self.calls.add("iter")
            return super()._get_iter(*args, **kwargs)

        def _get_dataloader_size(self, *args, **kwargs):
            self.calls.add("size")
            return super()._get_dataloader_size(*args, **kwargs)

    run = runner(folder, log_processor=Mine(), train_cfg={"by_epoch": True, "max_epochs": 1},
                 default_hooks={"logger": {"type": "LoggerHook", "interval": 4}})  # fmt: skip
    run.train()
    return sorted(Mine.calls - {"memory"})


def g08_a_runner_with_the_old_arguments(folder):
    @RUNNERS.register_module(name=f"Old{Path(folder).name}")
    class Old(Runner):
        def __init__(self, model, work_dir, train_dataloader=None, val_dataloader=None, test_dataloader=None, train_cfg=None,
                     val_cfg=None, test_cfg=None, auto_scale_lr=None, optim_wrapper=None, param_scheduler=None,
                     val_evaluator=None, test_evaluator=None, default_hooks=None, custom_hooks=None,
                     data_preprocessor=None, load_from=None, resume=False, launcher="none", env_cfg=None,
                     log_processor=None, log_level="INFO", visualizer=None, default_scope="mmengine",
                     randomness=None, experiment_name=None, cfg=None):  # fmt: skip
            super().__init__(model, work_dir, env_cfg=env_cfg or {}, experiment_name=experiment_name, cfg=cfg)

    name = f"Old{Path(folder).name}"
    return (
        type(
            RUNNERS.build({"runner_type": name, "model": {"type": "Net"}, "work_dir": folder, "experiment_name": name})
        ).__name__
        == "Old"
    )


def g09_the_preprocessor_of_the_run(folder):
    run = runner(folder, data_preprocessor={"type": "ImgDataPreprocessor"})
    other = run.build_model({"type": "Net"})
    return type(other.data_preprocessor).__name__


def g10_members_of_the_checkpoint_hook(folder):
    hook = CheckpointHook(save_best="a/n", rule="greater", interval=1)
    run = runner(folder, default_hooks={"checkpoint": hook}, train_cfg={"by_epoch": True, "max_epochs": 2})
    run.train()
    return [
        hook.key_indicators, hook.rules, Path(hook.best_ckpt_path).name, hook.out_dir == folder,
        sorted(path.name for path in Path(folder).glob("*.pth")), type(hook.file_backend).__name__,
    ]  # fmt: skip


def g11_metainfo_of_a_config(folder):
    class Rows(BaseDataset):
        def load_data_list(self):
            return [{}]

    return Rows(metainfo=Config({"classes": ["cat"]})).metainfo["classes"]


def g12_texts_of_configs(folder):
    os.environ.pop("ENG_NO_SUCH_PORT", None)
    (Path(folder) / "port.py").write_text("port = {{'$ENG_NO_SUCH_PORT:80'}}\nquoted = '{{$ENG_NO_SUCH_PORT:80}}'\n")
    (Path(folder) / "base.py").write_text("a = 1\n")
    (Path(folder) / "nested.py").write_text(
        f"from mmengine import Config\ncfg = Config.fromfile({str(Path(folder) / 'base.py')!r})\na = cfg.a\ndel cfg\n"
    )
    port = Config.fromfile(Path(folder) / "port.py")
    return [port.port, port.quoted, Config.fromfile(Path(folder) / "nested.py").a]


def g13_feature_maps(folder):
    image = np.zeros((12, 14, 3), np.uint8)
    features = torch.rand(6, 4, 5)
    return [
        list(Visualizer.draw_featmap(features, image, channel_reduction="squeeze_mean", resize_shape=(6, 7)).shape),
        list(Visualizer.draw_featmap(features, channel_reduction="squeeze_mean").shape),
        list(Visualizer.draw_featmap(features, channel_reduction=None, topk=6, arrangement=(2, 3)).shape)[2],
        raises(
            AssertionError,
            lambda: Visualizer.draw_featmap(features, channel_reduction=None, topk=0, arrangement=(2, 3)),
        ),
    ]


def g14_analyzers(folder):
    from mmengine.analysis import FlopAnalyzer

    analyzer = FlopAnalyzer(nn.Sequential(nn.Linear(2, 3)), (torch.rand(1, 2),))
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none").ancestor_mode(
        "caller"
    )
    return [analyzer.total(), analyzer.canonical_module_name("0"), analyzer.copy(nn.Linear(2, 2)).total()]


def g15_private_names(folder):
    hook = EarlyStoppingHook(monitor="n", rule="greater", patience=1, min_delta=0)
    stops = [hook._check_stop_condition(score)[0] for score in (1.0, 0.5, 0.4)]
    return [
        stops,
        os.path.normpath(Config._get_cfg_path("./b.py", "/configs/a.py")[0]),
        callable(Net()._dump_init_info),
    ]


def g17_paths_and_texts(folder):
    from mmengine import fileio

    source = Path(folder) / "a.txt"
    source.write_text("a")
    copied = fileio.copyfile(source, Path(folder) / "b.txt")
    with fileio.get_local_path(source) as local:
        return [
            isinstance(copied, Path),
            isinstance(fileio.copyfile(str(source), str(Path(folder) / "c.txt")), str),
            type(local).__name__,
        ]


def g18_smaller_things(folder):
    from mmengine.fileio import FileClient

    houses = Registry("house", scope="hound")
    little = Registry("house", parent=houses, scope="little_hound")
    little.register_module(name="X", module=Net)
    cfg = Config({"a": 1, "b": {"c": 2}})
    cfg.dump(str(Path(folder) / "x.json"))
    history = HistoryBuffer([[1.0, 2.0]][0], [1, 1])
    hub = MessageHub.get_instance(Path(folder).name)
    hub.load_state_dict({"log_scalars": {}, "runtime_info": {"a": 1}, "resumed_keys": {"a": True}})
    return [
        FileClient("disk") is FileClient("disk"), houses.get("little_hound.X").__name__, (Path(folder) / "x.json").read_text(),
        history.mean(), hub.get_info("a"), raises(TypeError, lambda: BaseTTAModel(module=Net())),
    ]  # fmt: skip


def g19_exceptions(folder):
    class Rows(BaseDataset):
        pass

    return [
        raises(TypeError, lambda: LoggerHook(interval="1")), raises(TypeError, lambda: build_from_cfg({"type": "X"}, "model")),
        raises(TypeError, lambda: Rows().load_data_list()), raises(AssertionError, lambda: Evaluator([Count()]).offline_evaluate([1], [1, 2])),
        raises(KeyError, lambda: MODELS.build({"type": "Nope"})), raises(AssertionError, lambda: HistoryBuffer([1], [1, 2])),
        raises(RuntimeError, lambda: runner(folder, train_cfg={"type": "EpochBasedTrainLoop", "by_epoch": True, "max_epochs": 1}).train_loop),
    ]  # fmt: skip


def l04_tuples(folder):
    from mmengine.utils import is_list_of, slice_list, to_2tuple, to_ntuple

    return [
        to_2tuple("corner"),
        to_2tuple(3),
        list(to_ntuple(3)([1, 2])),
        is_list_of([1], int),
        slice_list([1, 2, 3], [1, 2]),
    ]


def l05_delete_at_the_top(folder):
    cfg = ConfigDict(a=1, b=2)
    cfg.merge({"_delete_": True, "a": 3})
    return [dict(cfg), dict(Config({"x": {"a": 1, "b": 2}, "y": 1}).x)]


def l08_elements(folder):
    element = BaseDataElement(metainfo={"size": (1, 2)}, label=3)
    rows = InstanceData()
    rows.labels = torch.zeros(0)
    return [
        element.get("label", 1),
        element.get("nothing", 5),
        callable(element.get("keys", None)),
        len(rows),
        len(InstanceData.cat([rows, rows])),
    ]


def l10_preprocessor(folder):
    from mmengine.model import ImgDataPreprocessor

    return raises(AssertionError, lambda: ImgDataPreprocessor(mean=[1, 2, 3]))


def p22_lines_of_paramwise(folder):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    loggers = [logging.getLogger(name) for name in ("mmengine", "eng")]
    from mmengine.logging import MMLogger

    loggers.append(MMLogger.get_current_instance())
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    rules = {"norm_decay_mult": 0.0, "bias_lr_mult": 2.0}
    build_optim_wrapper(Net(), {"optimizer": {"type": "SGD", "lr": 0.1, "weight_decay": 0.1}, "paramwise_cfg": rules})
    for logger in loggers:
        logger.removeHandler(handler)
    return sorted({line for line in lines if line.startswith("paramwise")})


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.NOTSET)
    results = {}
    for name, function in list(globals().items()):
        if name[0] in "glp" and name[1:3].isdigit():
            folder = tempfile.mkdtemp()
            try:
                results[name] = function(folder)
            except Exception as error:
                results[name] = f"{type(error).__name__}: {str(error)[:300]}"
    sys.stdout.write("\n" + json.dumps(results, default=str) + "\n")


if __name__ == "__main__":
    main()
