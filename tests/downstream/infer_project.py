"""Runs the inferencer of a library on the validation images of its project (run_projects.py); prints JSON.

python -m eng.compat infer_project.py PACKAGE FOLDER CHECKPOINT
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np


def mmpretrain(config: str, checkpoint: str, data: Path) -> list:
    from mmpretrain.apis import ImageClassificationInferencer, get_model

    inferencer = ImageClassificationInferencer(get_model(config, pretrained=checkpoint), device="cpu")
    images = [str(path) for path in sorted((data / "val").rglob("*.png"))]
    return [[result["pred_label"], float(result["pred_score"])] for result in inferencer(images, batch_size=4)]


def mmseg(config: str, checkpoint: str, data: Path) -> list:
    from mmseg.apis import MMSegInferencer

    inferencer = MMSegInferencer(
        config, checkpoint, classes=["back", "square"], palette=[[0, 0, 0], [255, 0, 0]], device="cpu"
    )
    images = [str(path) for path in sorted((data / "val/images").iterdir())]
    predictions = inferencer(images, show=False)["predictions"]
    return [int(np.sum(np.asarray(prediction) == 1)) for prediction in predictions]


def mmdet(config: str, checkpoint: str, data: Path) -> list:
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(config, checkpoint, device="cpu")
    images = [str(path) for path in sorted((data / "val").iterdir())]
    predictions = inferencer(images, no_save_vis=True, return_datasamples=False)["predictions"]
    return [[len(item["scores"]), float(np.sum(item["scores"])), float(np.sum(item["bboxes"]))] for item in predictions]


def mmpose(config: str, checkpoint: str, data: Path) -> list:
    from mmpose.apis import inference_topdown, init_model

    model = init_model(config, checkpoint, device="cpu")
    results = [inference_topdown(model, str(path)) for path in sorted((data / "val").iterdir())]
    return [float(np.sum(samples[0].pred_instances.keypoints)) for samples in results]


def mmaction(config: str, checkpoint: str, data: Path) -> list:
    import pickle

    from mmaction.apis import inference_recognizer, init_recognizer

    model = init_recognizer(config, checkpoint, device="cpu")
    clips = pickle.loads((data / "poses.pkl").read_bytes())["annotations"][16:]
    return [
        float(inference_recognizer(model, {**clip, "label": -1, "start_index": 0, "modality": "Pose"}).pred_score.max())
        for clip in clips
    ]


def mmocr(config: str, checkpoint: str, data: Path) -> list:
    from mmocr.apis.inferencers import TextRecInferencer

    inferencer = TextRecInferencer(config, checkpoint, device="cpu")
    images = [str(path) for path in sorted((data / "val").iterdir())]
    return [[item["text"], float(np.mean(item["scores"] or 0))] for item in inferencer(images)["predictions"]]


def mmdet3d(config: str, checkpoint: str, data: Path) -> list:
    from mmdet3d.apis import inference_mono_3d_detector, init_model

    model = init_model(config, checkpoint, device="cpu")
    images = [str(path) for path in sorted((data / "val").iterdir())]
    results = inference_mono_3d_detector(model, images, str(data / "val.pkl"), cam_type="CAM2")
    return [float(sample.pred_instances_3d.bboxes_3d.tensor.sum()) for sample in results]


def mmagic(config: str, checkpoint: str, data: Path) -> list:
    from mmagic.apis.inferencers.image_super_resolution_inferencer import ImageSuperResolutionInferencer

    inferencer = ImageSuperResolutionInferencer(config, checkpoint, device="cpu")
    return [float(np.sum(inferencer(img=str(path))[1])) for path in sorted((data / "val/lq").iterdir())]


def main() -> None:
    warnings.simplefilter("ignore")
    package, folder, checkpoint = sys.argv[1:4]
    importlib.import_module(f"{package}.utils").register_all_modules()
    results = globals()[package](str(Path(folder) / "config.py"), checkpoint, Path(folder) / "data")
    print()
    print(json.dumps({"results": results}))


if __name__ == "__main__":
    main()
