"""A user's project for each library: generated data, and a config that builds on one that the library ships.

    python run_projects.py PACKAGE FOLDER

Nothing in it is random but the weights and the order of the samples, so that two engines train alike.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
from libraries import BY_PACKAGE

# Two workers that persist, one validation per epoch, the best checkpoint, and a line per iteration.
COMMON = """
_base_ = [{base!r}]
workers = dict(num_workers=2, persistent_workers=True)
default_hooks = dict(
    checkpoint=dict(type="CheckpointHook", interval=1, by_epoch=True, save_best={best!r}, rule="greater", max_keep_ckpts=5,
                    _delete_=True),
    logger=dict(type="LoggerHook", interval=1, _delete_=True),
)
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=2, val_interval=1)
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=3)]
randomness = dict(seed=0)
auto_scale_lr = None
load_from = None
"""


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(0, 80, (height, width, 3)).astype(np.uint8)


def mmpretrain(folder: Path, rng: np.random.Generator) -> str:
    for split, count in (("train", 8), ("val", 4)):
        for channel, name in ((0, "blue"), (2, "red")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                image = noise(rng, 40, 40)
                image[..., channel] += 150
                cv2.imwrite(str(folder / split / name / f"{number}.png"), image)
    return """
model = dict(head=dict(num_classes=2, topk=(1,)))
data_preprocessor = dict(num_classes=2)
pipeline = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=32), dict(type="PackInputs")]
data = dict(_delete_=True, type="CustomDataset", data_root={folder!r}, pipeline=pipeline)
train_dataloader = dict(batch_size=4, dataset=dict(data_prefix="train", **data), **workers)
val_dataloader = dict(batch_size=4, dataset=dict(data_prefix="val", **data), **workers)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="Accuracy", topk=(1,))
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=0.0001))
"""


def mmseg(folder: Path, rng: np.random.Generator) -> str:
    for split, count in (("train", 16), ("val", 4)):
        for part in ("images", "labels"):
            (folder / split / part).mkdir(parents=True)
        for number in range(count):
            image, labels = noise(rng, 64, 64), np.zeros((64, 64), np.uint8)
            left, top = rng.integers(4, 28, 2)
            image[top : top + 30, left : left + 30, 2] += 150
            labels[top : top + 30, left : left + 30] = 1
            cv2.imwrite(str(folder / split / "images" / f"{number}.jpg"), image)
            cv2.imwrite(str(folder / split / "labels" / f"{number}.png"), labels)
    return """
norm = dict(type="BN", requires_grad=True, momentum=0.5)
model = dict(
    data_preprocessor=dict(size=(64, 64)), backbone=dict(norm_cfg=norm), decode_head=dict(num_classes=2, norm_cfg=norm, dropout_ratio=0.0),
    auxiliary_head=[
        dict(type="FCNHead", in_channels=128, channels=32, num_convs=1, num_classes=2, in_index=-2, norm_cfg=norm,
             concat_input=False, align_corners=False, dropout_ratio=0.0,
             loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=0.4)),
    ],
)
load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
pack = [dict(type="PackSegInputs")]
data = dict(_delete_=True, type="BaseSegDataset", metainfo=dict(classes=("back", "square"), palette=[[0, 0, 0], [255, 0, 0]]),
            data_prefix=dict(img_path="images", seg_map_path="labels"), pipeline=load + pack)
