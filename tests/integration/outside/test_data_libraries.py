"""Data of other libraries train by iterations and by epochs, validate and resume with the same bits."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from data_runs import SAMPLES, collate, runner, sample, stop_and_resume, weights
from torch.utils.data import DataLoader

Make = Callable[[], tuple[Any, Any]]
EPOCHS = {"by_epoch": True, "max_epochs": 3}
ITERATIONS = {"by_epoch": False, "max_iters": 15, "val_interval": 4}


def shards(numbers: list[int]) -> Any:
    for number in numbers:
        for index in range(number * 6, number * 6 + 6):
            yield sample(index)


def hugging_face_stream(folder: Path, workers: int) -> Make:
    datasets = pytest.importorskip("datasets")

    def make() -> tuple[Any, Any]:
        def loader() -> dict[str, Any]:
            # A stream has one position: one object for both would begin the validation where training was resumed.
            stream = datasets.IterableDataset.from_generator(shards, gen_kwargs={"numbers": [0, 1, 2, 3]})
            return {"dataset": stream, "batch_size": 4, "collate_fn": collate, "num_workers": workers}

        return loader(), loader()

    return make


def hugging_face_shuffled(folder: Path, workers: int) -> Make:
    plain = hugging_face_stream(folder, workers)

    def make() -> tuple[Any, Any]:
        train, val = plain()
        return {**train, "dataset": train["dataset"].shuffle(seed=1, buffer_size=8)}, val

    return make


def hugging_face_map(folder: Path, workers: int) -> Make:
    datasets = pytest.importorskip("datasets")
    columns = {key: [sample(n)[key] for n in range(SAMPLES)] for key in ("x", "y", "number")}

    def make() -> tuple[Any, Any]:
        loader = {
            "dataset": datasets.Dataset.from_dict(columns), "batch_size": 4, "collate_fn": collate, "num_workers": workers,
        }  # fmt: skip
        return {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}}, loader

    return make


def stateful_loader(folder: Path, workers: int) -> Make:
    pytest.importorskip("torchdata")
    from torchdata.stateful_dataloader import StatefulDataLoader

    def make() -> tuple[Any, Any]:
        samples = [sample(number) for number in range(SAMPLES)]
        options = {"batch_size": 4, "collate_fn": collate, "num_workers": workers}
        torch.manual_seed(5)  # the loader draws the seed of its shuffling when it is made
        return StatefulDataLoader(samples, shuffle=True, **options), StatefulDataLoader(samples, **options)

    return make


def stateful_stream(folder: Path, workers: int) -> Make:
    pytest.importorskip("torchdata")
    from torchdata.stateful_dataloader import StatefulDataLoader

    streams = hugging_face_stream(folder, workers)

    def make() -> tuple[Any, Any]:
        train, val = streams()
        return StatefulDataLoader(**train), StatefulDataLoader(**val)

    return make


def web_dataset(folder: Path, workers: int) -> Make:
    wds = pytest.importorskip("webdataset")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        with wds.TarWriter(str(folder / f"shard-{number}.tar")) as sink:
            for item in shards([number]):
                sink.write({"__key__": f"{item['number']:04d}", "json": json.dumps(item).encode()})

    def make() -> tuple[Any, Any]:
        urls = [str(folder / f"shard-{number}.tar") for number in range(4)]

        def loader(**options: Any) -> DataLoader[Any]:
            stream = wds.WebDataset(urls, **options).decode().map(lambda item: item["json"])
            return DataLoader(stream, batch_size=4, collate_fn=collate, num_workers=workers)

        return loader(shardshuffle=4, detshuffle=True, seed=5), loader(shardshuffle=False)

    return make


def lit_data(folder: Path, workers: int) -> Make:
    litdata = pytest.importorskip("litdata")
    if not folder.exists():
        from litdata.streaming.writer import BinaryWriter

        folder.mkdir(parents=True)
        writer = BinaryWriter(str(folder), chunk_size=6)
        for number in range(SAMPLES):
            writer.add_item(number, sample(number))
        writer.done()
        writer.merge()

    def make() -> tuple[Any, Any]:
        def loader(shuffle: bool) -> Any:
            stream = litdata.StreamingDataset(str(folder), shuffle=shuffle, seed=3)
            return litdata.StreamingDataLoader(stream, batch_size=4, collate_fn=collate, num_workers=workers)

        return loader(True), loader(False)

    return make


LIBRARIES = {
    "datasets": hugging_face_map,
    "datasets streaming": hugging_face_stream,
    "datasets streaming, shuffled": hugging_face_shuffled,
    "StatefulDataLoader": stateful_loader,
    "StatefulDataLoader over a stream": stateful_stream,
    "webdataset": web_dataset,
    "litdata": lit_data,
}
# Read again what they had read: nothing of theirs says where they are.
READ_PAST = ("datasets streaming, shuffled", "webdataset")


# Worker processes are most of the time of these runs.
QUICK = [(library, 0) for library in LIBRARIES] + [("StatefulDataLoader over a stream", 2)]
CASES = [(library, workers) for library in LIBRARIES for workers in (0, 2)]


@pytest.mark.parametrize("train_cfg", [EPOCHS, ITERATIONS], ids=["epochs", "iterations"])
@pytest.mark.parametrize(("library", "workers"), CASES if os.environ.get("ENG_OUTSIDE_ALL") == "1" else QUICK)
def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(
    library: str, workers: int, train_cfg: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make = LIBRARIES[library](tmp_path / "data", workers)
    settings = {"train_cfg": train_cfg}
    whole = runner(tmp_path / "whole", *make(), **settings)
    whole.train()
    assert whole.iter >= 15
    assert whole.message_hub.get_scalar("val/samples").current() == SAMPLES
    for stop_at in (2, 6, 8):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            stopped, resumed = stop_and_resume(tmp_path / f"stopped {stop_at}", make, stop_at, **settings)
        assert torch.equal(weights(resumed), weights(whole)), stop_at
        for metric in ("val/error", "val/samples"):
            ours, expected = (run.message_hub.get_scalar(metric).data[0] for run in (resumed, whole))
            assert list(ours) == list(expected), (metric, stop_at)
        assert stopped.model.seen + resumed.model.seen == whole.model.seen
        reads_again = library in READ_PAST or (library == "datasets streaming" and workers > 0)
        if not (stop_at == 6 and train_cfg is EPOCHS):
            assert ("read again and skipped" in caplog.text) is reads_again
