"""Expressions on the public interface outside ``mmengine.utils``: values, and exceptions that users catch."""

from __future__ import annotations

from typing import Any

SCHEDULERS = [
    "StepLR(o, step_size=0)", "StepLR(o, step_size=2, begin=3, end=3)", "StepLR(o, step_size=2, begin=-1)", "StepLR(o, 2, by_epoch=1)",
    "StepLR(3, step_size=2)", "StepLR(o, step_size=2, last_step=3)", "MultiStepLR(o, milestones=3)", "MultiStepLR(o, milestones=[1, 2], gamma=0.1).get_last_value()",
    "LinearLR(o, start_factor=2)", "LinearLR(o, start_factor=-1)", "LinearLR(o, start_factor=0.5, end_factor=2)", "LinearLR(o, begin=5, end=3)",
    "ConstantLR(o, factor=2)", "ConstantLR(o, factor=-0.1)", "ConstantLR(o, factor=0.5).get_last_value()", "PolyLR(o, power=2, eta_min=0.1).get_last_value()",
    "CosineAnnealingLR(o, T_max=2, eta_min=0, eta_min_ratio=0.1)", "CosineAnnealingLR(o, T_max=2).get_last_value()",
    "CosineRestartLR(o, periods=[1, 2], restart_weights=[1])", "OneCycleLR(o, eta_max=1, pct_start=-1, total_steps=3)", "OneCycleLR(o, eta_max=1, anneal_strategy='x', total_steps=3)",
    "OneCycleLR(o, eta_max=1, total_steps=-1)", "ExponentialLR(o, gamma=0.5, convert_to_iter_based=True)", "StepLR.build_iter_from_epoch(optimizer=o, step_size=2, epoch_length=None)",
    "StepLR.build_iter_from_epoch(optimizer=o, step_size=2, epoch_length=0)", "StepLR.build_iter_from_epoch(optimizer=o, step_size=2, by_epoch=False, epoch_length=3)", "StepLR.build_iter_from_epoch(optimizer=o, step_size=2, epoch_length=3).step_size",
    "ReduceOnPlateauLR(o, rule='x')", "ReduceOnPlateauLR(o, threshold_rule='x')", "ReduceOnPlateauLR(o, factor=1.5)", "ReduceOnPlateauLR(o, min_value=[1, 2])", "ReduceOnPlateauLR(o).step(3)", "ReduceOnPlateauLR(o).step({'x': 1})", "ReduceOnPlateauLR(o, monitor=3)",
    "Bare(o, param_name='lr').get_last_value()", "StepMomentum(adam, step_size=1).get_last_value()", "StepParamScheduler(o, 'nope', 1)",
]  # fmt: skip
OTHERS = [
    "OptimWrapper(3)", "OptimWrapper(o, accumulative_counts=0)", "OptimWrapper(o, accumulative_counts=-1)", "OptimWrapper(o, clip_grad=3)", "OptimWrapper(o, clip_grad={})", "OptimWrapper(o, clip_grad=dict(type='x'))", "OptimWrapper(o).get_lr()", "OptimWrapper(adam).get_momentum()", "OptimWrapper(o).initialize_count_status(nn.Linear(1, 1), 5, 3)",
    "OptimWrapperDict(a=3)", "OptimWrapperDict(a=OptimWrapper(o)).update_params(1)", "OptimWrapperDict(a=OptimWrapper(o)).step()", "OptimWrapperDict(a=OptimWrapper(o)).zero_grad()", "OptimWrapperDict(a=OptimWrapper(o)).backward(1)", "OptimWrapperDict(a=OptimWrapper(o)).get_lr()",
    "build_optim_wrapper(nn.Linear(1, 1), 3)", "build_optim_wrapper(nn.Linear(1, 1), dict())", "build_optim_wrapper(nn.Linear(1, 1), dict(optimizer=dict(type='SGD', lr=1), paramwise_cfg=3))", "build_optim_wrapper(nn.Linear(1, 1), dict(optimizer=dict(type='SGD', lr=1), paramwise_cfg=dict(custom_keys=[1])))", "build_optim_wrapper(nn.Linear(1, 1), dict(optimizer=dict(type='SGD', lr=1), paramwise_cfg=dict(bias_decay_mult=0)))",
    "HistoryBuffer([1, 2], [1])", "HistoryBuffer([1, 2], [1, 1], max_length=1).data", "HistoryBuffer([1, 2, 3], [1, 1, 1]).mean()", "HistoryBuffer([1, 2, 3], [1, 2, 1]).mean(2)", "HistoryBuffer([[1, 2]], [[1, 1]])", "HistoryBuffer().current()", "HistoryBuffer([1]).statistics('nope')", "HistoryBuffer([1], [1]).statistics('nope')", "HistoryBuffer([1, 5, 2], [1, 1, 1]).max(2)", "HistoryBuffer([1, 5, 2], [1, 1, 1]).min()", "HistoryBuffer(3, [1])", "HistoryBuffer([1, 2], [1, 2]).mean(-1)", "HistoryBuffer([1, 2], [1, 2]).mean(0)", "HistoryBuffer().update('a')", "HistoryBuffer().update(1, 'a')", "HistoryBuffer().update(1, 2.5)", "HistoryBuffer.register_statistics(3)",
    "MessageHub('hub a', log_scalars=3)", "MessageHub('hub b', runtime_info=3)", "MessageHub('hub c').get_scalar('nope')", "MessageHub('hub d').get_info('nope')", "MessageHub('hub e').get_info('nope', 5)", "MessageHub('hub f').update_scalar('a', [1])", "MessageHub('hub g').update_scalar('a', 1, 2.5)", "MessageHub('hub h').update_scalar('a', np.ones(1)) or 1", "MessageHub('hub i').update_scalar('a', torch.ones(2))", "MessageHub('hub j').update_scalars(3)", "MessageHub('hub k').update_scalars({'a': {'x': 1}})", "MessageHub('hub l').update_info_dict(3)", "MessageHub('hub m').load_state_dict({})", "MessageHub('hub n').update_scalar('a', 1, resumed=True) or MessageHub.get_instance('hub n').update_scalar('a', 1, resumed=False)",
    "MMLogger('x', log_level='NOPE')", "print_log('a', logger=3)", "print_log('a', logger='never made')", "MMLogger.check_instance_created('never')", "MessageHub.get_instance(3)", "MessageHub.get_instance('')", "ManagerMixin('')", "ManagerMixin(3)",
    "ExponentialMovingAverage(nn.Linear(1, 1), momentum=2)", "ExponentialMovingAverage(nn.Linear(1, 1), momentum=0)", "ExponentialMovingAverage(nn.Linear(1, 1), interval=0)", "MomentumAnnealingEMA(nn.Linear(1, 1), gamma=0)", "MomentumAnnealingEMA(nn.Linear(1, 1), gamma=-1)",
    "ImgDataPreprocessor(mean=[1])", "ImgDataPreprocessor(mean=[1, 2])", "ImgDataPreprocessor(mean=[1, 2], std=[1, 2])", "ImgDataPreprocessor(mean=[1], std=[1, 2])", "ImgDataPreprocessor(std=[1, 1, 1])", "ImgDataPreprocessor(bgr_to_rgb=True, rgb_to_bgr=True)", "ImgDataPreprocessor()(3)", "ImgDataPreprocessor()(dict(inputs=[torch.ones(4, 2, 2)]))['inputs'][0].shape", "ImgDataPreprocessor(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])(dict(inputs=[torch.ones(1, 2, 2)]))", "ImgDataPreprocessor()(dict(inputs=torch.ones(3, 2, 2)))", "ImgDataPreprocessor(pad_size_divisor=0)(dict(inputs=[torch.ones(3, 3, 3)]))",
    "stack_batch([])", "stack_batch(3)", "stack_batch([3])", "stack_batch([torch.ones(1, 2, 2), torch.ones(2, 2)])", "stack_batch([torch.ones(1, 2, 2), torch.ones(2, 2, 2)])", "stack_batch([torch.ones(1, 2, 2), torch.ones(1, 3, 2)], 2, 1).shape", "merge_dict({'a': 1}, {'b': 2})", "merge_dict({'a': 1}, {'a': 2})", "bias_init_with_prob(0.01)",
    "constant_init(nn.Linear(1, 1), 2)", "xavier_init(nn.Linear(1, 1), distribution='x')", "kaiming_init(nn.Linear(1, 1), distribution='x')", "ConstantInit(1, layer=3)", "ConstantInit(1, bias='a')", "ConstantInit(1, bias=1, bias_prob='a')", "initialize(nn.Linear(1, 1), 3)", "initialize(nn.Linear(1, 1), dict(type='Constant', val=1, override=3))", "initialize(nn.Sequential(nn.Linear(1, 1)), dict(type='Constant', val=1, override=dict(type='Constant', val=2)))", "initialize(nn.Linear(1, 1), dict(type='Constant', val=1, layer='Linear', override=dict(name='nope', type='Constant', val=2)))", "BaseTTAModel(module=nn.Linear(1, 1))",
    "Evaluator(3)", "Evaluator([])", "Evaluator(dict(type='DumpResults', out_file_path='x.txt'))", "DumpResults('x.txt')", "DumpResults('x.pkl').out_file_path", "get_metric_value('acc', {'a/acc': 1})", "get_metric_value('acc', {'a/acc': 1, 'b/acc': 2})", "get_metric_value('nope', {'a/acc': 1})", "get_metric_value('a/acc', {'a/acc': 1})",
    "get_priority(3)", "get_priority(101)", "get_priority('nope')", "get_priority('HIGH')", "get_priority(2.5)", "get_priority(Priority.LOW)", "calc_dynamic_intervals(3)", "calc_dynamic_intervals(3, [(2, 1)])", "calc_dynamic_intervals(3, 5)", "set_random_seed(3)",
    "autocast(device_type='nope').__enter__()", "pseudo_collate([])", "worker_init_fn(0, 1, 0, 5)", "Compose(3)", "Compose([dict(type='x')])", "Compose([3])", "Compose([len])([1, 2])", "Compose(None)(3)", "Compose([lambda d: None])(3)",
    "ConcatDataset([])", "ConcatDataset(datasets=[3])", "RepeatDataset(3, 2)", "ClassBalancedDataset(3, 0.1)", "DefaultSampler([1, 2, 3], shuffle=False).num_samples", "list(DefaultSampler([1, 2, 3], shuffle=True, seed=3))", "list(DefaultSampler([1, 2, 3], shuffle=False, round_up=False))", "BaseDataset(ann_file='', metainfo=3)", "BaseDataset(ann_file='nope', serialize_data=False)", "BaseDataset(lazy_init=True, ann_file='', indices='x').metainfo", "BaseDataset()",
    "collect_results([1], 1, device='nope')", "collect_results_cpu([1, 2], 1)", "collect_results([1, 2], 1)", "all_reduce(torch.ones(1), op='nope')", "all_reduce_dict({'a': torch.ones(1)}, op='nope')", "all_reduce_params([torch.ones(1)])", "gather_object(1)", "all_gather_object(1)", "get_dist_info()", "get_world_size()", "get_backend()", "infer_launcher()", "init_dist('nope')", "cast_data_device(3, torch.device('cpu'))", "cast_data_device([torch.ones(1)], torch.device('cpu'), out=[])", "get_data_device(3)", "get_data_device([])", "get_data_device([torch.ones(1)]).type", "get_comm_device().type", "broadcast_object_list(3)", "sync_random_seed() >= 0", "is_main_process()",
    "InstanceData(a=3)", "InstanceData(a=[1], b=[1, 2])", "InstanceData(a=[1])[5]", "InstanceData(a=[1])['x']", "InstanceData.cat([])", "InstanceData.cat([3])", "len(InstanceData(a=[1, 2]))", "PixelData(a=torch.ones(2))", "PixelData(a=torch.ones(1, 2, 2), b=torch.ones(1, 3, 3))", "PixelData(a=3)", "PixelData(a=torch.ones(2, 2)).a.shape", "PixelData(a=torch.ones(1, 4, 4))[1:3, 1:3].shape", "LabelData.onehot_to_label(torch.tensor([0, 1, 1]))", "LabelData.label_to_onehot(torch.tensor([1]), 3)", "LabelData.label_to_onehot(torch.tensor([3]), 3)", "LabelData.onehot_to_label(torch.tensor([2]))", "BaseDataElement(metainfo=3)", "BaseDataElement(a=1).set_field(1, 'metainfo_x', field_type='nope')", "BaseDataElement(a=1).pop('nope')", "BaseDataElement(a=1).pop('nope', 5)", "BaseDataElement(a=1).get('nope', 5)", "BaseDataElement(metainfo=dict(a=1)).set_field(2, 'a')", "BaseDataElement(a=1).update(3)", "sorted(BaseDataElement(a=1, b=2).keys())",
    "get_file_backend(3)", "get_file_backend('nope://a')", "get_file_backend(backend_args=dict(backend='nope'))", "FileClient(backend='nope')", "FileClient(prefix='nope')", "FileClient('disk') is FileClient('disk')", "FileClient(backend='disk') is FileClient(prefix='')", "FileClient.parse_uri_prefix('s3://a')", "FileClient.parse_uri_prefix('/a')", "load('x.nope')", "dump({'a': 1}, 'x.nope')", "dump({'a': 1})", "dump({'a': 1}, file_format='json')", "dump({'b': 1, 'a': [1, 2]}, file_format='yaml')", "load('nope.json')", "load(3)", "list_from_file('nope')", "register_handler(3)", "register_handler('x')(int)", "exists('nope')", "isdir('.')", "join_path('a', 'b', 'c')", "list(list_dir_or_file('.', list_dir=True, suffix='.txt'))", "dict_from_file('nope')", "generate_presigned_url('a')", "BaseStorageBackend()",
    "Registry(3)", "Registry('a', parent=3)", "Registry('a').get(3)", "Registry('a').build(3)", "Registry('a').build(dict(a=1))", "Registry('a').build(dict(type='nope'))", "Registry('a').build(dict(type=3))", "Registry('a').register_module(name=3)", "Registry('a').register_module(module=3)", "Registry('a').register_module(force=3)", "Registry('a').get('nope')", "build_from_cfg(dict(type='nope'), Registry('a'))", "build_from_cfg(3, Registry('a'))", "build_from_cfg(dict(type='a'), 'name')", "build_from_cfg(dict(type='a'), Registry('a'), 3)", "Registry.split_scope_key('a.b')", "Registry.split_scope_key('a')", "len(Registry('a'))", "'x' in Registry('a')",
    "Hook().every_n_epochs(R(), 2)", "Hook().every_n_train_iters(R(), 0)", "LoggerHook(interval='1')", "LoggerHook(interval=0)", "LoggerHook(interval=1.5)", "LoggerHook(ignore_last='x').ignore_last", "LoggerHook(out_suffix=3)", "LoggerHook(out_dir=3)", "LoggerHook(keep_local=False)", "CheckpointHook(save_best=3)", "CheckpointHook(save_best='acc', rule='x')", "CheckpointHook(save_best=['acc', 'loss'], rule=['greater'])", "CheckpointHook(save_best=['a', 'auto'])", "CheckpointHook(published_keys=3)", "EMAHook(begin_iter=-1)", "EMAHook(begin_epoch=-1)", "EMAHook(begin_iter=1, begin_epoch=1)", "EarlyStoppingHook('acc', rule='x')", "EarlyStoppingHook('nope')", "ProfilerHook(profile_times=0)", "ProfilerHook(schedule=3)", "ProfilerHook(by_epoch=3)", "SyncBuffersHook()", "NaiveVisualizationHook(interval=1).interval",
    "Visualizer(vis_backends=3)", "Visualizer(vis_backends=[3])", "Visualizer(vis_backends=dict(type='LocalVisBackend'))", "LocalVisBackend(save_dir='a', img_save_dir=3)", "LocalVisBackend('a', config_save_file='x.txt')", "LocalVisBackend('a', scalar_save_file='x.txt')", "V().draw_bboxes(np.ones((1, 3)))", "V().draw_bboxes(np.ones((1, 4)) * -5).get_image().shape", "V().draw_bboxes(np.array([[3, 3, 1, 1]]))", "V().draw_texts('a', np.ones((2, 2)))", "V().draw_texts(['a', 'b'], np.ones((1, 2)))", "V().draw_points(np.ones((1, 3)))", "V().draw_points(np.ones((2, 2)), sizes=[1, 2]) is not None", "V().draw_lines(np.ones((1, 3)), np.ones((1, 2)))", "V().draw_circles(np.ones((1, 2)), np.ones(2))", "V().draw_polygons(np.ones((3, 3)))", "V().draw_binary_masks(np.ones((5, 5)))", "V().draw_binary_masks(np.ones((2, 2), bool))", "V().draw_featmap(np.ones((1, 2, 2)))", "V().draw_featmap(torch.ones(2, 2))", "V().draw_featmap(torch.ones(1, 2, 2), channel_reduction='x')", "V().set_image(3)", "V().set_image(None)", "Visualizer().get_image()", "Visualizer().draw_bboxes(np.ones((1, 4)))",
    "FlopAnalyzer(3, 4)", "get_model_complexity_info(nn.Linear(2, 3), (2,))['flops']", "get_model_complexity_info(nn.Linear(2, 3))", "get_model_complexity_info(nn.Linear(2, 3), (2,), inputs=torch.ones(1, 2))", "parameter_count(nn.Linear(2, 3))['']",
    "Config(3)", "Config(dict(filename=1))", "Config(dict(text=1))", "Config.fromfile(3)", "Config.fromfile('nope.py')", "Config.fromfile('nope.txt')", "Config.fromstring('a=1', '.txt')", "Config.fromstring('a=1', '.py').a", "Config(dict(a=1)).b", "Config(dict(a=1))['b']", "Config(dict(a=1)).merge_from_dict({'b.c': 2})", "ConfigDict(a=1).b", "ConfigDict(a=1).get('b', 2)", "ConfigDict(a=1).pop('b')",
]  # fmt: skip


