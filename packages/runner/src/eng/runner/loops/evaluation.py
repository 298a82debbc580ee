"""ValLoop and TestLoop: evaluate the model in one pass over a dataset, without gradients."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from eng.dataset._loader_parts import batch_size_of, dataset_of, metainfo_of
from eng.dataset.utils import length_of
from eng.dist import all_gather_object
from eng.evaluator import Evaluator, LossMeter, split_losses
from eng.registry import LOOPS
from eng.runner.amp import autocast
from eng.runner.assemble.compilation import kept_outputs
from eng.runner.run import Run

from ._generators import seed_workers
from ._limits import is_part_of_loader, with_limit
from ._losses import compute_losses, count_samples
from ._ranks import samples_of_rank, without_padding
from .base import BaseLoop


class _EvaluationLoop(BaseLoop):
    """Runs one pass over a dataset without gradients, and computes the metrics at the end of the pass."""

    mode: str

    def __init__(
        self,
        runner: Run,
        dataloader: object,
        evaluator: object,
        fp16: bool = False,
        loss: bool = False,
        limit_batches: int | None = None,
    ) -> None:
        super().__init__(runner, dataloader)
        self.dataloader = with_limit(self.dataloader, limit_batches)
        self.evaluator = runner.build_evaluator([] if evaluator is None else evaluator)
        metainfo = metainfo_of(self.dataloader)
        if metainfo is not None:
            self.evaluator.dataset_meta = metainfo
        self.fp16 = fp16
        self.loss = loss
        self.losses = LossMeter()
        self._samples = 0

    def run(self) -> dict[str, float]:
        """Evaluates all batches, calls the hooks of validation or test, and returns the metrics by name."""
        runner = self._runner
        runner.call_hook(f"before_{self.mode}")
        runner.call_hook(f"before_{self.mode}_epoch")
        metrics = self.run_batches()
        runner.call_hook(f"after_{self.mode}_epoch", metrics=metrics)
        runner.call_hook(f"after_{self.mode}")
        return dict(metrics)

    def run_batches(self) -> dict[str, float]:
        """Evaluates all batches and returns the metrics by name.

        Hooks are called before and after each batch, but not before and after the pass. Raises a ValueError if no rank
        gets a batch from a stream.
        """
        self._begin_pass()
        has_batches = False
        for idx, data_batch in enumerate(self.dataloader):
            has_batches = True
            self.run_iter(idx, data_batch)
        size = self._dataset_size()
        if size == 0 and length_of(self.dataloader) is None and not any(all_gather_object(has_batches)):
            name = {"val": "validation"}.get(self.mode, self.mode)
            raise ValueError(
                f"the {name} dataloader gives no batch: a generator has one pass alone, so give an object whose __iter__ starts anew, "
                "such as an IterableDataset; or the stream is empty"
            )
        metrics: dict[str, float] = self.evaluator.evaluate(size)
        metrics.update(self.losses.compute())
        return metrics

    def try_batches(self, count: int) -> dict[str, float]:
        """Predicts the first ``count`` batches and returns their metrics by name, without calling hooks.

        Args:
            count: number of batches on each rank; if the dataloader yields fewer batches, all of them are used.
        """
        self._begin_pass()
        for idx, data_batch in enumerate(itertools.islice(self.dataloader, count)):
            self._predict(*self._without_padding(idx, data_batch))
        metrics: dict[str, float] = self.evaluator.evaluate(sum(all_gather_object(self._samples)))
        self.losses.clear()
        return metrics

    def _begin_pass(self) -> None:
        """Switches the model to eval mode, resets the collected losses, and seeds the dataloader's workers."""
        runner = self._runner
        runner.model.eval()
        self.losses.clear()
        self._samples = 0
        seed_workers(self.dataloader, runner.seed, runner.iter)

    def _dataset_size(self) -> int:
        """Returns the length of the dataset, which the evaluator needs to drop the padding of distributed samplers.

        For a stream, or with ``limit_batches``, the number of samples that all ranks have evaluated is returned
        instead.
        """
        size = length_of(dataset_of(self.dataloader))
        if is_part_of_loader(self.dataloader):
            size = None
        if size is None:
            return sum(all_gather_object(self._samples))
        return size

    def _without_padding(self, idx: int, data_batch: object) -> tuple[Any, int]:
        """Returns a batch without padding, and the number of its samples that count.

        Padding are samples that the sampler repeats to give each rank the same number of samples. A batch that consists
        only of padding is returned unchanged, because the model may contain collective operations in which other ranks
        wait; none of its samples counts.
        """
        size, batch_size = count_samples(data_batch), batch_size_of(self.dataloader)
        samples_here = samples_of_rank(self.dataloader)
        if samples_here is None or batch_size is None:
            return data_batch, size
        left = max(samples_here - idx * batch_size, 0)
        if left >= size or left == 0:
            return data_batch, min(size, left)
        return without_padding(data_batch, size, left), left

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Sequence[dict[str, Any]]) -> None:
        """Predicts one batch, passes the predictions to the evaluator, and calls hooks before and after the batch."""
        runner = self._runner
        data_batch, samples = self._without_padding(idx, data_batch)
        runner.call_hook(f"before_{self.mode}_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self._predict(data_batch, samples)
        runner.call_hook(f"after_{self.mode}_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

    def _autocast(self) -> AbstractContextManager[None]:
        """Returns an autocast context: bfloat16 if the weights are bfloat16, otherwise enabled by ``fp16``."""
        precision = self._runner.settings.precision or {}
        if precision.get("weights") == "bfloat16":  # Batches are float32, as in training, and need autocast.
            return autocast(dtype=torch.bfloat16)
        return autocast(enabled=self.fp16)

    @torch.no_grad()
    def _predict(self, data_batch: object, samples: int) -> Any:
        """Predicts a batch, and passes predictions to the evaluator and losses to the loss meter; returns predictions.

        Args:
            data_batch: the batch.
            samples: number of samples in the batch that count; 0 for a batch that consists only of padding.
        """
        model = self._runner.model
        with self._autocast():
            outputs = kept_outputs(model, getattr(model, f"{self.mode}_step")(data_batch))
            outputs, losses = split_losses(outputs)
            if self.loss:
                losses = compute_losses(model, data_batch)
        self.losses.update(losses, samples)
        if isinstance(outputs, Sequence):
            self._samples += max(samples, len(outputs))
        else:
            self._samples += samples
        process = self.evaluator.process
        if samples == 0 and isinstance(self.evaluator, Evaluator):  # The batch consists only of padding.
            process = self.evaluator.process_padding
        process(data_samples=outputs, data_batch=data_batch)
        return outputs


@LOOPS.register_module()
class ValLoop(_EvaluationLoop):
    """Validates the model: computes metrics and, if ``loss`` is set or the model returns them, losses.

    Args:
        runner: the runner to which the loop belongs.
        dataloader: dataloader of the validation data, or its config.
        evaluator: an :class:`eng.evaluator.Evaluator`, or one or several metrics, as objects or configs.
        fp16: whether to predict under autocast. False by default. If the Runner has
            ``precision=dict(weights="bfloat16")``, autocast with bfloat16 is always used.
        loss: whether to also compute the model's losses on each batch, which costs a second forward pass. A model whose
            ``predict`` returns ``(predictions, losses)`` needs no second pass. False by default.
        limit_batches: number of batches that are used on each rank; None (default) uses all.
    """

    mode = "val"


@LOOPS.register_module()
class TestLoop(_EvaluationLoop):
    """Tests the model; the arguments are those of :class:`ValLoop`."""

    __test__ = False  # pytest would otherwise collect this class as a test, because of its name
    mode = "test"