shuffled = dict(_delete_=True, type="DefaultSampler", shuffle=True)
train_dataloader = dict(batch_size=4, sampler=shuffled, dataset=dict(data_root={folder!r} + "/train", **data), **workers)
val_dataloader = dict(batch_size=1, dataset=dict(data_root={folder!r} + "/val", **data), **workers)
test_dataloader = val_dataloader
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="TestTimeAug", transforms=[
        [dict(type="Resize", scale_factor=ratio, keep_ratio=True) for ratio in (1.0, 1.5)],
        [dict(type="RandomFlip", prob=0.0, direction="horizontal"), dict(type="RandomFlip", prob=1.0, direction="horizontal")],
        [dict(type="LoadAnnotations")], pack]),
]
log_processor = dict(by_epoch=True)
"""


def coco(folder: Path, split: str, rng: np.random.Generator, count: int, keypoints: int = 0) -> None:
    """Images with a red rectangle (category 1) or a green one (category 2); with keypoints, all are people."""
    (folder / split).mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        image, channel = noise(rng, 96, 96), number % 2
        left, top, width, height = (int(value) for value in (*rng.integers(4, 40, 2), *rng.integers(30, 50, 2)))
        image[top : top + height, left : left + width, 2 - channel] += 150
        cv2.imwrite(str(folder / split / f"{number}.jpg"), image)
        images.append({"id": number, "file_name": f"{number}.jpg", "height": 96, "width": 96})
        corners = [left, top, left + width, top, left + width, top + height, left, top + height]
        annotation = {
            "id": number, "image_id": number, "category_id": 1 if keypoints else 1 + channel, "iscrowd": 0,
            "bbox": [left, top, width, height], "area": width * height, "segmentation": [corners],
        }  # fmt: skip
        if keypoints:
            steps = np.linspace(0, 1, keypoints)
            points = np.stack([left + steps * width, top + steps * height, np.full(keypoints, 2.0)], 1)
            annotation.update(keypoints=points.reshape(-1).tolist(), num_keypoints=keypoints)
        annotations.append(annotation)
    names = ["person"] if keypoints else ["green", "red"]
    categories = [{"id": number, "name": name, "keypoints": [], "skeleton": []} for number, name in enumerate(names, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")


def mmdet(folder: Path, rng: np.random.Generator) -> str:
    coco(folder, "train", rng, 8)
    coco(folder, "val", rng, 4)
    return """
model = dict(backbone=dict(init_cfg=None), bbox_head=dict(num_classes=2), test_cfg=dict(score_thr=0.001, max_per_img=10))
load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
resize = [dict(type="Resize", scale=(96, 96), keep_ratio=True)]
meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
pack = [dict(type="PackDetInputs", meta_keys=meta)]
pipeline = load + resize + pack
data = dict(_delete_=True, type="CocoDataset", data_root={folder!r}, metainfo=dict(classes=("green", "red")),
            pipeline=pipeline)
train_dataloader = dict(batch_size=2, dataset=dict(ann_file="train.json", data_prefix=dict(img="train/"), **data), **workers)
val_dataloader = dict(batch_size=1, dataset=dict(ann_file="val.json", data_prefix=dict(img="val/"), test_mode=True, **data),
                      **workers)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={folder!r} + "/val.json")
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.002, momentum=0.9, weight_decay=0.0001))
tta_model = dict(type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.6), max_per_img=10))
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="TestTimeAug", transforms=[
        resize, [dict(type="RandomFlip", prob=1.0), dict(type="RandomFlip", prob=0.0)],
        [dict(type="LoadAnnotations", with_bbox=True)], pack]),
]
"""


def mmpose(folder: Path, rng: np.random.Generator) -> str:
    coco(folder, "train", rng, 8, keypoints=17)
    coco(folder, "val", rng, 4, keypoints=17)
    return """
model = dict(backbone=dict(init_cfg=None))
codec = dict(type="MSRAHeatmap", input_size=(96, 128), heatmap_size=(24, 32), sigma=2)
model.update(head=dict(decoder=codec))
steps = [dict(type="LoadImage"), dict(type="GetBBoxCenterScale"), dict(type="TopdownAffine", input_size=codec["input_size"])]
data = dict(_delete_=True, type="CocoDataset", data_root={folder!r}, data_mode="topdown")
train_dataloader = dict(batch_size=4, dataset=dict(
    ann_file="train.json", data_prefix=dict(img="train/"),
    pipeline=steps + [dict(type="GenerateTarget", encoder=codec), dict(type="PackPoseInputs")], **data), **workers)
