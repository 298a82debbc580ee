"""A training with a bar and log lines, for the terminal that a test holds."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

from eng.hooks import ProgressBarHook
from eng.logging import MMLogger

NUM_ITERATIONS = 60
LINE = "Epoch(train) [1][{}/60]  lr: 1.4659e-03  eta: 0:06:38  time: 0.4041  data_time: 0.0021  loss: 1.2345  accuracy: 12.3456 end-{}"


def main() -> None:
    logger = MMLogger.get_instance("terminal", log_level="INFO")
    runner = SimpleNamespace(rank=0, iter=0, max_iters=NUM_ITERATIONS)
    bar = ProgressBarHook(refresh_seconds=0.0)
    bar.before_train(runner)
    for iteration in range(NUM_ITERATIONS):
        runner.iter = iteration
        if iteration % 5 == 4:
            logger.info(LINE.format(iteration + 1, iteration + 1))
        if iteration == 30:
            logger.warning("a warning with an escape \x1b]0;title\x07 in it")
            print("printed by a user")  # the point of it
        bar.after_train_iter(runner, iteration)
        time.sleep(0.02)
    bar.after_run(runner)
    logger.info("after the bar")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
