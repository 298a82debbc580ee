"""Whole configs of a run, held against a small library of parts none of which is ever built."""

from __future__ import annotations

import copy
import importlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from eng.evaluator import Evaluator
from eng.hooks import CheckpointHook
from eng.registry import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TASK_UTILS,
    TRANSFORMS,
    DefaultScope,
    Registry,
    isolated_registries,
)
from eng.registry import check as check_any
from eng.runner import Runner
from eng.runner.schema import SCHEMA, schema_for


def check(cfg: Any, schema: Any = SCHEMA) -> Any:
    return check_any(cfg, schema)


class Located(dict):
    def __where__(self, key: Any) -> str | None:
        return None if key is None else f"a.py:{list(self).index(key) + 1}"


@pytest.fixture(autouse=True)
def parts() -> Iterator[None]:
    """A small library, every part of which fails when it is built; some parts are eng's."""
    with isolated_registries(empty=True):
        register_parts()
        yield


OURS = (DATA_SAMPLERS, OPTIM_WRAPPERS, LOOPS, HOOKS, EVALUATOR)


def register_parts() -> None:
    def part(registry: Registry, name: str, **parameters: Any) -> None:
        arguments = ", ".join(f"{key}: {hint}" for key, hint in parameters.items())
        space: dict[str, Any] = {"__name__": "eng.parts_of_tests" if registry in OURS else "library_of_tests"}
        exec(f"class {name}:\n    def __init__(self, {arguments}):\n        raise AssertionError('built')", space)
        registry.register_module(module=space[name])

    part(
        MODELS,
        "Classifier",
        backbone="dict",
        head="dict = None",
        data_preprocessor="dict = None",
        init_cfg="dict = None",
    )
    part(MODELS, "ResNet", depth="int", out_indices="tuple[int, ...] = (3,)", norm_cfg="dict = None")
    part(MODELS, "Head", num_classes="int", assigner="dict = None")
    part(MODELS, "BN", num_features="int")
    part(TASK_UTILS, "MaxAssigner", pos_thr="float")
    part(DATASETS, "Digits", data_root="str", pipeline="list = ()")
    part(DATASETS, "Repeat", dataset="dict", times="int")
    part(DATA_SAMPLERS, "DefaultSampler", dataset="object", shuffle="bool = True")
    part(TRANSFORMS, "Resize", scale="int")
    part(OPTIMIZERS, "SGD", params="object", lr="float", momentum="float = 0.0")
    part(OPTIM_WRAPPERS, "OptimWrapper", optimizer="object", accumulative_counts="int = 1", clip_grad="dict = None")
    part(LOOPS, "EpochBasedTrainLoop", runner="object", dataloader="object", max_epochs="int", val_interval="int = 1")
    part(LOOPS, "IterBasedTrainLoop", runner="object", dataloader="object", max_iters="int")
    part(LOOPS, "ValLoop", runner="object", dataloader="object", evaluator="object", fp16="bool = False")
    part(HOOKS, "CheckpointHook", interval="int = 1", by_epoch="bool = True")
    part(METRICS, "Accuracy", topk="int = 1")
    part(EVALUATOR, "Evaluator", metrics="object")


def good() -> dict[str, Any]:
    train_pipeline = [dict(type="Resize", scale=32)]
    return dict(
        default_scope="eng",
        data_root="data/",
        img_norm_cfg=dict(mean=[1.0], std=[2.0]),
        train_pipeline=train_pipeline,
        model=dict(
            type="Classifier",
            backbone=dict(type="ResNet", depth=50, norm_cfg=dict(type="BN", requires_grad=True)),
            head=dict(type="Head", num_classes=10, assigner=dict(type="MaxAssigner", pos_thr=0.5)),
        ),
        train_dataloader=dict(
            batch_size=8,
            num_workers=2,
            sampler=dict(type="DefaultSampler", shuffle=True),
            dataset=dict(
                type="Repeat", times=2, dataset=dict(type="Digits", data_root="data/", pipeline=train_pipeline)
            ),
        ),
        optim_wrapper=dict(
            optimizer=dict(type="SGD", lr=0.1), clip_grad=dict(max_norm=1), paramwise_cfg=dict(norm_decay_mult=0.0)
        ),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        val_cfg=dict(),
        val_evaluator=[dict(type="Accuracy", topk=1)],
        test_evaluator=dict(metrics=[dict(type="Accuracy")]),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1, priority="LOW"), timer=None),
        custom_hooks=[dict(type="CheckpointHook")],
        env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork"), dist_cfg=dict(backend="nccl")),
        randomness=dict(seed=1),
        work_dir="out",
    )


