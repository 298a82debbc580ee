# scikit-learn's 1,797 handwritten digits, split once with a fixed seed: 1,437 to train, 360 to validate.
dataset_type = "Digits"
batch_size = 32

train_pipeline = [dict(type="RandomShift", max_pixels=1), dict(type="PackDigit")]
val_pipeline = [dict(type="PackDigit")]

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type=dataset_type, split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type=dataset_type, split="val", pipeline=val_pipeline),
)
val_evaluator = dict(type="Accuracy")
