from __future__ import annotations

import sys
from pathlib import Path

# models.py is shared by the tests of this folder, which importlib mode does not put on the path.
sys.path.insert(0, str(Path(__file__).parent))
