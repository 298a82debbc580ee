"""One rank of a gloo group: evaluates its share of a dataset and prints what came out. Started by test_evaluator.py."""

import json
import sys

import torch
import torch.distributed

from eng.evaluator import BaseMetric, DumpResults, Evaluator, LossMeter

RANK, WORLD_SIZE, FOLDER, SIZE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])


class Sum(BaseMetric):
    default_prefix = "toy"

    def process(self, data_batch, data_samples):
        self.results.extend(sample["value"] for sample in data_samples)

    def compute_metrics(self, results):
        return {"order": [float(value) for value in results], "mean": float(sum(results) / len(results))}


def main():
    torch.distributed.init_process_group("gloo", init_method=f"file://{FOLDER}/group", rank=RANK, world_size=WORLD_SIZE)
    evaluator = Evaluator([Sum(), DumpResults(f"{FOLDER}/dump.pkl")])
    meter = LossMeter()
    padded = -(-SIZE // WORLD_SIZE)
    for index in range(padded):
        value = torch.tensor(float((RANK + index * WORLD_SIZE) % SIZE))
        evaluator.process([{"value": value}], None)
        if RANK + index * WORLD_SIZE < SIZE:
            meter.update({"loss": value})
    if RANK == 0:  # what other ranks never had
        meter.update({"aux": 1.5}, num_samples=2)
    print(json.dumps({**evaluator.evaluate(SIZE), **meter.compute()}))
    torch.distributed.destroy_process_group()


main()
