"""Trains a classifier of mmpretrain, unmodified, as its users do: under the alias, from its own config.

    python -m eng.compat train_mmpretrain.py ARCH DATA_DIR WORK_DIR [--resume]

Prints what came of it as JSON on the last line.
"""

import json
import sys
from pathlib import Path

import mmpretrain
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.apis import ImageClassificationInferencer, get_model
from mmpretrain.utils import register_all_modules
from PIL import Image

CONFIGS = Path(mmpretrain.__file__).parent / ".mim/configs"


def make_images(folder: Path) -> None:
    """Two classes that a network tells apart at once: red and blue, with noise."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 8)):
        for name, channel in (("blue", 2), ("red", 0)):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                image = rng.integers(0, 80, (40, 40, 3))
                image[..., channel] += 150
                Image.fromarray(image.astype(np.uint8)).save(folder / split / name / f"{number}.png")


def config_of(arch: str, data: Path, work_dir: str, resume: bool) -> Config:
    base = {"resnet18": "resnet/resnet18_8xb16_cifar10.py", "vit": "vision_transformer/vit-base-p16_64xb64_in1k.py"}[
        arch
    ]
    cfg = Config.fromfile(CONFIGS / base)
    if arch == "vit":
        cfg.model.backbone = dict(
            type="VisionTransformer", img_size=32, patch_size=8, drop_rate=0.1,
            arch=dict(embed_dims=48, num_layers=2, num_heads=4, feedforward_channels=96),
        )  # fmt: skip
        cfg.model.head = dict(type="VisionTransformerClsHead", num_classes=2, in_channels=48,
                              loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="classy_vision"))  # fmt: skip
        cfg.model.train_cfg = None
    else:
        cfg.model.head.num_classes, cfg.model.head.topk = 2, (1,)
    cfg.data_preprocessor = dict(type="ClsDataPreprocessor", num_classes=2, mean=[90] * 3, std=[60] * 3, to_rgb=True)
    cfg.model.data_preprocessor = None
    train = [
        dict(type="LoadImageFromFile"),
        dict(type="RandomResizedCrop", scale=32),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackInputs"),
    ]
    test = [
        dict(type="LoadImageFromFile"),
        dict(type="ResizeEdge", scale=36),
        dict(type="CenterCrop", crop_size=32),
        dict(type="PackInputs"),
    ]
    for split, pipeline in (("train", train), ("val", test)):
        dataset = dict(type="CustomDataset", data_root=str(data), data_prefix=split, pipeline=pipeline)
        sampler = dict(type="DefaultSampler", shuffle=split == "train")
        cfg[f"{split}_dataloader"] = dict(batch_size=8, num_workers=0, dataset=dataset, sampler=sampler)
    cfg.test_dataloader, cfg.test_cfg = cfg.val_dataloader, dict()
    cfg.val_evaluator = cfg.test_evaluator = dict(type="Accuracy", topk=(1,))
    cfg.train_cfg, cfg.val_cfg = dict(by_epoch=True, max_epochs=3 if resume else 2, val_interval=1), dict()
    cfg.optim_wrapper = dict(optimizer=dict(type="AdamW", lr=2e-3))
    cfg.param_scheduler = dict(type="CosineAnnealingLR", T_max=3)
    cfg.auto_scale_lr = None
    cfg.custom_hooks = [dict(type="EMAHook", momentum=0.1)]
    cfg.default_hooks.visualization = dict(type="VisualizationHook", enable=False)
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", interval=1, save_best="auto")
    cfg.work_dir, cfg.resume, cfg.randomness, cfg.log_level = work_dir, resume, dict(seed=0), "WARNING"
    cfg.env_cfg.mp_cfg = dict(mp_start_method="fork", opencv_num_threads=0)
    return cfg


def main() -> None:
    arch, data, work_dir = sys.argv[1:4]
    resume = "--resume" in sys.argv
    make_images(Path(data))
    register_all_modules()
    cfg = config_of(arch, Path(data), work_dir, resume)
    runner = Runner.from_cfg(cfg)
    runner.train()
    metrics = runner.val()
    checkpoint = sorted(Path(work_dir).glob("epoch_*.pth"))[-1]
    inferencer = ImageClassificationInferencer(get_model(cfg, pretrained=str(checkpoint)), device="cpu")
    images = [str(path) for path in sorted(Path(data, "val").rglob("*.png"))]
    predicted = [result["pred_label"] for result in inferencer(images, batch_size=4)]
    truth = [0 if "blue" in path else 1 for path in images]
    print(json.dumps({
        "metrics": {name: float(value) for name, value in metrics.items()},
        "epoch": runner.epoch,
        "engine": type(runner).__module__,
        "inferred": float(np.mean(np.equal(predicted, truth))),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
