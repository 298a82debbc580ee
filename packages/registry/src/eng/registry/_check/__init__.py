"""Checks a config for mistakes before any object of it is built."""

from .findings import Finding, Kind
from .schema import Node, Plain, Schema, Shape
from .walk import check

__all__ = ["Finding", "Kind", "Node", "Plain", "Schema", "Shape", "check"]
