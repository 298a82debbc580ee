"""What several tests of this folder share."""

from __future__ import annotations

STEER = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
