# One epoch of linear warm-up, then a cosine to nearly zero, both counted in iterations.
num_epochs = 20

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=3e-3, weight_decay=1e-2),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        T_max=num_epochs - 1,
        eta_min=1e-5,
        by_epoch=True,
        begin=1,
        end=num_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=num_epochs, val_interval=1)
val_cfg = dict(type="ValLoop")
