"""Everything that shows a bar, one after another, with log lines and prints in between: for the terminal that a test holds.

python bars_driver.py FOLDER
"""

from __future__ import annotations

import http.server
import json
import logging
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from eng.logging import progress

progress.LONG_LOAD_S = 0.05  # before the modules that read it: a load of this long is a long one here
from eng.checkpoint import load_checkpoint
from eng.checkpoint._downloads import downloaded
from eng.dataset import BaseDataset
from eng.evaluator import BaseMetric
from eng.infer import BaseInferencer
from eng.model import BaseModel
from eng.runner import Runner
from eng.runner.loops._cursor import batches_from

STEP_S = 0.02
NUM_STEPS = 20
count = SimpleNamespace(lines=0)


def step(number: int) -> None:
    """Takes its time and, now and then, says something."""
    time.sleep(STEP_S)
    if number % 7 == 3:
        count.lines += 1
        logging.getLogger("eng").warning("log line %d, written while a bar stands below it, ends here", count.lines)
        print(f"printed line {count.lines} ends here", file=sys.stderr if count.lines % 2 else sys.stdout)


class Annotated(BaseDataset):
    def parse_data_info(self, raw_data_info):
        step(raw_data_info["x"])
        return raw_data_info

    def __getitem__(self, index: int):
        return {"x": torch.tensor([float(self.get_data_info(index)["x"])])}


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)
        self.calls = 0

    def forward(self, x=None, mode="tensor"):
        self.calls += 1
        step(self.calls)
        x = torch.stack(x) if isinstance(x, list) else x
        return {"loss": self.fit(x).square().mean()} if mode == "loss" else list(self.fit(x))


class Count(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results.append(1)

    def compute_metrics(self, results):
        return {"count": float(len(results))}


class Numbers(BaseInferencer):
    def _init_pipeline(self, cfg):
        return lambda item: {"x": torch.tensor([float(item)])}

    def visualize(self, inputs, preds, show=False):
        return None

    def postprocess(self, preds, visualization, return_datasample=False):
        return preds


class SlowServer(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(NUM_STEPS * 1_000_000))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        for number in range(NUM_STEPS):
            step(number)
            self.wfile.write(bytes(1_000_000))

    def log_message(self, *_: object) -> None:
        pass


class Batches:
    """A loader that cannot be entered in the middle."""

    def __iter__(self):
        for number in range(NUM_STEPS + 1):
            step(number)
            yield [torch.ones(1)]


def main() -> None:
    folder = Path(sys.argv[1])
    annotations = {"metainfo": {}, "data_list": [{"x": number} for number in range(NUM_STEPS)]}
    (folder / "annotations.json").write_text(json.dumps(annotations))
    dataset = Annotated(ann_file=str(folder / "annotations.json"))
    loaders = [dict(dataset=dataset, batch_size=1, num_workers=0) for _ in range(3)]
    runner = Runner(
        Model(), str(folder / "runs"), train_dataloader=loaders[0], val_dataloader=loaders[1], test_dataloader=loaders[2],
        train_cfg=dict(max_epochs=1), val_cfg=dict(), test_cfg=dict(), val_evaluator=Count(), test_evaluator=Count(),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-4)),
    )  # fmt: skip
    runner.train()
    runner.test()
    Numbers(dict(model=dict(type=Model)))(list(np.arange(NUM_STEPS)))
    torch.save({f"layer{number}": torch.ones(250_000) for number in range(NUM_STEPS)}, folder / "weights.pth")
    places = iter(range(NUM_STEPS))
    load_checkpoint(str(folder / "weights.pth"), map_location=lambda storage, _: (step(next(places)), storage)[1])
    server = http.server.HTTPServer(("127.0.0.1", 0), SlowServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    downloaded(f"http://127.0.0.1:{server.server_address[1]}/remote.pth", folder / "cache", progress=True)
    next(iter(batches_from(Batches(), NUM_STEPS, lambda: None)))
    print(f"{count.lines} lines were printed")


if __name__ == "__main__":
    main()
