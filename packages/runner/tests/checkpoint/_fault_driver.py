"""Saves a checkpoint again and again, killed at one point later each time. Started as a script by test_write.py.

Each save runs in a forked child that kills itself (SIGKILL) at its k-th effect on the file system; the parent then asks
which checkpoint is the newest whole one. Prints one JSON line.
"""

import builtins
import io
import json
import os
import pathlib
import signal
import sys

import torch

from eng.checkpoint import find_latest_checkpoint, read_checkpoint, save_checkpoint, write_pointer

torch.set_num_threads(1)
FOLDER = pathlib.Path(sys.argv[1])


def checkpoint(iteration):
    weights = {f"layer{index}.weight": torch.full((5,), float(iteration)) for index in range(8)}
    return {"meta": {"iter": iteration, "time": f"2026010{iteration}_000000"}, "state_dict": weights, "optimizer": {}}


def save(iteration):
    save_checkpoint(checkpoint(iteration), FOLDER / f"iter_{iteration}.pth")
    write_pointer(FOLDER, FOLDER / f"iter_{iteration}.pth")


class Killer:
    """Counts effects; at the last one it lets half of a write through and kills the process."""

    def __init__(self, point):
        self.left = point

    def hit(self):
        self.left -= 1
        return self.left < 0

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


class KillingFile(io.FileIO):
    killer = None

    def write(self, data):
        if self.killer.hit():
            super().write(bytes(data)[: len(data) // 2])
            self.killer.die()
        return super().write(data)


def arm(point):
    killer = Killer(point)
    KillingFile.killer = killer

    def wrap(function):
        def wrapped(*args, **kwargs):
            if killer.hit():
                killer.die()
            result = function(*args, **kwargs)
            if killer.hit():
                killer.die()
            return result

        return wrapped

    os.fsync = wrap(os.fsync)
    os.replace = wrap(os.replace)
    os.rename = wrap(os.rename)
    pathlib.Path.replace = wrap(pathlib.Path.replace)
    pathlib.Path.unlink = wrap(pathlib.Path.unlink)
    plain_open = pathlib.Path.open
    pathlib.Path.open = lambda self, mode="r", *a, **k: (
        KillingFile(self, mode.replace("b", "")) if "x" in mode else plain_open(self, mode, *a, **k)
    )


def attempt(point):
    """Exit status of a child that saves iteration 2 and is killed at `point`; 0 where it came through."""
    child = os.fork()
    if child == 0:
        try:
            arm(point)
            save(2)
            os._exit(0)
        except BaseException as error:
            builtins.print(repr(error), file=sys.stderr)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    found, points = [], 0
    while True:
        for path in FOLDER.glob("iter_2.pth"):
            path.unlink()
        save(1)
        status = attempt(points)
        newest = find_latest_checkpoint(FOLDER)
        loaded = read_checkpoint(newest)
        iteration = loaded["meta"]["iter"]
        whole = all(bool((value == iteration).all()) for value in loaded["state_dict"].values())
        found.append([status, iteration, whole])
        if status != -signal.SIGKILL:
            break
        points += 1
    partial = len(list(FOLDER.glob(".*.partial")))
    save(1)
    left = len(list(FOLDER.glob(".*.partial")))
    builtins.print(json.dumps({"points": points, "found": found, "partial": partial, "left": left}))


main()
