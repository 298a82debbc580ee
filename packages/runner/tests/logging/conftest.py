from __future__ import annotations

import logging

import pytest

from eng.logging import MessageHub, MMLogger


@pytest.fixture(autouse=True)
def named_instances_and_handlers_are_put_back():
    top = logging.getLogger("eng")
    before = [(kind, dict(kind._instance_dict)) for kind in (MMLogger, MessageHub)]
    handlers, level = list(top.handlers), top.level
    yield
    for kind, instances in before:
        for name, instance in kind._instance_dict.items():
            if kind is MMLogger and name not in instances:
                for handler in instance.handlers:
                    handler.close()
        kind._instance_dict.clear()
        kind._instance_dict.update(instances)
    top.handlers[:] = handlers
    top.setLevel(level)