def of_api() -> list[str]:
    """All expressions."""
    return [*SCHEDULERS, *OTHERS]


def names_of_api() -> dict[str, Any]:
    """Names that these expressions use, beside those of ``values.py``."""
    import importlib

    scheduler = importlib.import_module("mmengine.optim.scheduler.param_scheduler")
    found: dict[str, Any] = {"_ParamScheduler": scheduler._ParamScheduler}
    for room in (
        "optim", "logging", "model", "evaluator", "runner", "dataset", "dist", "structures", "fileio", "registry", "hooks",
        "visualization", "analysis", "config", "utils.manager", "runner.amp", "model.weight_init",
    ):  # fmt: skip
        module = importlib.import_module(f"mmengine.{room}")
        found.update(
            {
                name: getattr(module, name)
                for name in getattr(module, "__all__", None) or vars(module)
                if not name.startswith("_")
            }
        )
    return found


def for_each_expression(names: dict[str, Any]) -> dict[str, Any]:
    """Objects that each expression gets anew."""
    import numpy as np
    import torch
    from torch import nn

    class R:
        epoch, iter = 3, 3

    class Bare(names["_ParamScheduler"]):  # type: ignore[misc]
        pass

    def fresh_visualizer() -> Any:
        visualizer = names["Visualizer"](vis_backends=[])
        visualizer.set_image(np.zeros((10, 10, 3), np.uint8))
        return visualizer

    layer = nn.Linear(1, 1)
    return {
        "o": torch.optim.SGD(layer.parameters(), lr=1.0, momentum=0.9), "adam": torch.optim.Adam(layer.parameters(), lr=1.0),
        "R": R, "Bare": Bare, "V": fresh_visualizer,
    }  # fmt: skip
