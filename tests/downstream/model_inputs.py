"""A small generated batch for a model of each library, in the form that the library's data loaders give."""

from __future__ import annotations

import numpy as np
import torch


def images(count: int, size: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8) for _ in range(count)]


def mmpretrain(cfg, size: int) -> dict:
    from mmpretrain.structures import DataSample

    samples = [DataSample().set_gt_label(label) for label in (1, 0)]
    if "head" in cfg.model and cfg.model.type == "ImageClassifier":
        return {"inputs": images(2, size), "data_samples": samples}
    return {"inputs": [torch.stack(images(2, size)), torch.stack(images(2, size)[::-1])], "data_samples": samples}


def mmseg(cfg, size: int) -> dict:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(1)
    samples = []
    for _ in range(2):
        labels = torch.randint(0, 5, (1, size, size), generator=generator)
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels), gt_edge_map=PixelData(data=(labels > 3).long()))
        sample.set_metainfo({"img_shape": (size, size), "ori_shape": (size, size)})
        samples.append(sample)
    return {"inputs": images(2, size), "data_samples": samples}


def mmdet(cfg, size: int) -> dict:
    from mmdet.testing import demo_mm_inputs

    np.random.seed(0)
    return demo_mm_inputs(
        2, [(3, size, size)] * 2, num_items=[3, 4], num_classes=4, with_mask=True, with_semantic=True,
        sem_seg_output_strides=8 if "semantic_head" in str(cfg.model.get("roi_head", "")) else 1,
    )  # fmt: skip


def mmpose(cfg, size: int) -> dict:
    from mmpose.testing import get_packed_inputs

    np.random.seed(0)
    codec = cfg.get("codec", {})
    codec = codec[0] if isinstance(codec, list) else codec
    width, height = codec.get("input_size", (192, 256))
    heatmap = codec.get("heatmap_size") or (width // 4, height // 4)
    return get_packed_inputs(
        2, img_shape=(height, width), input_size=(width, height), heatmap_size=heatmap,
        simcc_split_ratio=codec.get("simcc_split_ratio", 2.0),
    )  # fmt: skip


def mmaction(cfg, size: int) -> dict:
    from mmaction.structures import ActionDataSample

    shape = cfg.model.data_preprocessor.get("format_shape", "NCHW")
    frames = (8, 3, size, size) if shape == "NCHW" else (1, 3, 8, size, size)
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, frames, generator=generator, dtype=torch.uint8) for _ in range(2)]
    return {"inputs": inputs, "data_samples": [ActionDataSample().set_gt_label(label) for label in (1, 0)]}


def mmocr(cfg, size: int) -> dict:
    from mmengine.structures import InstanceData, LabelData
    from mmocr.structures import TextDetDataSample, TextRecogDataSample

    if "decoder" in cfg.model:
        samples = []
        for text in ("hello", "eng"):
            sample = TextRecogDataSample(gt_text=LabelData(item=text))
            sample.set_metainfo({"img_shape": (32, 100), "valid_ratio": 1.0})
            samples.append(sample)
        return {"inputs": [image[:, :32, :100] for image in images(2, 100)], "data_samples": samples}
    samples = []
    for shift in (0, 8):
        corners = np.array([[8, 8], [size - 24, 8], [size - 24, 40], [8, 40]], dtype=np.float32) + shift
        instances = InstanceData(
            polygons=[corners.reshape(-1), corners.reshape(-1)[[0, 1, 2, 3, 4, 5, 6, 7]] + 4],
            bboxes=torch.tensor([[8.0, 8, size - 24, 40]] * 2) + shift,
            labels=torch.zeros(2, dtype=torch.long), ignored=torch.zeros(2, dtype=torch.bool),
        )  # fmt: skip
        sample = TextDetDataSample(gt_instances=instances)
        sample.set_metainfo({"img_shape": (size, size), "ori_shape": (size, size), "scale_factor": (1, 1)})
        samples.append(sample)
    return {"inputs": images(2, size), "data_samples": samples}


def mmdet3d(cfg, size: int) -> dict:
    from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
    from mmengine.structures import InstanceData

    nuscenes = cfg.model.bbox_head.get("bbox_code_size", 9) == 9
    generator = torch.Generator().manual_seed(1)
    centers = torch.rand(3, 2, generator=generator) * (size - 40) + 20
    boxes = torch.rand(3, 9 if nuscenes else 7, generator=generator) + 1
    boxes[:, 2] += 10
    sample = Det3DDataSample(
        gt_instances=InstanceData(bboxes=torch.cat([centers - 16, centers + 16], 1), labels=torch.tensor([0, 1, 2])),
        gt_instances_3d=InstanceData(
            bboxes_3d=CameraInstance3DBoxes(boxes, box_dim=boxes.shape[1], origin=(0.5, 0.5, 0.5)),
            labels_3d=torch.tensor([0, 1, 2]), centers_2d=centers, depths=boxes[:, 2], attr_labels=torch.tensor([0, 1, 2]),
        ),
    )  # fmt: skip
    intrinsics = [[100.0, 0, size / 2, 0], [0, 100.0, size / 2, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    sample.set_metainfo({
        "img_shape": (size, size), "ori_shape": (size, size), "cam2img": intrinsics, "box_type_3d": CameraInstance3DBoxes,
        "trans_mat": np.eye(3, dtype=np.float32), "affine_aug": False, "pad_shape": (size, size),
    })  # fmt: skip
    return {"inputs": {"img": images(1, size)}, "data_samples": [sample]}


def mmagic(cfg, size: int) -> dict:
    from mmagic.structures import DataSample

    scale = 1
    for part in (cfg.model.get("generator", {}), cfg):
        scale = part.get("upscale_factor", part.get("scale", scale)) if hasattr(part, "get") else scale
    small, large = images(2, size), images(2, size * scale)
    samples = [DataSample(gt_img=image) for image in large]
    if cfg.model.type in ("DCGAN", "LSGAN", "WGANGP", "SNGAN", "GGAN", "SAGAN", "BigGAN"):
        for number, sample in enumerate(samples):
            sample.set_gt_label(number)
        return {"inputs": {"img": images(2, size)}, "data_samples": samples}
    if cfg.model.type in ("Pix2Pix", "CycleGAN"):
        return {
            "inputs": {f"img_{name}": images(2, size) for name in ("photo", "mask", "a", "b")},
            "data_samples": samples,
        }
    return {"inputs": small, "data_samples": samples}
