"""Infers from a metric's name whether greater or smaller values are better."""

from __future__ import annotations

import re
from collections.abc import Sequence

# If a metric's name contains one of these words, smaller values are better, whatever other words the name contains:
# "loss_heatmap", "top1_error".
_DECISIVE = frozenset({"loss", "losses", "error", "errors", "err"})
_LESS = frozenset({
    "mae", "mse", "rmse", "mape", "nrmse", "nll", "ppl", "perplexity", "entropy", "eer", "wer", "cer", "mer", "ter",
    "wil", "fid", "kid", "lpips", "dists", "niqe", "brisque", "swd", "sad", "epe", "nme", "mpjpe", "mrrpe", "mmr",
    "hausdorff", "hd95", "distance", "divergence", "disparity", "deviance", "silog", "idsw", "lost", "fallout",
})  # fmt: skip
_GREATER = frozenset({
    "acc", "accs", "accuracy", "accuracies", "macc", "aacc", "top", "auc", "auroc", "auprc", "roc", "precision",
    "precisions", "mprecision", "recall", "recalls", "mrecall", "f1", "fscore", "mfscore", "fbeta", "hmean", "psnr",
    "ssim", "msssim", "dice", "mdice", "iou", "miou", "ciou", "giou", "diou", "jaccard", "pck", "pckh", "bleu",
    "rouge", "meteor", "cider", "spice", "chrf", "bertscore", "hota", "mota", "motp", "idf1", "snr", "sdr", "kappa",
    "mcc", "corrcoef", "ndcg", "mrr", "sensitivity", "specificity", "r2", "plcc", "srcc", "vmaf",
})  # fmt: skip
# Phrases of several words, none of which alone tells whether greater or smaller values of the metric are better.
_LESS_PHRASES = ("abs_rel", "sq_rel")
_GREATER_PHRASES = (
    "f_beta", "f_score", "cosine_similarity", "structural_similarity", "exact_match", "corr_coef",
    "correlation_coefficient", "noise_ratio", "distortion_ratio", "energy_ratio", "intersection_over_union",
    "panoptic_quality", "inception_score", "predictive_value", "hit_rate", "explained_variance", "bert_score", "io_u",
)  # fmt: skip
# Abbreviations of detection and retrieval metrics: mAP, AP50, APs, AR@100, R1, R@5. Only capitals count, because "ap" or
# "r1" in small letters may be part of any name.
_CAPITALS = re.compile(r"m?A[PR][smlrcft]?|MAP|MAR|PQ|SQ|RQ|R(1|5|10|20)")
_RECALL_AT = re.compile(r"(?<![A-Za-z])R@\d")
# In small letters the abbreviations of detection metrics count only if they are the full name of the metric, such as
# "map_50" and "mar_large" of torchmetrics.
_SMALL_LETTERS = re.compile(r"(map|mar|ap|ar)([_@.-]?(\d+|small|medium|large|s|m|l|per_class))*")
# If a metric's name contains one of these words, the name does not tell whether greater or smaller values are better:
# "acc_drop", "mAP_std".
_UNDECIDED = frozenset({"drop", "gap", "std", "stdev", "stderr"})
# scikit-learn's names of negated errors, such as "neg_mean_squared_error". Greater values are better, but the word
# "error" stands for smaller values, so no rule is inferred from such a name.
_NEGATED = re.compile(r"_neg(ative)?_(mean|median|max|root|mse|mae|rmse|brier)_")
_HUMP = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


def check_rule(rule: str) -> str:
    """Returns ``rule`` if it is ``"greater"`` or ``"less"``.

    Raises:
        ValueError: ``rule`` is neither of them.
    """
    if rule not in ("greater", "less"):
        raise ValueError(f"rule must be 'greater' or 'less', got {rule!r}")
    return rule


