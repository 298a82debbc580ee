"""Whether more or less of a metric is better."""

from __future__ import annotations

from collections.abc import Sequence

GREATER_KEYS = (
    "acc", "top", "AR@", "auc", "precision", "mAP", "mDice", "mIoU", "mAcc", "aAcc", "AR", "recall", "f1", "psnr", "ssim",
)  # fmt: skip
LESS_KEYS = ("loss",)


def check_rule(rule: str) -> str:
    """``rule`` itself where it is ``"greater"`` or ``"less"``.

    Raises:
        ValueError: it is neither.
    """
    if rule not in ("greater", "less"):
        raise ValueError(f"rule must be 'greater' or 'less', got {rule!r}")
    return rule


def is_better(value: float, than: float, rule: str) -> bool:
    """Whether ``value`` beats ``than``; a NaN never does.

    Example:
        >>> is_better(0.9, 0.8, "greater"), is_better(0.8, 0.8, "less"), is_better(float("nan"), 0.8, "greater")
        (True, False, False)
    """
    return value > than if rule == "greater" else value < than


def infer_rule(metric: str, greater_keys: Sequence[str] | None = None, less_keys: Sequence[str] | None = None) -> str:
    """The rule for ``metric``, from exact names first and parts of names after them.

    Args:
        metric: name, possibly with a prefix: ``"coco/bbox_mAP"``.
        greater_keys: names of which more is better; None takes the usual ones.
        less_keys: names of which less is better; None takes ``("loss",)``.

    Raises:
        ValueError: nothing in the name tells.

    Example:
        >>> infer_rule("val/loss_cls"), infer_rule("accuracy/top1")
        ('less', 'greater')
    """
    greater = [key.lower() for key in (GREATER_KEYS if greater_keys is None else greater_keys)]
    less = [key.lower() for key in (LESS_KEYS if less_keys is None else less_keys)]
    name = metric.lower()
    for test in (lambda key: key == name, lambda key: key in name):
        if any(test(key) for key in greater):
            return "greater"
        if any(test(key) for key in less):
            return "less"
    raise ValueError(f"cannot tell whether more or less of {metric!r} is better; set rule='greater' or rule='less'")
