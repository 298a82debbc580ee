"""For all tests of the repository: property tests do not fail because the machine is busy."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("hypothesis") is not None:  # environments of some packages have none
    from hypothesis import HealthCheck, settings

    # Hypothesis fails a test whose example takes 200 ms, or whose inputs take seconds to draw: two cores with ten
    # processes do both.
    settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy machine")
