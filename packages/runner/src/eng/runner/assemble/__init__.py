"""Functions that build the parts of a run from configs; a part that is already an object is used unchanged."""
