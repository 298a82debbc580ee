from __future__ import annotations

import pytest

from eng.registry import RUNNERS


def test_runner_that_nobody_registered() -> None:
    with pytest.raises(KeyError, match=r"'Runr' is not in the \w+::runner registry"):
        RUNNERS.build(dict(runner_type="Runr"))
    with pytest.raises(TypeError, match="cfg must be a mapping"):
        RUNNERS.build(3)


def test_slip_of_a_short_name_is_near(tree) -> None:
    tree["base"].register_module(name="GPT", module=dict)
    with pytest.raises(KeyError, match="'GTP' is not in the base::model registry.*did you mean 'GPT'?"):
        tree["base"].build(dict(type="GTP"))


def test_names_in_reach_come_before_those_of_other_scopes(tree) -> None:
    for scope, name in (("base", "Resize"), ("alpha", "Resised"), ("beta", "Crop"), ("beta", "torchvision/Crop")):
        tree[scope].register_module(name=name, module=dict)
    with pytest.raises(KeyError, match=r"did you mean 'Resize'\?"):
        tree["beta"].build(dict(type="Resise"))
    with pytest.raises(KeyError, match=r"did you mean 'beta.Crop'\?"):
        tree["alpha"].build(dict(type="Crpo"))
    with pytest.raises(KeyError, match=r"did you mean 'beta.Crop'\?"):
        tree["alpha"].build(dict(type="beta.crop"))
