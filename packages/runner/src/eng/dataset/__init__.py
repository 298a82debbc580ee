"""Datasets, transforms, samplers and collate functions: the parts of a dataloader."""

from ._randomness import reproducible_loader_parts
from ._torchvision import TorchvisionTransform
from .base_dataset import BaseDataset, Compose, force_full_init
from .dataset_wrapper import ClassBalancedDataset, ConcatDataset, RepeatDataset
from .errors import (
    AnnotationError,
    AnnotationTypeError,
    MetainfoMismatchError,
    PipelineError,
    SampleIndexError,
    TransformError,
    UnsupportedSubsetError,
)
from .kfold import KFoldDataset
from .sampler import DefaultSampler, InfiniteSampler, SeekableSampler
from .sharded_stream import ShardedStream
from .simple_datasets import CsvDataset, ImageFolderDataset, JsonLinesDataset, TextFileDataset
from .transforms import CenterCrop, LoadImage, Normalize, RandomCrop, RandomFlip, Resize
from .utils import COLLATE_FUNCTIONS, default_collate, pseudo_collate, worker_init_fn

__all__ = [
    "BaseDataset",
    "Compose",
    "force_full_init",
    "ConcatDataset",
    "RepeatDataset",
    "ClassBalancedDataset",
    "KFoldDataset",
    "ShardedStream",
    "ImageFolderDataset",
    "CsvDataset",
    "JsonLinesDataset",
    "TextFileDataset",
    "LoadImage",
    "Resize",
    "CenterCrop",
    "RandomCrop",
    "RandomFlip",
    "Normalize",
    "TorchvisionTransform",
    "DefaultSampler",
    "InfiniteSampler",
    "SeekableSampler",
    "worker_init_fn",
    "pseudo_collate",
    "default_collate",
    "COLLATE_FUNCTIONS",
    "reproducible_loader_parts",
    "AnnotationError",
    "AnnotationTypeError",
    "SampleIndexError",
    "PipelineError",
    "TransformError",
    "MetainfoMismatchError",
    "UnsupportedSubsetError",
]
