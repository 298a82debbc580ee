"""What the tests beside ``test_sweep.py`` share."""

from __future__ import annotations

LR, CURVATURE = "optim_wrapper.optimizer.lr", "model.curvature"
CONFIG = """
custom_imports = dict(imports=['tune_toys'])
work_dir = {work_dir!r}
model = dict(type='Bowl', curvature=1.0)
train_dataloader = dict(dataset=dict(type='Four'), batch_size=2, sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(dataset=dict(type='Four'), batch_size=2)
train_cfg = dict(max_epochs={epochs})
val_cfg = dict()
val_evaluator = dict(type='Distance')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
custom_hooks = [dict(type='Diary', pause_s={pause_s})]
log_level = 'ERROR'
"""
