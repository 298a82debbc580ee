"""Which way a metric is better: by whole words of its name, and never wrong."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eng.hooks import CheckpointHook, EarlyStoppingHook
from eng.hooks._rules import infer_rule

DATA = json.loads(Path(__file__).with_name("data").joinpath("metric_directions.json").read_text(encoding="utf-8"))
LIBRARIES = ["mmdet", "mmpose", "mmseg", "mmpretrain", "other libraries"]
NAMES = [(name, rule) for library in LIBRARIES for rule in ("greater", "less") for name in DATA[library][rule]]

# What torchmetrics says of these is wrong: each is documented there, or in its paper, to be better the other way.
WRONG_IN_TORCHMETRICS = {"DaviesBouldinScore", "SpectralDistortionIndex", "PerceptualPathLength", "WordInfoPreserved"}


def rule_of(name: str) -> str | None:
    try:
        return infer_rule(name)
    except ValueError:
        return None


@pytest.mark.parametrize(("name", "rule"), NAMES)
def test_names_of_openmmlab_go_the_right_way(name, rule) -> None:
    assert rule_of(name) == (None if name in DATA["undecided"] else rule)


def torchmetrics_directions() -> dict[str, bool]:
    torchmetrics = pytest.importorskip("torchmetrics")
    directions = {}
    for module in pkgutil.walk_packages(torchmetrics.__path__, "torchmetrics."):
        try:
            members = vars(importlib.import_module(module.name))
        except ImportError:  # of an optional library
            continue
        for name, kind in members.items():
            if inspect.isclass(kind) and issubclass(kind, torchmetrics.Metric):
                better = getattr(kind, "higher_is_better", None)
                if isinstance(better, bool) and name not in WRONG_IN_TORCHMETRICS:
                    directions[name] = better
    return directions


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@pytest.mark.filterwarnings("ignore")
def test_no_name_of_torchmetrics_goes_the_wrong_way() -> None:
    directions = torchmetrics_directions()
    decided = 0
    for name, greater in directions.items():
        for form in (name, snake_case(name), f"val/{name}", f"val_{snake_case(name)}_epoch", f"{name}-2"):
            rule = rule_of(form)
            assert rule in (None, "greater" if greater else "less"), form
            decided += rule is not None
    assert decided >= 0.7 * 5 * len(directions) > 300


@pytest.mark.parametrize(
    "name", ["target", "boundary", "variance", "landmark", "regularization", "sparse", "hard", "accumulated", "heatmap",
             "stop", "warmup", "nearest", "mapper", "accept", "topology", "recaller", "feature_map", "bar"],
)  # fmt: skip
def test_a_syllable_is_no_word(name) -> None:
    with pytest.raises(ValueError, match=f"whether more or less of '{name}' is better; set rule="):
        infer_rule(name)


PIECES = ["heatmap", "top1", "acc", "AR", "mAP", "IoU", "target", "recall", "map", "AUC", "val", "coco"]


@given(
    before=st.lists(st.sampled_from(PIECES), max_size=3),
    decisive=st.sampled_from(["loss", "Loss", "error", "losses"]),
    after=st.lists(st.sampled_from(PIECES), max_size=3),
    separator=st.sampled_from(["_", "/", "-", ".", " "]),
)
def test_loss_and_error_settle_the_direction(before, decisive, after, separator) -> None:
    assert infer_rule(separator.join([*before, decisive, *after])) == "less"


@given(st.sampled_from(PIECES[1:6]), st.sampled_from(["distance", "perplexity", "rmse"]), st.sampled_from("_/-."))
def test_words_that_contradict_each_other_ask_for_a_rule(greater, less, separator) -> None:
    with pytest.raises(ValueError, match="set rule='greater' or rule='less'"):
        infer_rule(f"{greater}{separator}{less}")


@pytest.mark.parametrize("name", ["acc_drop", "val/mAP_std", "coco/bbox_mAP-std", "fold/dice_stderr", "accuracyGap"])
def test_spread_or_fall_of_a_metric_asks_for_a_rule(name) -> None:
    assert rule_of(name) is None


@pytest.mark.parametrize("name", ["std_loss", "loss_gap"])
def test_spread_of_a_loss_is_less(name) -> None:
    assert rule_of(name) == "less"


def test_keys_of_the_user_come_first_and_may_not_contradict_each_other() -> None:
    assert infer_rule("my_loss", greater_keys=["my_loss"]) == "greater"
    assert infer_rule("quality", greater_keys=["qual"]) == "greater"
    assert infer_rule("acc", less_keys=["acc"]) == "less"
    assert infer_rule("acc_gap", greater_keys=["acc"], less_keys=["acc_gap"]) == "less"
    with pytest.raises(ValueError, match="greater_keys and less_keys both fit 'acc_gap'"):
        infer_rule("acc_gap", greater_keys=["acc"], less_keys=["gap"])


def test_both_hooks_ask_the_same_rules() -> None:
    assert CheckpointHook(save_best=["loss_heatmap", "top1_error"]).rules == ["less", "less"]
    assert EarlyStoppingHook("loss_heatmap").rule == "less"
    with pytest.raises(ValueError, match="whether more or less of 'target_density' is better"):
        EarlyStoppingHook("target_density")
    assert EarlyStoppingHook("target_density", rule="less").rule == "less"
