"""Load configs and models that installed libraries publish, by name."""

from .hub import get_config, get_model
from .model_index import ModelEntry, find_model, list_model_entries

__all__ = ["ModelEntry", "find_model", "get_config", "get_model", "list_model_entries"]
