from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inferencer_parts import Affine, Means

from eng.config import Config
from eng.infer import BaseInferencer
from eng.registry import MODELS, DefaultScope, Registry

LIBRARY = "tinylib_of_tests"


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module(module=Affine, force=True)
    yield
    del MODELS.module_dict["Affine"]


@pytest.fixture
def served(pictures: Path):
    """The folder of pictures behind a web server of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(pictures)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_input_from_the_web(runs: Means, served: str) -> None:
    assert runs([f"{served}/2.npy", f"{served}/1.npy"])["predictions"] == [6.0, 3.0]


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (8, [3])], ids=["1", "2", "3", "8"]
)
def test_batches(runs: Means, pictures: Path, batch_size: int, sizes: list[int]) -> None:
    assert runs(str(pictures), batch_size=batch_size)["predictions"] == [0.0, 3.0, 6.0]
    assert runs.model.calls == [(size, True, False) for size in sizes]


def test_keyword_arguments_reach_their_steps(runs: Means) -> None:
    found = runs(np.ones((2, 2), np.float32), repeats=2, factor=1.23456, marker="x", digits=2)
    assert found == {"predictions": [3.7, 3.7], "visualization": ["x", "x"]}


def test_return_datasamples_reaches_postprocess(runs: Means) -> None:
    prediction = runs(np.ones((2, 2), np.float32), return_datasamples=True)["predictions"][0]
    assert isinstance(prediction, torch.Tensor)
    assert not prediction.requires_grad


def test_unknown_keyword_argument_names_the_known(runs: Means) -> None:
    with pytest.raises(ValueError, match=r"Means takes no facto.*digits, factor, marker, repeats"):
        runs(np.ones((2, 2), np.float32), facto=2)


def test_one_keyword_for_two_steps_is_a_mistake_of_the_class() -> None:
    with pytest.raises(TypeError, match="'size' is named by preprocess_kwargs and by visualize_kwargs"):

        class Twice(Means):
            preprocess_kwargs = {"size"}
            visualize_kwargs = {"size"}


def test_abstract_steps_must_be_written() -> None:
    class Half(BaseInferencer):
        def _init_pipeline(self, cfg):
            return None

    with pytest.raises(TypeError, match="abstract"):
        Half({"model": {"type": "Affine"}})


def test_collate_function_of_the_config_is_taken() -> None:
    cfg = {"model": {"type": "Affine"}, "test_dataloader": {"collate_fn": {"type": "default_collate"}}}
    runs = Means(cfg, device="cpu", show_progress=False)
    batch = next(iter(runs.preprocess([np.ones((2, 2), np.float32)] * 2, batch_size=2)))
    assert batch["inputs"].shape == (2, 2, 2)


def test_visualizers_have_names_of_their_own() -> None:
    cfg = {"model": {"type": "Affine"}, "visualizer": {"type": "Visualizer", "name": "same"}}
    first, second = (Means(cfg, device="cpu").visualizer for _ in range(2))
    assert first is not second
    assert first.instance_name != second.instance_name


def test_threads_share_an_inferencer(runs: Means) -> None:
    arrays = [np.full((2, 2), number, np.float32) for number in range(40)]

    def infer(array: np.ndarray) -> tuple[Any, bool]:
        before = DefaultScope.get_current_instance()  # of this thread; the test's own may have another by now
        predictions = runs([array, array], batch_size=2)["predictions"]
        # The scope of a call ends with it, in each thread.
        return predictions, DefaultScope.get_current_instance() is before

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(infer, arrays))
    assert found == [([3.0 * number] * 2, True) for number in range(40)]


def test_config_file_and_weights(tmp_path: Path) -> None:
    (tmp_path / "affine.py").write_text('model = dict(type="Affine")\n')
    torch.save({"state_dict": {"weight": torch.tensor(5.0)}}, tmp_path / "five.pth")
    for name in ("weights", "weight"):
        runs = Means(
            str(tmp_path / "affine.py"), **{name: str(tmp_path / "five.pth")}, device="cpu", show_progress=False
        )
        assert runs(np.ones((2, 2), np.float32))["predictions"] == [5.0]
        assert not runs.model.was_initialised


def test_model_without_weights_is_initialised_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    runs = Means(Config({"model": {"type": "Affine"}}), device="cpu")
    assert runs.model.was_initialised
    assert "its weights are random" in caplog.text


def test_config_is_found_in_the_checkpoint(tmp_path: Path) -> None:
    meta = {"cfg": 'model = dict(type="Affine", scale=1.0)\n'}
    torch.save({"state_dict": {"weight": torch.tensor(7.0)}, "meta": meta}, tmp_path / "seven.pth")
    runs = Means(weights=str(tmp_path / "seven.pth"), device="cpu", show_progress=False)
    assert runs(np.ones((2, 2), np.float32))["predictions"] == [7.0]


def test_given_config_stays_as_it_is() -> None:
    cfg = Config({"model": {"type": "Affine"}})
    Means(cfg, device="cpu").cfg.model.scale = 9.0
    assert cfg == Config({"model": {"type": "Affine"}})


@pytest.mark.parametrize("name", ["affine_double", "double"])
def test_published_model_brings_its_weights(library: Path, name: str) -> None:
    runs = Means(name, scope=LIBRARY, device="cpu", show_progress=False)
    assert type(runs.model).__module__ == f"{LIBRARY}.models"
    assert runs(np.ones((2, 2), np.float32))["predictions"] == [2.0]


def test_given_weights_win_over_the_published(library: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.tensor(4.0)}}, tmp_path / "four.pth")
    runs = Means("double", str(tmp_path / "four.pth"), scope=LIBRARY, device="cpu", show_progress=False)
    assert runs(np.ones((2, 2), np.float32))["predictions"] == [4.0]


def test_list_models(library: Path) -> None:
    assert BaseInferencer.list_models(LIBRARY) == ["affine_double", "affine_plain"]
    assert BaseInferencer.list_models(LIBRARY, patterns=".*plain") == ["affine_plain"]
    with DefaultScope.overwrite_default_scope(LIBRARY):
        assert BaseInferencer.list_models() == ["affine_double", "affine_plain"]
    with pytest.raises(ValueError, match="name a library"):
        BaseInferencer.list_models("eng")


def test_inferencers_are_registered_like_other_parts() -> None:
    registry = Registry("inferencer of this test")
    registry.register_module(module=Means)
    runs = registry.build({"type": "Means", "model": {"model": {"type": "Affine"}}, "device": "cpu"})
    assert isinstance(runs, Means)


def test_empty_directory(runs: Means, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"the directory '{tmp_path}' holds no files"):
        runs(str(tmp_path))


def test_empty_list(runs: Means) -> None:
    with pytest.raises(ValueError, match="there are no inputs"):
        runs([])


def test_missing_file(runs: Means, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.npy"):
        runs(str(tmp_path / "none.npy"))


def test_file_that_cannot_be_read_is_named(runs: Means, tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("not an array")
    with pytest.raises(ValueError, match="allow_pickle") as caught:
        runs([str(tmp_path / "text.npy")])
    if hasattr(caught.value, "add_note"):  # Python 3.10 has no notes
        assert caught.value.__notes__ == [f"while preparing the input {tmp_path / 'text.npy'}"]


def test_url_that_is_not_there(runs: Means, served: str) -> None:
    with pytest.raises(OSError, match=r"none\.npy"):
        runs(f"{served}/none.npy")


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_below_one(runs: Means, batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size must be at least 1, got {batch_size}"):
        runs(np.ones((2, 2), np.float32), batch_size=batch_size)


def test_neither_model_nor_weights() -> None:
    with pytest.raises(ValueError, match="give a model"):
        Means()


def test_weights_by_both_names() -> None:
    with pytest.raises(ValueError, match="the same thing"):
        Means({"model": {"type": "Affine"}}, weights="a.pth", weight="b.pth")


def test_model_of_a_wrong_type() -> None:
    with pytest.raises(TypeError, match="a config, the path of one, or a name, got int: 3"):
        Means(3)


def test_missing_config_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.py"):
        Means(str(tmp_path / "none.py"))


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        Means({"model": {"type": "Affine"}}, str(tmp_path / "none.pth"))


def test_name_that_no_index_knows(library: Path) -> None:
    with pytest.raises(KeyError, match="no model 'affine_duble'; did you mean 'affine_double'"):
        Means("affine_duble", scope=LIBRARY)


def test_name_without_a_library() -> None:
    with pytest.raises(KeyError, match="scope="):
        Means("resnet18")


HOSTILE = {
    "call": "import os\nos.system('touch owned')\nmodel = dict(type='Affine')",
    "hidden-call": "model = dict(type='Affine', x=__import__('os').system('touch owned'))",
    "base": "_base_ = 'other.py'\nmodel = dict(type='Affine')",
    "registered-nowhere": "model = dict(type='subprocess.run', args=['touch', 'owned'])",
    "function": "model = dict(type='os.system', command='touch owned')",
    "below": "model = dict(type='Affine')\nvisualizer = dict(type='os.system', command='touch owned')",
    "collate": "model = dict(type='Affine')\ntest_dataloader = dict(collate_fn=dict(type='os.system', command='touch owned'))",
    "imported": "from torch import hub\nmodel = dict(type=hub.load, repo_or_dir='a/b', model='c')",
    "custom-imports": "custom_imports = dict(imports='owner')\nmodel = dict(type='Affine')",
    "environment": "model = dict(type='Affine', name='{{$SECRET}}')",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_config_in_a_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SECRET", "hush")
    for module in ("owner.py", "other.py"):
        (tmp_path / module).write_text("open('owned', 'w')")
    meta = {"cfg": HOSTILE[name]}
    torch.save({"meta": meta, "state_dict": {"weight": torch.tensor(7.0)}}, "evil.pth")
    if name == "custom-imports":
        Means(weights="evil.pth")
    else:
        with pytest.raises(
            Exception, match=r"trust=False|not registered|values alone|no argument|unexpected"
        ) as caught:
            Means(weights="evil.pth")
        assert "hush" not in str(caught.value)
    assert not Path("owned").exists()


@pytest.mark.parametrize("names", [["a"], ("a",)])
def test_names_of_keywords_in_no_set_are_warned_about(names):
    with pytest.warns(UserWarning, match="Listed.forward_kwargs is a (list|tuple); give a set"):
        type("Listed", (Means,), {"forward_kwargs": names})


def test_one_name_of_a_keyword_as_text_is_refused():
    with pytest.raises(TypeError, match="Bare.forward_kwargs must be a set of names, got the text 'abc'"):
        type("Bare", (Means,), {"forward_kwargs": "abc"})
