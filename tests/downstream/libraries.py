"""The unmodified OpenMMLab libraries of ``nox -s downstream``: versions, import names, and where their configs are.

The module imports nothing but the standard library: noxfile.py, the tests, and the scripts that run under the
reference's Python all read it.
"""

from __future__ import annotations

import importlib.util
import os
import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Library:
    """A library of the corpus.

    Attributes:
        name: name on PyPI.
        version: version that is installed.
        package: name that is imported.
        configs: folder of its configs, below the package.
        tools: folder of its scripts, below the package.
        overlay: requirements that must stand before the common ones on the path, because the library refuses them.
    """

    name: str
    version: str
    package: str
    configs: str = ".mim/configs"
    tools: str = ".mim/tools"
    overlay: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def root(self) -> Path | None:
        """Folder of the installed package, or None where it is not installed."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(next(iter(spec.submodule_search_locations)))

    def config_files(self) -> list[Path]:
        """Every config file that the wheel ships, base files included, sorted by path."""
        if self.root is None:
            return []
        return sorted(path for path in (self.root / self.configs).rglob("*.py") if path.name != "__init__.py")


LIBRARIES = (
    Library("mmpretrain", "1.2.0", "mmpretrain"),
    Library("mmsegmentation", "1.2.2", "mmseg"),
    Library("mmdet", "3.3.0", "mmdet"),
    Library("mmpose", "1.3.2", "mmpose"),
    Library("mmaction2", "1.2.0", "mmaction"),
    # MMOCR 1.0.1 raises an AssertionError beside MMDetection 3.2 and newer, and MMDetection 3.1 beside MMCV 2.1.
    Library("mmocr", "1.0.1", "mmocr", overlay=("mmdet==3.1.0", "mmcv-lite==2.0.1")),
    Library("mmdet3d", "1.4.0", "mmdet3d"),
    # MMagic imports diffusers and transformers of its time.
    Library(
        "mmagic",
        "1.2.0",
        "mmagic",
        overlay=(
            "diffusers==0.24.0",
            "transformers==4.36.2",
            "tokenizers==0.15.2",
            "huggingface_hub==0.20.3",
            "resize-right",
            "controlnet_aux==0.0.10",
            "timm==1.0.31",
        ),
    ),
    # XTuner asks for transformers 4.48.0; the others are the newest that this version and Python 3.11 take.
    Library(
        "xtuner",
        "0.2.0",
        "xtuner",
        configs="configs",
        tools="tools",
        overlay=(
            "transformers==4.48.0",
            "tokenizers==0.21.4",
            "huggingface_hub==0.36.2",
            "peft==0.14.0",
            "accelerate==1.3.0",
            "safetensors==0.8.0",
            "datasets==3.6.0",
            "dill==0.3.8",
            "multiprocess==0.70.16",
            "xxhash==4.1.0",
            "pyarrow==26.0.1",
            "fsspec==2025.3.0",
            "modelscope==1.22.3",
            "transformers-stream-generator==0.0.5",
            "sentencepiece==0.2.3",
            "tiktoken==0.14.0",
        ),
    ),
    Library("opencompass", "0.5.4", "opencompass", configs="configs"),
)
BY_PACKAGE = {library.package: library for library in LIBRARIES}
# Installed with --no-deps: mmcv-lite and torchvision, which the libraries share, then the libraries themselves.
NO_DEPS = (
    "mmcv-lite==2.1.0", "torchvision==0.28.0", "lyft-dataset-sdk==0.0.8", "nuscenes-devkit==1.2.0", "descartes==1.1.0",
    *(library.requirement for library in LIBRARIES),
)  # fmt: skip
# What the libraries import while they are imported, trained or tested. The pins of constraints.txt apply.
LIGHT = (
    "addict", "albumentations<1.4", "cachetools", "einops", "facexlib", "ftfy", "importlib-metadata", "imgaug", "json_tricks", "lmdb", "lpips", "mat4py",
    "modelindex", "munkres", "numba", "pandas", "plyfile", "prettytable", "psutil", "pyclipper", "pycocotools",
    "pyquaternion", "qudida", "rapidfuzz", "regex", "requests", "scikit-image", "scikit-learn", "scipy", "shapely", "six",
    "termcolor", "terminaltables", "tqdm", "trimesh", "wcwidth", "yapf",
)  # fmt: skip
FROM_SOURCE = ("--no-binary=xtcocotools", "xtcocotools")


def all_of_it() -> bool:
    """Whether ``nox -s downstream -- --all`` asked for the complete corpus, not the quick part."""
    return os.environ.get("ENG_DOWNSTREAM_ALL") == "1"


def seed() -> int:
    """Seed of the samples: ENG_DOWNSTREAM_SEED; without it 21 in the quick part, and a new one for the complete corpus."""
    default = random.SystemRandom().randrange(10**6) if all_of_it() else 21
    return int(os.environ.setdefault("ENG_DOWNSTREAM_SEED", str(default)))


def sample(files: list[Path], count: int) -> list[Path]:
    """`count` files drawn with `seed()`; all of them where the complete corpus was asked for."""
    if all_of_it() or len(files) <= count:
        return files
    return sorted(random.Random(seed()).sample(files, count))
