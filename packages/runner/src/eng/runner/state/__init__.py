"""The state of a run: collecting it into checkpoints, restoring it, and choosing the checkpoint to start from."""
