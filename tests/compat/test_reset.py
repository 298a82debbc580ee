from __future__ import annotations

from bridge_parts import ALIAS, run


def test_global_state_is_forgotten_and_log_files_are_closed(tmp_path) -> None:
    out = run(
        ALIAS
        + """
import sys
from mmengine.logging import MMLogger, MessageHub
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
logger = MMLogger.get_instance("one", log_file=sys.argv[1])
MessageHub.get_instance("one"), Visualizer.get_instance("one"), DefaultScope.get_instance("one", scope_name="mmdet")
handlers = list(logger.handlers)
eng.compat.reset_global_state()
kinds = (MMLogger, MessageHub, Visualizer, DefaultScope)
print([kind.check_instance_created("one") for kind in kinds], DefaultScope.get_current_instance(), logger.handlers)
print(all(getattr(handler, "stream", None) is None or handler.stream is sys.stdout for handler in handlers))
""",
        str(tmp_path / "run.log"),
    )
    assert out.splitlines() == ["[False, False, False, False] None []", "True"]
