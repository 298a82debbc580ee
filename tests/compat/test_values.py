"""Functions of ``mmengine`` give what MMEngine 0.10.7 gives, over the inputs of ``values.py``."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

# Beginning of an expression -> why eng gives something else.
_SOONER = "eng tells at once what the reference takes and fails on later, or ignores"
_SLIP = "the reference fails inside, by an attribute or an index, and eng says what is wrong"
_TAKEN = "eng has a use for the value"
DIFFERENT = {
    "utils.track_progress(double, (1, 2, 3)": "a tuple of tasks is a sequence of tasks",
    "bar_text(0, 2)": "the line of a bar without a total is written over the one before",
    "utils.slice_list([1, 2, 3, 4], 0)": "pieces of length 0 are a wrong value, not a division",
    "utils.slice_list((1, 2), 0)": "pieces of length 0 are a wrong value, not a division",
    "utils.slice_list([], 0)": "pieces of length 0 are a wrong value, not a division",
    "utils.slice_list([], -2)": "pieces of negative length are a wrong value, also of an empty list",
    "utils.slice_list('abcd', 0)": "pieces of length 0 are a wrong value, not a division",
    "StepLR(o, step_size=0)": _SOONER,
    "StepLR(o, step_size=2, begin=-1)": _SOONER,
    "ExponentialMovingAverage(nn.Linear(1, 1), interval=0)": _SOONER,
    "Evaluator(3)": _SOONER,
    "all_reduce": _SOONER,
    "register_handler(3)": _SOONER,
    "LocalVisBackend(save_dir='a', img_save_dir=3)": _SOONER,
    "MultiStepLR(o, milestones=3)": "the error of every wrong schedule is a ScheduleError",
    "CosineRestartLR(o, periods=[1, 2], restart_weights=[1])": _SLIP,
    "OptimWrapper(3)": _SLIP,
    "build_optim_wrapper(nn.Linear(1, 1), 3)": _SLIP,
    "stack_batch([": _SLIP,
    "pseudo_collate([])": _SLIP,
    "ConcatDataset([])": _SLIP,
    "generate_presigned_url('a')": _SLIP,
    "V().set_image(3)": _SLIP,
    "Visualizer().": _SLIP,
    "FlopAnalyzer(3, 4)": _SLIP,
    "Config.fromfile(3)": _SLIP,
    "get_file_backend(3)": _SLIP,
    "ImgDataPreprocessor(pad_size_divisor=0)": _SLIP,
    "collect_results([1], 1, device='nope')": "an unknown device is a wrong value; nothing is unimplemented",
    "autocast(device_type='nope')": "torch's own error comes through",
    "HistoryBuffer([1, 2], [1, 2]).mean(-1)": "a mean over less than one value has no value",
    "MessageHub('hub g').update_scalar('a', 1, 2.5)": "a weight need not be whole: a mean over 2.5 tokens per sample",
    "MMLogger('x', log_level='NOPE')": "an unknown level is a wrong value, as in logging itself",
    "CheckpointHook(save_best='acc', rule='x')": "an unknown rule is a wrong value",
    "FileClient(backend='disk') is FileClient(prefix='')": "both name the local disk",
    "LoggerHook(ignore_last='x')": _TAKEN,
    "CheckpointHook(published_keys=3)": _TAKEN,
    "ProfilerHook(by_epoch=3)": _TAKEN,
}

EVALUATE = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import eng.compat
eng.compat.install()
sys.path.insert(0, sys.argv[1])
import values
print("RESULTS" + json.dumps(values.outcomes(list(json.load(open(sys.argv[1] + "/values.json"))))))
"""


def is_caught_as(ours: str, theirs: str) -> bool:
    """Whether code that catches the reference's exception catches ours."""
    return issubclass(getattr(builtins, ours), getattr(builtins, theirs))


def test_values_are_those_of_the_reference() -> None:
    done = subprocess.run([sys.executable, "-c", EVALUATE, str(HERE)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = json.loads(done.stdout.rpartition("RESULTS")[2])
    reference = json.loads((HERE / "values.json").read_text(encoding="utf-8"))
    assert len(reference) > 1500
    wrong = []
    for expression, (outcome, result) in reference.items():
        our_outcome, our_results = ours[expression]
        if outcome == our_outcome == "raises":
            if any(is_caught_as(name, result[0]) for name in our_results):
                continue
        elif [outcome, result] == [our_outcome, our_results]:
            continue
        if not expression.startswith(tuple(DIFFERENT)):
            wrong.append(f"{expression}: {outcome} {result}, and here {our_outcome} {our_results}")
    assert not wrong, "\n".join(wrong)
