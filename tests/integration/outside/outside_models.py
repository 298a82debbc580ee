"""Twenty models of other libraries as configs of a run, with data that fit them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from eng.registry import DATASETS, MODELS

IMAGE = {"x": (3, 32, 32), "y": 4}
TOKENS = {"input_ids": ("tokens", 12, 40), "attention_mask": ("ones", 12)}


@DATASETS.register_module()
class Columns(Dataset):
    """Random samples, the same at each start: a shape is a float tensor, a number a class, a tuple with a word the rest."""

    def __init__(self, columns: dict[str, Any], size: int = 8, as_tuple: bool = False) -> None:
        generator = torch.Generator().manual_seed(7)
        self.columns = {name: _column(spec, size, generator) for name, spec in columns.items()}
        self.as_tuple = as_tuple
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        sample = {name: values[index] for name, values in self.columns.items()}
        return tuple(sample.values()) if self.as_tuple else sample


def _column(spec: Any, size: int, generator: torch.Generator) -> torch.Tensor:
    if isinstance(spec, int):
        return torch.randint(0, spec, (size,), generator=generator)
    if spec[0] == "tokens":
        return torch.randint(2, spec[2], (size, spec[1]), generator=generator)
    if spec[0] == "ones":
        return torch.ones(size, spec[1], dtype=torch.long)
    if spec[0] == "map":
        return torch.randint(0, spec[1], (size, *spec[2:]), generator=generator)
    return torch.randn(size, *spec, generator=generator)


@MODELS.register_module()
class PlainNet(nn.Module):
    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, hidden, 3, stride=4)
        self.norm = nn.BatchNorm2d(hidden)
        self.head = nn.Linear(hidden, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.stem(x)).relu().mean((2, 3)))


@dataclass(frozen=True)
class Case:
    name: str
    model: dict[str, Any]
    columns: dict[str, Any] = field(default_factory=lambda: dict(IMAGE))
    loss: Any = "CrossEntropyLoss"
    as_tuple: bool = True
    in_quick_half: bool = False

    @property
    def library(self) -> str:
        return self.model["type"].partition(".")[0]


def _bert(**kwargs: Any) -> dict[str, Any]:
    tiny = dict(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    return {**tiny, "max_position_embeddings": 16, **kwargs}


def _transformers(name: str, config: dict[str, Any], columns: dict[str, Any], **kwargs: Any) -> Case:
    model = dict(type="transformers", name=name, config=config)
    return Case(name, model, columns, loss=None, as_tuple=False, **kwargs)


_VIT = dict(image_size=32, patch_size=16, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, num_labels=4)  # fmt: skip
_LLAMA = dict(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
              num_key_value_heads=2)  # fmt: skip
_T5 = dict(vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
_CLASSES = {**TOKENS, "label": 4}
_PER_TOKEN = {**TOKENS, "labels": ("tokens", 12, 40)}

CASES = [
    Case("plain", dict(type="PlainNet"), in_quick_half=True),
    Case("timm-resnet18", dict(type="timm", name="resnet18", num_classes=4), in_quick_half=True),
    Case("timm-mobilenetv3", dict(type="timm.mobilenetv3_small_050", num_classes=4)),
    Case("timm-convnext", dict(type="timm", name="convnext_atto", num_classes=4)),
    Case("timm-vit", dict(type="timm", name="vit_tiny_patch16_224", img_size=32, depth=2, num_classes=4)),
    Case("timm-regnet", dict(type="timm", name="regnetx_002", num_classes=4)),
    Case("torchvision-resnet18", dict(type="torchvision.models.resnet18", num_classes=4), in_quick_half=True),
    Case("torchvision-mobilenet", dict(type="torchvision", name="mobilenet_v3_small", num_classes=4)),
    Case("torchvision-squeezenet", dict(type="torchvision.squeezenet1_1", num_classes=4)),
    Case("torchvision-googlenet", dict(type="torchvision.models.googlenet", num_classes=4, init_weights=False)),
    Case(
        "torchvision-lraspp",
        dict(type="torchvision", name="lraspp_mobilenet_v3_large", num_classes=4, weights_backbone=None),
        columns={"image": (3, 32, 32), "mask": ("map", 4, 32, 32)},
        as_tuple=False,
    ),
    _transformers("BertForSequenceClassification", _bert(num_labels=4), _CLASSES, in_quick_half=True),
    _transformers("BertForMaskedLM", _bert(), _PER_TOKEN),
    _transformers("BertForTokenClassification", _bert(num_labels=40), _PER_TOKEN),
    _transformers("BertForQuestionAnswering", _bert(), {**TOKENS, "start_positions": 12, "end_positions": 12}),
    _transformers(
        "GPT2LMHeadModel",
        dict(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=16),
        _PER_TOKEN,
        in_quick_half=True,
    ),
    _transformers("LlamaForCausalLM", _LLAMA, _PER_TOKEN),
    _transformers("T5ForConditionalGeneration", _T5, _PER_TOKEN),
    _transformers("ViTForImageClassification", _VIT, {"pixel_values": (3, 32, 32), "labels": 4}),
    _transformers(
        "AutoModelForCausalLM",
        dict(
            model_type="opt",
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=1,
            ffn_dim=16,
            num_attention_heads=2,
            max_position_embeddings=16,
            word_embed_proj_dim=16,
        ),
        _PER_TOKEN,
    ),
]


def config_of(case: Case, work_dir: str, **changes: Any) -> dict[str, Any]:
    """A whole config: everything by name, nothing as an object."""
    loader = dict(
        dataset=dict(type="Columns", columns=case.columns, as_tuple=case.as_tuple),
        batch_size=4,
        sampler=dict(type="DefaultSampler", shuffle=True),
    )
    return dict(
        model=case.model,
        loss=case.loss,
        work_dir=work_dir,
        train_dataloader=loader,
        val_dataloader={**loader, "sampler": dict(type="DefaultSampler", shuffle=False)},
        train_cfg=dict(max_epochs=2),
        val_cfg=dict(),
        val_evaluator=[],
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=1e-3)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
        randomness=dict(seed=3),
        log_level="ERROR",
        **changes,
    )