def test_a_good_config_has_no_findings_and_stays_as_it_is() -> None:
    cfg = good()
    before = copy.deepcopy(cfg)
    assert check(cfg) == []
    assert cfg == before
    assert DefaultScope.get_current_instance() is None


def changed(path: str, value: Any, *, rename: str | None = None) -> dict[str, Any]:
    cfg: Any = good()
    node = cfg
    *keys, last = path.split(".")
    for key in keys:
        node = node[int(key) if key.isdigit() else key]
    if rename:
        node[rename] = node.pop(last)
    elif value is ...:
        del node[last]
    else:
        node[last] = value
    return cfg


CASES = [
    ("param_schedular", [], "unknown-key", "param_schedular", "did you mean 'param_scheduler'"),
    ("optim_wraper", dict(), "unknown-key", "optim_wraper", "did you mean 'optim_wrapper'"),
    ("model.backbone.type", "Resnet", "unknown-type", "model.backbone.type", r"'Resnet' is not in the \w+::model registry.*'ResNet'"),
    ("model.backbone.depht", 3, "unknown-argument", "model.backbone.depht", "takes no argument 'depht'; did you mean 'depth'"),
    ("model.num_classes", 3, "unknown-argument", "model.num_classes", "argument of 'head', one level down"),
    ("model.type", ..., "missing-type", "model", 'a model must contain the key "type"'),
    ("model.type", 3, "unknown-type", "model.type", "a name, a class or a function, not 3"),
    ("model.head.assigner.type", "MaxAsigner", "unknown-type", "model.head.assigner.type", "did you mean 'MaxAssigner'"),
    ("model.backbone.norm_cfg.num_featurs", 3, "unknown-argument", "model.backbone.norm_cfg.num_featurs", "num_features"),
    ("train_dataloader.batchsize", 3, "unknown-key", "train_dataloader.batchsize", "did you mean 'batch_size'"),
    ("train_dataloader.dataset", ..., "missing-argument", "train_dataloader", "needs 'dataset'"),
    ("train_dataloader.times", 3, "unknown-key", "train_dataloader.times", "argument of 'dataset', one level down"),
    ("train_dataloader.dataset.num_workers", 3, "unknown-argument", "train_dataloader.dataset.num_workers", "one level up"),
    ("train_dataloader.dataset.dataset.pipeline.0.type", "Resise", "unknown-type", "train_dataloader.dataset.dataset.pipeline[0].type", "did you mean 'Resize'"),
    ("train_dataloader.sampler.shufle", True, "unknown-argument", "train_dataloader.sampler.shufle", "did you mean 'shuffle'"),
    ("optim_wrapper.lr", 0.1, "unknown-argument", "optim_wrapper.lr", "argument of 'optimizer', one level down"),
    ("optim_wrapper.optimizer.lr", ..., "missing-argument", "optim_wrapper.optimizer", "needs the argument 'lr'"),
    ("optim_wrapper.optimizer.clip_grad", {}, "unknown-argument", "optim_wrapper.optimizer.clip_grad", "one level up"),
    ("optim_wrapper.clip_grad.maxnorm", 1, "unknown-key", "optim_wrapper.clip_grad.maxnorm", "did you mean 'max_norm'"),
    ("optim_wrapper.paramwise_cfg.norm_decay", 1, "unknown-key", "optim_wrapper.paramwise_cfg.norm_decay", "norm_decay_mult"),
    ("train_cfg.max_epoch", 3, "unknown-argument", "train_cfg.max_epoch", "did you mean 'max_epochs'"),
    ("train_cfg.max_epochs", "3", "wrong-type", "train_cfg.max_epochs", "takes int"),
    ("train_cfg.by_epoch", False, "unknown-argument", "train_cfg.max_epochs", "takes no argument 'max_epochs'"),
    ("default_hooks.checkpont", dict(type="CheckpointHook"), "unknown-key", "default_hooks.checkpont", "did you mean 'checkpoint'"),
    ("default_hooks.checkpoint.intervall", 1, "unknown-argument", "default_hooks.checkpoint.intervall", "did you mean 'interval'"),
    ("custom_hooks.0.type", "ResNet", "unknown-type", "custom_hooks[0].type", "'ResNet' is a model, not a hook"),
    ("val_evaluator.0.top_k", 1, "unknown-argument", "val_evaluator[0].top_k", "did you mean 'topk'"),
    ("test_evaluator.metrics.0.type", "Acuracy", "unknown-type", "test_evaluator.metrics[0].type", "did you mean 'Accuracy'"),
    ("env_cfg.mp_cfg.opencv_threads", 0, "unknown-key", "env_cfg.mp_cfg.opencv_threads", "opencv_num_threads"),
    ("randomness.sed", 1, "unknown-key", "randomness.sed", "did you mean 'seed'"),
    ("default_scope", "engg", "unknown-scope", "default_scope", "no scope 'engg'.*did you mean 'eng'"),
    ("model._scope_", "mmdet", "unknown-scope", "model._scope_", r"no scope 'mmdet' \(there are: eng\)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "kind", "at", "words"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES]
)
def test_finding(path: str, value: Any, kind: str, at: str, words: str) -> None:
    findings = check(changed(path, value))
    assert [(each.kind, each.path) for each in findings if each.path == at] == [(kind, at)], findings
    assert re.search(words, next(each.message for each in findings if each.path == at))


@pytest.mark.parametrize(
    "path", ["model.backbone.type", "train_dataloader.dataset.dataset.pipeline.0.type", "val_evaluator.0.type"]
)
def test_misspelt_type_key(path: str) -> None:
    assert "missing-type" in {each.kind for each in check(changed(path, None, rename="tpye"))}


@pytest.mark.parametrize(
    "variable",
    ["dataset_type", "data_root", "train_pipeline2", "img_norm_cfg", "norm_cfg", "num_classes", "backend_args", "max_epochs",
     "base_lr", "crop_size", "checkpoint", "file_client_args", "metainfo", "codec", "img_scales", "custom_var", "_x"],
)  # fmt: skip
def test_variables_of_the_user_pass(variable: str) -> None:
    assert check(dict(good(), **{variable: dict(a=1)})) == []


def test_slip_of_a_key_of_ours_is_told_although_other_code_knows_the_word() -> None:
    cfg = dict(good(), env_cfg=dict(dist_cfg=dict(backends="gloo")))  # "backends" is a word of eng.fileio
    assert [(finding.path, finding.is_certain) for finding in check(cfg)] == [("env_cfg.dist_cfg.backends", False)]
    cfg["env_cfg"] = dict(dist_cfg=dict(backend="gloo", backends="gloo"))
    assert check(cfg) == []


def test_slip_in_a_metric_is_told_below_a_loop_that_is_not_known() -> None:
    class Score:
        def __init__(self, backend: str = "") -> None: ...

    class OtherLoop: ...

    METRICS.register_module(module=Score)
    LOOPS.register_module(module=OtherLoop)
    EVALUATOR.register_module(module=Evaluator, force=True)
    evaluator = dict(type="Evaluator", metrics=[dict(type="Score", backends="x")])  # a word of eng.fileio
    findings = check(dict(good(), val_cfg=dict(type="OtherLoop"), val_evaluator=evaluator))
    assert [(finding.path, finding.is_certain) for finding in findings] == [
        ("val_evaluator.metrics[0].backends", False)
    ]


def test_misspelt_type_of_a_part_with_a_default_is_told_below_a_loop_that_is_not_known() -> None:
    class OtherLoop: ...

    LOOPS.register_module(module=OtherLoop)
    evaluator = dict(tape="Evaluator", metrics=[dict(type="Accuracy")])
    findings = check(dict(good(), val_cfg=dict(type="OtherLoop"), val_evaluator=evaluator))
    assert [(finding.kind, finding.path) for finding in findings] == [("missing-type", "val_evaluator.tape")]


def test_variable_near_a_key_passes_where_it_is_used() -> None:
    cfg = good()
    cfg["vae_cfg"] = dict(fp16=True)
    assert [each.path for each in check(cfg)] == ["vae_cfg"]
    cfg["val_cfg"] = dict(cfg["vae_cfg"])
    assert check(cfg) == []


def test_optimizer_variable_that_went_into_the_wrapper_passes() -> None:
    cfg = good()
    cfg["optimizer"] = cfg["optim_wrapper"]["optimizer"]
    assert check(cfg) == []


def test_all_findings_come_at_once_with_file_and_line() -> None:
    cfg = Located(good())
    cfg["optim_wraper"] = {}
    cfg["model"] = Located(type="Classifer", width=3)
    cfg["custom_hooks"] = [Located(type="CheckpointHook", interval="x")]
    findings = check(cfg)
    assert [(each.path, each.where) for each in findings] == [
        ("model.type", "a.py:1"),
        ("custom_hooks[0].interval", "a.py:2"),
        ("optim_wraper", f"a.py:{len(cfg)}"),
    ]
    assert str(findings[1]).startswith("a.py:2 custom_hooks[0].interval: CheckpointHook takes int")
    assert findings[0].to_dict()["kind"] == "unknown-type"


def test_scope_below_a_node_decides_where_names_are_looked_up() -> None:
    library = Registry("model", parent=MODELS, scope="mmx")
    library.register_module(name="Only", module=type("Only", (), {}))
    node = dict(type="Classifier", _scope_="mmx", backbone=dict(type="Only"))
    assert check(dict(model=node)) == []
    assert check(dict(default_scope="mmx", model=dict(type="Only"))) == []
    assert [each.path for each in check(dict(model=dict(type="Only")))] == ["model.type"]


def test_optimizer_at_the_top_has_no_effect_where_there_is_no_wrapper() -> None:
    cfg = changed("optimizer", dict(type="Adam"))
    assert check(cfg) == []  # the base of an optim_wrapper that another file replaced
    del cfg["optim_wrapper"]
    [finding] = check(cfg)
    assert (finding.kind, finding.path, finding.is_certain) == ("misplaced-key", "optimizer", False)
    assert "it belongs in 'optim_wrapper'" in finding.message


@pytest.mark.parametrize(
    ("path", "value", "certain"),
    [
        ("model.type", "X", [True]),
        ("model.bakbone", 1, [True]),
        ("model.something", 1, [False]),  # another version of the class may take it
        ("model.backbone.depht", 1, [False]),  # the classifier's code builds the backbone
        ("model.head.num_classes", ..., []),  # ... and may fill arguments in
        ("optim_wraper", {}, [False]),  # has no effect
        ("train_dataloader.batchsize", 1, [True]),
        ("test_evaluator.metrics.0.topkk", 1, [False]),  # a training run builds no test
        ("val_cfg.fp17", 1, [False]),
        ("train_cfg.max_epochs", "3", [False]),
        ("default_hooks.checkpoint.intervall", 1, [True]),
        ("randomness.sed", 1, [True]),
        ("env_cfg.cudnn_bench", 1, [False]),
        ("default_scope", "engg", [False]),
    ],
)
def test_only_what_is_certain_to_fail_stops_a_run(path: str, value: Any, certain: list[bool]) -> None:
    assert [each.is_certain for each in check(changed(path, value)) if each.path.startswith(path[:8])] == certain


@pytest.mark.parametrize("scope", [None, "", "eng"])
def test_no_default_scope_is_the_root_scope(scope: str | None) -> None:
    assert check(changed("default_scope", scope)) == []


def test_scope_of_another_registry_than_the_models_is_known() -> None:
    Registry("hook", parent=HOOKS, scope="hooklib")
    assert check(changed("default_scope", "hooklib")) == []


def test_settings_that_eng_documents() -> None:
    cfg = dict(good(), nan_policy="stop", preemption=dict(time_budget_s=1))
    cfg["randomness"] = dict(seed=1, per_sample=False, deterministic=True, diff_rank_seed=False)
    cfg["env_cfg"] = dict(backend="gloo", resource_limit=1024)
    assert check(cfg) == []
    assert [each.path for each in check(dict(good(), nan_polic="stop"))] == ["nan_polic"]


def test_named_groups_of_schedulers() -> None:
    class Step:
        def __init__(self, optimizer: Any, size: int) -> None: ...

    PARAM_SCHEDULERS.register_module(name="StepLR", module=Step)
    step = dict(type="StepLR", size=1)
    assert check(dict(good(), param_scheduler=dict(g=step, d=[step, step]))) == []
    wrong = dict(good(), param_scheduler=dict(g=step, d=[step, dict(type="StepLR", sizze=1)]))
    assert [each.path for each in check(wrong)] == ["param_scheduler.d[1].sizze", "param_scheduler.d[1]"]


def test_subclass_that_builds_a_part_in_its_own_way() -> None:
    class Mine(Runner):
        def build_model(self, model: Any) -> Any: ...

    cfg = changed("model.bakbone", 1)
    assert [each.is_certain for each in check(cfg)] == [True]
    assert [each.is_certain for each in check(cfg, schema_for(Runner))] == [True]
    assert [each for each in check(cfg, schema_for(Mine)) if each.is_certain] == []


def test_loop_of_the_user_builds_its_own_data() -> None:
    LOOPS.register_module(name="Mine", module=type("Mine", (), {"__init__": lambda self, runner, dataloader: None}))
    cfg = changed("train_dataloader.batchsize", 1)
    cfg["train_cfg"] = dict(type="Mine")
    assert [each.is_certain for each in check(cfg)] == [False]


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        (dict(lr_mult=0.1, decay_mult=0.0, momentum=0.5), []),
        (dict(lr_mul=0.1), ["lr_mul"]),
        (dict(wd_mult=0.1), ["wd_mult"]),
    ],
)
def test_keys_below_custom_keys(rule: dict[str, Any], paths: list[str]) -> None:
    cfg = changed("optim_wrapper.paramwise_cfg", dict(custom_keys={"backbone.0": rule}))
    prefix = "optim_wrapper.paramwise_cfg.custom_keys.backbone.0."
    assert [each.path.removeprefix(prefix) for each in check(cfg)] == paths


