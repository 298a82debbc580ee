"""What a run must remember: gathering it, giving it back, and which checkpoint to go on from."""