val_dataloader = dict(batch_size=4, dataset=dict(
    ann_file="val.json", data_prefix=dict(img="val/"), test_mode=True, pipeline=steps + [dict(type="PackPoseInputs")], **data),
    **workers)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="PCKAccuracy", thr=0.5)
test_evaluator = val_evaluator
"""


def mmaction(folder: Path, rng: np.random.Generator) -> str:
    annotations, names = [], {"train": [], "val": []}
    for number in range(24):
        label = number % 2
        moves = np.linspace(0, 200 if label else -200, 20)[None, :, None, None]
        keypoint = (rng.normal(500, 30, (1, 20, 17, 2)) + moves).astype(np.float16)
        name = f"clip{number}"
        names["train" if number < 16 else "val"].append(name)
        annotations.append({
            "frame_dir": name, "label": label, "img_shape": (1080, 1920), "original_shape": (1080, 1920), "total_frames": 20,
            "keypoint": keypoint, "keypoint_score": np.ones((1, 20, 17), np.float16),
        })  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "poses.pkl").write_bytes(pickle.dumps({"split": names, "annotations": annotations}))
    return """
model = dict(cls_head=dict(num_classes=2))
optim_wrapper = dict(optimizer=dict(lr=0.005))
pipeline = [
    dict(type="PreNormalize2D"), dict(type="GenSkeFeat", dataset="coco", feats=["j"]),
    dict(type="UniformSampleFrames", clip_len=20, num_clips=1, test_mode=True), dict(type="PoseDecode"),
    dict(type="FormatGCNInput", num_person=1), dict(type="PackActionInputs"),
]
data = dict(_delete_=True, type="PoseDataset", ann_file={folder!r} + "/poses.pkl", pipeline=pipeline)
train_dataloader = dict(batch_size=4, dataset=dict(split="train", **data), **workers)
val_dataloader = dict(batch_size=4, dataset=dict(split="val", test_mode=True, **data), **workers)
test_dataloader = val_dataloader
val_evaluator = [dict(type="AccMetric", metric_list=("top_k_accuracy",), metric_options=dict(top_k_accuracy=dict(topk=(1,))))]
test_evaluator = val_evaluator
"""


def mmocr(folder: Path, rng: np.random.Generator) -> str:
    for split, count in (("train", 8), ("val", 4)):
        (folder / split).mkdir(parents=True)
        samples = []
        for number in range(count):
            text = "".join(rng.choice(list("abc"), 3))
            image = cv2.putText(noise(rng, 32, 100), text, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
            cv2.imwrite(str(folder / split / f"{number}.png"), image)
            samples.append({"img_path": f"{split}/{number}.png", "instances": [{"text": text}]})
        content = {"metainfo": {"dataset_type": "TextRecogDataset", "task_name": "textrecog"}, "data_list": samples}
        (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return """
pipeline = [
    dict(type="LoadImageFromFile", color_type="grayscale"), dict(type="LoadOCRAnnotations", with_text=True),
    dict(type="Resize", scale=(100, 32)),
    dict(type="PackTextRecogInputs", meta_keys=("img_path", "ori_shape", "img_shape", "valid_ratio")),
]
data = dict(type="OCRDataset", data_root={folder!r}, pipeline=None)
joined = dict(_delete_=True, type="ConcatDataset", pipeline=pipeline)
train_dataloader = dict(batch_size=4, dataset=dict(datasets=[dict(ann_file="train.json", **data)], **joined), **workers)
val_dataloader = dict(batch_size=4, dataset=dict(datasets=[dict(ann_file="val.json", test_mode=True, **data)], **joined),
                      **workers)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="MultiDatasetsEvaluator", dataset_prefixes=["toy"],
                     metrics=[dict(type="CharMetric"), dict(type="OneMinusNEDMetric")])