def test_several_optim_wrappers_as_for_a_gan() -> None:
    wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    cfg = dict(
        good(),
        optim_wrapper=dict(constructor="Multi", generator=wrapper, discriminator=dict(wrapper, acumulative_counts=2)),
    )
    assert [each.path for each in check(cfg)] == ["optim_wrapper.discriminator.acumulative_counts"]


def test_constructor_with_rules_of_its_own() -> None:
    wrapper = dict(optimizer=dict(type="SGD", lr=0.1), constructor="LayerDecay", paramwise_cfg=dict(num_layers=12))
    assert check(dict(good(), optim_wrapper=wrapper)) == []


@pytest.mark.parametrize("cfg", [3, None, "config.py"], ids=repr)
def test_what_is_no_config(cfg: object) -> None:
    with pytest.raises(TypeError, match="a whole config is a mapping"):
        check(cfg)


def test_the_model_inside_of_a_model_for_test_time_augmentation_is_added_later() -> None:
    class Mean:
        def __init__(self, module: Any) -> None:
            raise AssertionError("built")

    assert check(dict(tta_model=dict(type=Mean))) == []
    assert [each.path for each in check(dict(model=dict(type=Mean)))] == ["model"]


def test_a_slip_that_other_code_happens_to_spell_the_same_way_is_a_slip(tmp_path, monkeypatch) -> None:
    """CheckpointHook takes further arguments, but no library's code reads them."""
    library = "from eng.registry import HOOKS\n\n\nclass Every:\n    def __init__(self, intervel):\n        pass\n"
    (tmp_path / "library_with_slips.py").write_text(f"{library}\n\nHOOKS.register_module(module=Every)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with isolated_registries():
        importlib.import_module("library_with_slips")
        hooks = dict(checkpoint=dict(type=CheckpointHook, intervel=2), every=dict(type="Every", intervel=2))
        assert [each.path for each in check(dict(good(), default_hooks=hooks))] == ["default_hooks.checkpoint.intervel"]
    sys.modules.pop("library_with_slips")


def test_a_list_of_samples_is_a_dataset_and_a_list_with_a_type_is_checked() -> None:
    samples = dict(batch_size=2, dataset=[dict(x=1, y=2), dict(x=3, y=4)])
    assert check(dict(train_dataloader=samples)) == []
    parts = dict(batch_size=2, dataset=[dict(type="Digitz")])
    assert "train_dataloader.dataset[0].type" in [each.path for each in check(dict(train_dataloader=parts))]


BATCHES = [{"x": [1.0]}, {"x": [2.0]}]


@pytest.mark.parametrize(
    ("loaders", "found"),
    [
        ({"train_dataloader": BATCHES}, []),
        ({"train_dataloader": {"dataset": BATCHES, "batch_size": 2}}, []),
        ({"val_dataloader": BATCHES}, []),
        ({"val_dataloader": {"clean": BATCHES, "noisy": {"dataset": BATCHES}}}, []),
        ({"test_dataloader": tuple(BATCHES)}, []),
        ({"train_dataloader": {"dataset": BATCHES, "batchsize": 2}}, ["train_dataloader.batchsize"]),
        ({"val_dataloader": {"a": {"dataset": BATCHES, "batchsize": 2}}}, ["val_dataloader.a.batchsize"]),
        ({"train_dataloader": {"dataset": {"type": "ConcatDataset", "datasets": [{"type": "Nowhere"}]}}},
         ["train_dataloader.dataset.datasets[0].type"]),
    ],
    ids=["loader", "dataset", "val", "sets", "tuple", "key", "key-of-a-set", "datasets"],
)  # fmt: skip
def test_a_list_of_batches_or_samples_is_an_object(loaders: dict[str, Any], found: list[str]) -> None:
    assert [finding.path for finding in check({"default_scope": "eng", **loaders})] == found
