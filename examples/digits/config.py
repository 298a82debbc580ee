# Handwritten digits with a small residual network: `eng train examples/digits/config.py`
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/digits.py",
    "../_base_/models/small_resnet.py",
    "../_base_/schedules/warmup_cosine.py",
]

# digits_parts.py lies beside this file; the `eng` command looks there.
custom_imports = dict(imports=["digits_parts"], allow_failed_imports=False)
work_dir = "work_dirs/digits"
