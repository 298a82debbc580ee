"""LoRA from a config: files of the trained weights alone, resume with the same bits, merged weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from outside_models import CASES, config_of
from safetensors.torch import load_file

from eng.checkpoint._commands import ckpt
from eng.config import Config
from eng.model.adapters import build_model, merged_model
from eng.model.errors import ModelTypeError
from eng.registry import isolated_registries
from eng.runner import Runner
from eng.runner.errors import ResumeError

CASE = next(case for case in CASES if case.name == "LlamaForCausalLM")


@pytest.fixture(autouse=True)
def isolated() -> Any:
    with isolated_registries():
        yield


def config(folder: Path, epochs: int, with_optimizer: bool = True, **settings: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 4}
    base = {**CASE.model, "config": {**CASE.model["config"], **sizes}}
    lora = {"type": "LoraConfig", "r": 128, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    checkpoint = {"interval": 1, "save_trainable_only": True, "save_optimizer": with_optimizer}
    return {
        **config_of(CASE, str(folder)),
        "model": {"type": "peft", "model": base, "adapter": lora},
        "train_cfg": {"max_epochs": epochs},
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", **checkpoint}},
        **settings,
    }


def trained(folder: Path, epochs: int, **settings: Any) -> Runner:
    runner = Runner.from_cfg(config(folder, epochs, **settings))
    runner.train()
    return runner


def test_a_lora_run_saves_its_adapter_resumes_and_merges(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    pytest.importorskip("transformers")
    straight = trained(tmp_path / "straight", 2)
    resumed = trained(tmp_path / "resumed", 2, load_from=str(tmp_path / "straight/epoch_1.pth"), resume=True)
    expected = straight.model.state_dict()
    assert [name for name, value in resumed.model.state_dict().items() if not torch.equal(value, expected[name])] == []

    network = straight.model.network
    network.save_pretrained(tmp_path / "adapter")
    size = (tmp_path / "adapter/adapter_model.safetensors").stat().st_size
    # Adam keeps two values for each weight.
    sizes = [(tmp_path / "straight/epoch_2.pth").stat().st_size / size]
    trained(tmp_path / "weights", 1, with_optimizer=False)
    sizes.append((tmp_path / "weights/epoch_1.pth").stat().st_size / size)
    print(
        f"adapter of {size} bytes: {sizes[1]:.2f} times that without and {sizes[0]:.2f} times with the optimizer's state"
    )
    assert sizes[0] < 1.2 * 3
    assert sizes[1] < 1.2

    tokens = torch.randint(2, 40, (2, 12), generator=torch.Generator().manual_seed(0))
    network.eval()
    merged = merged_model(straight.model).eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(tokens).logits, network(tokens).logits, rtol=0, atol=1e-5)
    assert not any("lora" in name for name in merged.state_dict())
    assert any("lora" in name for name in network.state_dict())


def test_an_adapter_checkpoint_is_exported_with_its_adapters_merged(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    pytest.importorskip("transformers")
    runner = trained(tmp_path / "run", 1)
    settings = Config(config(tmp_path / "run", 1))
    services = SimpleNamespace(load_config=lambda path, options: settings)
    source = str(tmp_path / "run/epoch_1.pth")
    tokens = torch.randint(2, 40, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = runner.model.network.eval()(tokens).logits
    for name in ("merged.safetensors", "merged.pth"):
        words = ["export", source, str(tmp_path / name), "--merge-adapters", "config.py"]
        done = CliRunner().invoke(ckpt, words, obj=services, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        file = load_file(tmp_path / name) if name.endswith("s") else torch.load(tmp_path / name)["state_dict"]
        bare = build_model(CASE.model | {"config": settings.model.model.config.to_dict()}).network.eval()
        assert not any(torch.equal(file[key], value) for key, value in bare.state_dict().items() if "q_proj" in key)
        bare.load_state_dict(file)
        with torch.no_grad():
            torch.testing.assert_close(bare(tokens).logits, expected, rtol=0, atol=1e-5)
    settings.randomness.seed = 4
    with pytest.raises(ResumeError, match="build the model from the same base"):
        CliRunner().invoke(ckpt, words, obj=services, catch_exceptions=False)


def test_an_adapter_that_peft_does_not_know() -> None:
    pytest.importorskip("peft")
    message = r"adapter is a config of PEFT, such as dict\(type='LoraConfig', r=8\), got type='Lora'"
    with pytest.raises(ModelTypeError, match=message):
        build_model({"type": "peft", "model": torch.nn.Linear(2, 2), "adapter": {"type": "Lora"}})
