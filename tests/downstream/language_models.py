"""The project of a library that trains language models: a tiny Llama, its tokenizer, conversations, and a pure-Python config.

Everything is written by hand, so that no package of the library's time is needed to make it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

BASE = "custom_dataset/sft/llama/llama2_7b_chat_qlora_custom_sft_e1.py"
COLORS, SHAPES = ("red", "green", "blue"), ("square", "circle")
WORDS = ("<unk>", "<s>", "</s>", *map(chr, range(33, 127)), *COLORS, *SHAPES, "What", "is", "the", "of", "color")
WIDTH, LAYERS = 32, 2
CONFIG = """
from mmengine.config import read_base
from mmengine.optim import OptimWrapper

with read_base():
    from .shipped import *

llama = {model!r}
tokenizer.update(pretrained_model_name_or_path=llama)
model.llm.update(pretrained_model_name_or_path=llama, torch_dtype=torch.float32)
model.llm.pop("quantization_config")
model.lora.update(r=4, lora_dropout=0.0)
train_dataset.update(tokenizer=tokenizer, max_length=64, map_num_proc=1,
                     dataset=dict(type=load_dataset, path="json", data_files=[{data!r}]))
train_dataloader.update(batch_size=2, num_workers=2, dataset=train_dataset)
optim_wrapper.update(type=OptimWrapper, optimizer=dict(type=AdamW, lr=0.01), accumulative_counts=2)
optim_wrapper.pop("loss_scale")
optim_wrapper.pop("dtype")
param_scheduler[0].update(end=0.5)
param_scheduler[1].update(begin=0.5)
custom_hooks[0].update(tokenizer=tokenizer)
custom_hooks[1].update(tokenizer=tokenizer, every_n_iters=8, evaluation_inputs=["What is the color of the red square ?"],
                       max_new_tokens=8, generation_kwargs=dict(do_sample=False))
default_hooks.logger.update(interval=1)
default_hooks.checkpoint.update(interval=4, max_keep_ckpts=-1)
randomness = dict(seed=0)
"""


def make_project(configs: Path, folder: Path) -> Path:
    """Writes the project into `folder`; the config stands beside a copy of the shipped one, as `xtuner copy-cfg` does."""
    data = folder / "data"
    write_llama(data / "llama")
    pairs = [(COLORS[number % 3], SHAPES[number % 2]) for number in range(64)]
    chats = [
        {
            "messages": [
                {"role": "user", "content": f"What is the color of the {color} {shape} ?"},
                {"role": "assistant", "content": f"the {shape} is {color}"},
            ]
        }
        for color, shape in pairs
    ]
    (data / "chats.json").write_text(json.dumps(chats), encoding="utf-8")
    shutil.copy(configs / BASE, folder / "shipped.py")
    text = CONFIG.format(model=str(data / "llama"), data=str(data / "chats.json"))
    (folder / "config.py").write_text(text, encoding="utf-8")
    return folder / "config.py"


def write_llama(folder: Path) -> None:
    """A Llama of random weights whose tokenizer knows `WORDS`, in the files of Hugging Face."""
    folder.mkdir(parents=True)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None, "decoder": None,
        "added_tokens": [{"id": number, "content": WORDS[number], "special": True, **flags} for number in range(3)],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {word: number for number, word in enumerate(WORDS)}, "unk_token": "<unk>"},
    }  # fmt: skip
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": len(WORDS),
        "max_position_embeddings": 256, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }  # fmt: skip
    files = {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", **tokens},
        "config.json": config,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.ones(shape) if len(shape) == 1 else 0.2 * torch.randn(shape, generator=generator)
        for name, shape in shapes_of_llama().items()
    }
    torch.save(weights, folder / "pytorch_model.bin")


def shapes_of_llama() -> dict[str, tuple[int, ...]]:
    """Shape of each parameter by its name in a checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (len(WORDS), WIDTH), "lm_head.weight": (len(WORDS), WIDTH), "model.norm.weight": (WIDTH,)
    }  # fmt: skip
    for layer in (f"model.layers.{number}" for number in range(LAYERS)):
        shapes |= {f"{layer}.self_attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qkvo"}
        shapes |= {f"{layer}.mlp.{name}_proj.weight": (2 * WIDTH, WIDTH) for name in ("gate", "up")}
        shapes |= {f"{layer}.mlp.down_proj.weight": (WIDTH, 2 * WIDTH)}
        shapes |= {f"{layer}.{name}_layernorm.weight": (WIDTH,) for name in ("input", "post_attention")}
    return shapes
