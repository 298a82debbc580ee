from __future__ import annotations

import copy
from typing import Any

import pytest

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
    TASK_UTILS,
    TRANSFORMS,
    DefaultScope,
    Finding,
    Registry,
    check,
)


class Located(dict):
    def __where__(self, key: Any) -> str | None:
        return None if key is None else f"a.py:{list(self).index(key) + 1}"


@pytest.fixture(autouse=True)
def parts() -> None:
    """A small library, every part of which fails when it is built."""

    def part(registry: Registry, name: str, **parameters: Any) -> None:
        arguments = ", ".join(f"{key}: {hint}" for key, hint in parameters.items())
        space: dict[str, Any] = {}
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
    ("model.backbone.type", "Resnet", "unknown-type", "model.backbone.type", "no model is called 'Resnet'.*'ResNet'"),
    ("model.backbone.depht", 3, "unknown-argument", "model.backbone.depht", "takes no argument 'depht'; did you mean 'depth'"),
    ("model.backbone.depth", ..., "missing-argument", "model.backbone", r"ResNet needs the argument 'depth' \(int\)"),
    ("model.backbone.depth", "50", "wrong-type", "model.backbone.depth", "takes int for 'depth', not str '50'"),
    ("model.backbone.out_indices", ["a"], "wrong-type", "model.backbone.out_indices", "takes tuple"),
    ("model.num_classes", 3, "unknown-argument", "model.num_classes", "argument of 'head', one level down"),
    ("model.type", ..., "missing-type", "model", "a model needs the key 'type'"),
    ("model.type", 3, "unknown-type", "model.type", "a name, a class or a function, not 3"),
    ("model.head.assigner.type", "MaxAsigner", "unknown-type", "model.head.assigner.type", "no model is called"),
    ("model.backbone.norm_cfg.num_featurs", 3, "unknown-argument", "model.backbone.norm_cfg.num_featurs", "num_features"),
    ("train_dataloader.batchsize", 3, "unknown-argument", "train_dataloader.batchsize", "did you mean 'batch_size'"),
    ("train_dataloader.dataset", ..., "missing-argument", "train_dataloader", "needs 'dataset'"),
    ("train_dataloader.times", 3, "unknown-argument", "train_dataloader.times", "argument of 'dataset', one level down"),
    ("train_dataloader.dataset.num_workers", 3, "unknown-argument", "train_dataloader.dataset.num_workers", "one level up"),
    ("train_dataloader.dataset.dataset.pipeline.0.type", "Resise", "unknown-type", "train_dataloader.dataset.dataset.pipeline[0].type", "did you mean 'Resize'"),
    ("train_dataloader.dataset.dataset.pipeline.0.scale", "big", "wrong-type", "train_dataloader.dataset.dataset.pipeline[0].scale", "takes int"),
    ("train_dataloader.sampler.shufle", True, "unknown-argument", "train_dataloader.sampler.shufle", "did you mean 'shuffle'"),
    ("optim_wrapper.lr", 0.1, "unknown-argument", "optim_wrapper.lr", "argument of 'optimizer', one level down"),
    ("optim_wrapper.optimizer.lr", "0.1", "wrong-type", "optim_wrapper.optimizer.lr", "takes float"),
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
    ("optimizer", dict(type="Adam"), "misplaced-key", "optimizer", "belongs in 'optim_wrapper'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "kind", "at", "words"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES]
)
def test_finding(path: str, value: Any, kind: str, at: str, words: str) -> None:
    findings = check(changed(path, value))
    assert [(each.kind, each.path) for each in findings if each.path == at] == [(kind, at)], findings
    import re

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
    cfg["model"] = Located(type="Classifer", bakbone=3)
    cfg["custom_hooks"] = [Located(type="CheckpointHook", interval="x")]
    findings = check(cfg)
    assert [(each.path, each.where) for each in findings] == [
        ("model.type", "a.py:1"),
        ("custom_hooks[0].interval", "a.py:2"),
        ("optim_wraper", f"a.py:{len(cfg)}"),
    ]
    assert str(findings[1]).startswith("a.py:2 custom_hooks[0].interval: CheckpointHook takes int")
    assert findings[0].to_dict()["kind"] == "unknown-type"


def test_one_node_of_one_registry() -> None:
    assert [each.path for each in check(dict(type="ResNet", dept=1), MODELS)] == ["model.dept", "model"]
    assert [each.path for each in check([dict(type="BN"), dict(type="BM")], MODELS)] == ["model[0]", "model[1].type"]


def test_a_class_as_type_is_checked_like_a_name() -> None:
    class Net:
        def __init__(self, a: int) -> None:
            raise AssertionError("built")

    assert [each.message for each in check(dict(type=Net, b=1), MODELS)] == [
        "Net takes no argument 'b'",
        "Net needs the argument 'a' (int)",
    ]


def test_scope_below_a_node_decides_where_names_are_looked_up() -> None:
    library = Registry("model", parent=MODELS, scope="mmx")
    library.register_module(name="Only", module=type("Only", (), {}))
    node = dict(type="Classifier", _scope_="mmx", backbone=dict(type="Only"))
    assert check(dict(model=node)) == []
    assert check(dict(default_scope="mmx", model=dict(type="Only"))) == []
    del node["_scope_"]
    assert [each.path for each in check(dict(model=node))] == ["model.backbone.type"]


def test_uncertain_where_the_code_of_the_parent_may_mend_it() -> None:
    missing = [each for each in check(changed("model.head.num_classes", ...)) if each.kind == "missing-argument"]
    assert [each.is_certain for each in missing] == [False]
    assert [each.is_certain for each in check(changed("model.type", "X"))] == [True]


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


def test_finding_is_a_value() -> None:
    assert Finding("unknown-key", "a.b", "words") == Finding("unknown-key", "a.b", "words")
    assert str(Finding("unknown-key", "a.b", "words")) == "a.b: words"


def test_name_defined_in_a_file_that_nobody_imported(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "nets.py").write_text("class MyNet(Base):\n    pass\n")
    [finding] = check(dict(type="MyNet"), MODELS)
    assert "nets.py defines it; import it first: custom_imports = dict(imports=['parts.nets'])" in finding.message


def test_name_in_the_package_of_its_scope_is_found_without_importing_it(package) -> None:
    package("mmz", nets="raise OSError('imported')\nclass ZNet:\n    pass\n")
    Registry("model", parent=MODELS, scope="mmz")
    [finding] = check(dict(type="mmz.ZNet"), MODELS)
    assert "imports=['mmz.nets']" in finding.message


def test_error_while_importing_a_location_goes_through(package) -> None:
    package("broken_parts", parts="1 / 0")
    Registry("model", parent=MODELS, scope="mmb", locations=["broken_parts.parts"])
    with pytest.raises(ZeroDivisionError):
        check(dict(model=dict(type="mmb.X")))


def test_the_model_inside_of_a_model_for_test_time_augmentation_is_added_later() -> None:
    class Mean:
        def __init__(self, module: Any) -> None:
            raise AssertionError("built")

    assert check(dict(tta_model=dict(type=Mean))) == []
    assert [each.path for each in check(dict(model=dict(type=Mean)))] == ["model"]
