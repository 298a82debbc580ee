"""Trains models of transformers and timm for some steps, alone or with their layers or sequences split; arguments: REPORT NAMES.

Names that end with `` in context`` split sequences. A run has four steps, and ``ENG_OUTSIDE_EPOCHS`` times four with that
variable. On one process, and on two ranks::

    ENG_OUTSIDE_EPOCHS=13 python tests/integration/outside/tensor_parallel_ranks.py one.json "gpt2 in context"
    ENG_OUTSIDE_EPOCHS=13 torchrun --nproc-per-node=2 tests/integration/outside/tensor_parallel_ranks.py two.json "gpt2 in context"
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.dist import get_rank
from eng.hooks import Hook
from eng.logging import MessageHub
from eng.model import BaseModel
from eng.runner import Runner

TOKENS, POSITIONS, STEPS = 64, 12, 4
EPOCHS = int(os.environ.get("ENG_OUTSIDE_EPOCHS", "1"))
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def transformers_model(name: str) -> nn.Module:
    import transformers as hf

    text = {"vocab_size": TOKENS, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    decoder = {**SIZE, **text, "num_key_value_heads": 2, "head_dim": 8}
    models: dict[str, Any] = {
        "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**decoder)),
        "llama tied": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**decoder, tie_word_embeddings=True)),
        "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**decoder)),
        "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**decoder)),
        "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**decoder)),
        "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**text, n_embd=32, n_layer=2, n_head=4, n_positions=32)),
        "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**SIZE, **text, max_position_embeddings=32)),
        "vit": lambda: hf.ViTForImageClassification(
            hf.ViTConfig(**SIZE, image_size=32, patch_size=8, num_labels=TOKENS)
        ),
    }
    return models[name]()


def timm_model(name: str) -> nn.Module:
    import timm

    size = {"img_size": 32, "num_classes": TOKENS}
    if name.startswith("swin"):
        swin = {"window_size": 4, "embed_dim": 24, "depths": (1, 1), "num_heads": (2, 4), "drop_path_rate": 0.0}
        return timm.create_model(name, **size, **swin)
    return timm.create_model(name, **size, embed_dim=32, depth=2, num_heads=4, patch_size=8)


class Net(BaseModel):
    """A model of another library, without dropout, and the cross entropy of its scores."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = timm_model(name) if "_" in name else transformers_model(name)
        for module in self.inner.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        for attribute in ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob", "hidden_dropout_prob"):
            if hasattr(getattr(self.inner, "config", None), attribute):
                setattr(self.inner.config, attribute, 0.0)

    def forward(
        self, inputs: torch.Tensor, labels: torch.Tensor, position_ids: torch.Tensor | None = None, mode: str = "tensor"
    ) -> dict[str, torch.Tensor]:
        positions = {} if position_ids is None else {"position_ids": position_ids}
        outputs = self.inner(inputs, **positions)
        scores = getattr(outputs, "logits", outputs)
        return {"loss": nn.functional.cross_entropy(scores.flatten(0, -2).float(), labels.flatten())}


class Record(Hook):
    """Losses and norms of gradients."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append(float(outputs["loss"]))
        self.norms.append(float(MessageHub.get_current_instance().log_scalars["train/grad_norm"].current()))


def batches(name: str) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    is_image = "_" in name or name == "vit"
    samples = []
    for _ in range(4 * STEPS):
        if is_image:
            inputs, shape = torch.randn(3, 32, 32, generator=generator), (1,)
        else:
            inputs, shape = torch.randint(3, TOKENS, (POSITIONS,), generator=generator), (POSITIONS,)
        samples.append({"inputs": inputs, "labels": torch.randint(3, TOKENS, shape, generator=generator)})
    return samples


def train(name: str) -> dict[str, Any]:
    record, strategy = Record(), None
    model_name, _, context = name.partition(" in ")
    if "RANK" in os.environ and context:
        strategy = {"type": "Mesh", "shard": 1, "context": {"size": 2, "inputs": {"inputs": 1, "labels": 1}}}
    elif "RANK" in os.environ:
        strategy = {"type": "Mesh", "shard": 1, "tensor": 2, "tensor_plan": "auto"}
    model = Net(model_name)
    runner = Runner(
        model,
        tempfile.mkdtemp(),
        train_dataloader={
            "dataset": batches(model_name),
            "global_batch_size": 4,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"max_epochs": EPOCHS},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}, "clip_grad": {"max_norm": 100.0}},
        custom_hooks=[record],
        default_hooks={"checkpoint": None},
        strategy=strategy,
        launcher="pytorch" if "RANK" in os.environ else "none",
        env_cfg={"dist_cfg": {"backend": "gloo", "timeout": 60}},
        init_weights=False,
        log_level="ERROR",
        experiment_name=name,
    )
    split = [
        parameter_name
        for parameter_name, parameter in runner.model.named_parameters()
        if any(p.is_shard() for p in getattr(parameter, "placements", ())[-1:]) and "tensor" in mesh_names(parameter)
    ]
    runner.train()
    state = runner.strategy.model_state(runner.model)
    weights = {key: float(value.double().norm()) for key, value in state.items() if value.is_floating_point()}
    return {"losses": record.losses, "norms": record.norms, "weights": weights, "split": split}


def mesh_names(parameter: Any) -> tuple[str, ...]:
    return parameter.device_mesh.mesh_dim_names or ()


def main() -> None:
    torch.set_num_threads(1)
    report, *names = sys.argv[1:]
    results = {name: train(name) for name in names}
    if get_rank() == 0:
        Path(report).write_text(json.dumps(results))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