def is_better(value: float, than: float, rule: str) -> bool:
    """Whether ``value`` is greater than ``than`` by the rule ``"greater"``, or less by the rule ``"less"``.

    False if the two are equal or one of them is NaN.

    Example:
        >>> is_better(0.9, 0.8, "greater"), is_better(0.8, 0.8, "less"), is_better(float("nan"), 0.8, "greater")
        (True, False, False)
    """
    if rule == "greater":
        return value > than
    return value < than


def infer_rule(metric: str, greater_keys: Sequence[str] | None = None, less_keys: Sequence[str] | None = None) -> str:
    """Returns ``"greater"`` or ``"less"``, depending on which values of ``metric`` are better.

    The caller's keys are tried first, then the words of the metric's name. The name is split into words at punctuation,
    at digits and at capital letters. The words ``loss`` and ``error`` always mean ``"less"``; if other words contradict
    each other, the rule is unknown.

    Args:
        metric: name of the metric, possibly with a prefix: ``"coco/bbox_mAP"``.
        greater_keys: names, or parts of names, of metrics that are better when greater. They precede the built-in words.
        less_keys: names, or parts of names, of metrics that are better when less. They precede the built-in words.

    Raises:
        ValueError: no word of the name tells the rule, or its words contradict each other.

    Example:
        >>> infer_rule("val/loss_cls"), infer_rule("accuracy/top1"), infer_rule("top1_error")
        ('less', 'greater', 'less')
    """
    rule = _by_keys(metric, greater_keys or (), less_keys or ()) or _by_words(metric)
    if rule is None:
        raise ValueError(f"cannot tell whether more or less of {metric!r} is better; set rule='greater' or rule='less'")
    return rule


def _by_keys(metric: str, greater_keys: Sequence[str], less_keys: Sequence[str]) -> str | None:
    """Returns the rule of a metric by the caller's keys; None if no key is part of the metric's name.

    A key that equals the name takes precedence over keys that are only parts of the name.
    """
    name = metric.lower()
    keys = [(key.lower(), "greater") for key in greater_keys] + [(key.lower(), "less") for key in less_keys]
    for rules in ({rule for key, rule in keys if key == name}, {rule for key, rule in keys if key in name}):
        if len(rules) > 1:
            raise ValueError(f"greater_keys and less_keys both fit {metric!r}; set rule='greater' or rule='less'")
        if rules:
            return rules.pop()
    return None


def _by_words(metric: str) -> str | None:
    """Returns the rule by the words of a metric's name; None if no word tells a rule or words contradict each other."""
    segments = [segment for segment in re.split(r"[^A-Za-z0-9]+", metric) if segment]
    humps = [hump for segment in segments for hump in _HUMP.findall(segment)]
    pieces = [*segments, *humps]
    forms = {form for piece in pieces for form in (piece.lower(), _stem(piece).lower())}
    joined = f"_{'_'.join(humps).lower()}_"
    if _NEGATED.search(joined):
        return None
    if forms & _DECISIVE:
        return "less"
    if forms & _UNDECIDED:
        return None
    is_less = bool(forms & _LESS) or _has_phrase(joined, _LESS_PHRASES)
    is_greater = bool(forms & _GREATER) or _has_phrase(joined, _GREATER_PHRASES) or _is_of_detection(metric, pieces)
    if is_greater == is_less:
        return None
    if is_greater:
        return "greater"
    return "less"


def _stem(piece: str) -> str:
    """Removes the number at the end of a word: ``top1`` becomes ``top``."""
    return piece.rstrip("0123456789")


def _has_phrase(joined: str, phrases: Sequence[str]) -> bool:
    return any(f"_{phrase}_" in joined for phrase in phrases)


def _is_of_detection(metric: str, pieces: Sequence[str]) -> bool:
    """Whether a name contains an abbreviation of detection or retrieval, such as ``mAP``, ``AR@100`` or ``R@5``."""
    has_capitals = any(_CAPITALS.fullmatch(form) for piece in pieces for form in (piece, _stem(piece)))
    component = metric.rpartition("/")[2]
    return bool(has_capitals or _RECALL_AT.search(metric) or _SMALL_LETTERS.fullmatch(component))