test_evaluator = val_evaluator
"""


def mmagic(folder: Path, rng: np.random.Generator) -> str:
    for split, count in (("train", 8), ("val", 4)):
        for part in ("gt", "lq"):
            (folder / split / part).mkdir(parents=True)
        for number in range(count):
            image = cv2.GaussianBlur(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8), (9, 9), 3)
            cv2.imwrite(str(folder / split / "gt" / f"{number}.png"), image)
            cv2.imwrite(str(folder / split / "lq" / f"{number}.png"), cv2.resize(image, (16, 16)))
    return """
pipeline = [
    dict(type="LoadImageFromFile", key="img", channel_order="rgb"), dict(type="LoadImageFromFile", key="gt", channel_order="rgb"),
    dict(type="PackInputs"),
]
data = dict(type="BasicImageDataset", metainfo=dict(dataset_type="toy", task_name="sisr"), data_prefix=dict(img="lq", gt="gt"),
            pipeline=pipeline)
train_dataloader = dict(batch_size=4, sampler=dict(type="DefaultSampler", shuffle=True),
                        dataset=dict(_delete_=True, data_root={folder!r} + "/train", **data), **workers)
val_dataloader = dict(batch_size=1, dataset=dict(_delete_=True, data_root={folder!r} + "/val", **data), **workers)
# The library's base config tests on a list of data sets: a list replaces it.
test_dataloader = [dict(batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False),
                        dataset=dict(data_root={folder!r} + "/val", **data), **workers)]
metrics = [dict(type="PSNR", crop_border=4, prefix="toy"), dict(type="SSIM", crop_border=4, prefix="toy")]
test_evaluator = [dict(type="Evaluator", metrics=metrics)]
val_evaluator = dict(_delete_=True, type="Evaluator", metrics=metrics)
log_processor = dict(by_epoch=True)
"""


def mmdet3d(folder: Path, rng: np.random.Generator) -> str:
    """Images of one camera with a red box each; its corners in the image follow from its place in front of the camera."""
    focal, width, height = 120.0, 192, 64
    camera = [[focal, 0, width / 2, 0], [0, focal, height / 2, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    for split, count in (("train", 8), ("val", 4)):
        (folder / split).mkdir(parents=True)
        samples = []
        for number in range(count):
            depth, shift = rng.uniform(6, 14), rng.uniform(-3, 3)
            corners = [
                focal * (shift - 1) / depth,
                focal * -0.5 / depth,
                focal * (shift + 1) / depth,
                focal * 0.5 / depth,
            ]
            left, top, right, bottom = (
                int(value) + (width, height)[axis % 2] // 2 for axis, value in enumerate(corners)
            )
            image = noise(rng, height, width)
            image[top:bottom, left:right, 2] += 150
            cv2.imwrite(str(folder / split / f"{number}.png"), image)
            instance = {
                "bbox": [left, top, right, bottom], "bbox_label": 2, "bbox_label_3d": 2, "bbox_3d": [shift, 0.5, depth, 2, 1, 1, 0],
                "center_2d": [width / 2 + focal * shift / depth, height / 2], "depth": depth, "attr_label": -1,
                "truncated": 0, "occluded": 0, "alpha": 0, "score": 0, "num_lidar_pts": 9, "difficulty": 0,
            }  # fmt: skip
            view = {"img_path": f"{number}.png", "cam2img": camera, "lidar2cam": np.eye(4).tolist(), "lidar2img": camera,
                    "height": height, "width": width}  # fmt: skip
            samples.append(
                {"sample_idx": number, "images": {"CAM2": view}, "instances": [], "cam_instances": {"CAM2": [instance]}}
            )
        content = {
            "metainfo": {"categories": {"Pedestrian": 0, "Cyclist": 1, "Car": 2}, "dataset": "kitti"},
            "data_list": samples,
        }
        (folder / f"{split}.pkl").write_bytes(pickle.dumps(content))
    # The library's metrics need compiled operators or a GPU.
    (folder / "project_metrics.py").write_text(DEPTH_METRIC, encoding="utf-8")
    return """
custom_imports = dict(imports=["project_metrics"])
model = dict(backbone=dict(init_cfg=None), neck=dict(use_dcn=False), bbox_head=dict(num_classes=1, bbox_coder=dict(
    base_depth=(10.0, 3.0), base_dims=((2.0, 1.0, 1.0),))))
