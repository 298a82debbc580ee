"""Trains the digits example once undisturbed and once interrupted at random, each time from the command line's main().

    python interrupted_digits.py FOLDER NUMBER

FOLDER holds a copy of ``examples``; NUMBER decides where the run is interrupted. Each start is a fork, so that torch is
imported once. Prints what was done to the run, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from pathlib import Path

import sklearn.datasets  # noqa: F401  - what every start needs is imported before the forks
import torch
import torch.utils.tensorboard

import eng.runner  # noqa: F401
from eng.cli import main

TRAIN = ["train", "examples/digits/config.py", "--cfg-options", "train_cfg.max_epochs=3"]


def strike(place: str, number: int, name: str) -> None:
    """Has this process sent a signal at the `number`-th backward pass, call of a model, or flush to the disk."""
    owner, attribute = {
        "backward": (torch.Tensor, "backward"),
        "call of the model": (torch.nn.Sequential, "__call__"),
        "flush": (os, "fsync"),
    }[place]
    plain, calls = getattr(owner, attribute), [0]

    def counted(*args, **kwargs):
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), getattr(signal, name))
        return plain(*args, **kwargs)

    setattr(owner, attribute, counted)


def start(words: list[str], stop: tuple[str, int, str] | None = None) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            if stop is not None:
                strike(*stop)
            status = main([*TRAIN, *words])
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def interrupted(draw: random.Random) -> list[list[object]]:
    """Five interruptions, then a start that runs to the end."""
    done: list[list[object]] = []
    while len(done) < 5:
        place, last = draw.choice([("backward", 60), ("call of the model", 300), ("flush", 5)])
        stop = place, draw.randint(1, last), draw.choice(["SIGKILL", "SIGTERM"])
        done.append([start(["--work-dir", "interrupted", *(["--resume"] if done else [])], stop), *stop])
    done.append([start(["--work-dir", "interrupted", "--resume"])])
    return done


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.chdir(Path(sys.argv[1]))
    undisturbed = start(["--work-dir", "undisturbed"])
    print(json.dumps({"undisturbed": undisturbed, "interrupted": interrupted(random.Random(int(sys.argv[2])))}))