resize = [dict(type="AffineResize", img_scale=(192, 64), down_ratio=4)]
load = [dict(type="LoadImageFromFileMono3D")]
pipeline = load + [
    dict(type="LoadAnnotations3D", with_bbox=True, with_label=True, with_attr_label=False, with_bbox_3d=True,
         with_label_3d=True, with_bbox_depth=True), *resize,
    dict(type="Pack3DDetInputs", keys=["img", "gt_bboxes", "gt_bboxes_labels", "gt_bboxes_3d", "gt_labels_3d", "centers_2d",
                                       "depths"])]
data = dict(_delete_=True, type="KittiDataset", data_root={folder!r}, metainfo=dict(classes=["Car"]), load_type="fov_image_based",
            modality=dict(use_lidar=False, use_camera=True), box_type_3d="Camera")
test = dict(test_mode=True, pipeline=load + resize + [dict(type="Pack3DDetInputs", keys=["img"])])
train_dataloader = dict(batch_size=4, dataset=dict(
    ann_file="train.pkl", data_prefix=dict(img="train"), pipeline=pipeline, **data), **workers)
val_dataloader = dict(batch_size=1, dataset=dict(ann_file="val.pkl", data_prefix=dict(img="val"), **test, **data), **workers)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="MeanDepth", prefix="toy")
test_evaluator = val_evaluator
"""


DEPTH_METRIC = """
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class MeanDepth(BaseMetric):
    def process(self, data_batch, data_samples):
        for sample in data_samples:
            found = sample["pred_instances_3d"]
            self.results.append((found["scores_3d"].sum().item(), found["bboxes_3d"].tensor[:, 2].sum().item()))

    def compute_metrics(self, results):
        return {"score": sum(score for score, _ in results), "depth": sum(depth for _, depth in results)}
"""


# Shipped config and the metric of the best checkpoint.
PROJECTS = {
    "mmpretrain": ("resnet/resnet18_8xb32_in1k.py", "accuracy/top1"),
    "mmseg": ("fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py", "mIoU"),
    "mmdet": ("retinanet/retinanet_r18_fpn_1x_coco.py", "coco/bbox_mAP"),
    "mmpose": ("body_2d_keypoint/topdown_heatmap/coco/td-hm_shufflenetv2_8xb64-210e_coco-256x192.py", "PCK"),
    "mmaction": ("skeleton/stgcn/stgcn_8xb16-joint-u100-80e_ntu60-xsub-keypoint-2d.py", "acc/top1"),
    "mmocr": ("textrecog/crnn/crnn_mini-vgg_5e_mj.py", "toy/recog/1-N.E.D"),
    "mmdet3d": ("smoke/smoke_dla34_dlaneck_gn-all_4xb8-6x_kitti-mono3d.py", "toy/score"),
    "mmagic": ("srcnn/srcnn_x4k915_1xb16-1000k_div2k.py", "toy/PSNR"),
}
MAKERS = {
    "mmpretrain": mmpretrain, "mmseg": mmseg, "mmdet": mmdet, "mmpose": mmpose, "mmaction": mmaction, "mmocr": mmocr,
    "mmdet3d": mmdet3d, "mmagic": mmagic,
}  # fmt: skip


def make_project(package: str, folder: Path) -> Path:
    """Writes data and config of a project into `folder`; returns the config's path."""
    library = BY_PACKAGE[package]
    base, best = PROJECTS[package]
    data = folder / "data"
    text = MAKERS[package](data, np.random.default_rng(0)).replace("{folder!r}", repr(str(data)))
    config = folder / "config.py"
    head = COMMON.replace("{base!r}", repr(str(library.root / library.configs / base))).replace("{best!r}", repr(best))
    config.write_text(head + text, encoding="utf-8")
    return config


if __name__ == "__main__":
    print(make_project(sys.argv[1], Path(sys.argv[2])))
