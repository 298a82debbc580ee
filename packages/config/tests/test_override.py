from __future__ import annotations

import copy
from typing import Any

import pytest

from eng.config import Config

BASE = dict(a=dict(b=[1, 2, 3], d=dict(e=1)), l=[dict(x=1), dict(x=2)], t=(dict(x=1), 2), n=None, empty=[], one=[1])


@pytest.mark.parametrize(
    ("options", "lists", "kind", "match"),
    [
        ({"l.5.x": 1}, True, KeyError, "no item 5 in a list of"),
        ({"l.0.x": 1}, False, TypeError, "l: a dict cannot be merged onto a list"),
        ({"a.b": dict(z=1)}, True, TypeError, "a.b: 'z' is not an index of a list; use 0 to 2"),
        (
            {"empty": dict(z=1)},
            True,
            TypeError,
            "empty: 'z' is not an index of a list, which is empty; give a list, or",
        ),
        ({"empty.0": 1}, True, KeyError, "empty: there is no item 0 in an empty list"),
        ({"one": dict(z=1)}, True, TypeError, "'z' is not an index of a list; use 0, or add _delete_=True"),
        ({"a.d.e.f": 1}, True, TypeError, "a.d.e: a dict cannot be merged onto a int.*_delete_=True"),
        ({"n.x": 1}, True, TypeError, "n: a dict cannot be merged onto None"),
        ({"q": 1, "q.r": 2}, True, TypeError, "'q.r' needs a dict, but another option sets it to 1"),
    ],
    ids=[
        "index",
        "lists-off",
        "no-index",
        "no-index-of-none",
        "index-of-none",
        "no-index-of-one",
        "scalar",
        "none",
        "contradiction",
    ],
)
def test_wrong_overrides_change_nothing(
    options: dict[str, Any], lists: bool, kind: type[Exception], match: str
) -> None:
    cfg = Config(copy.deepcopy(BASE))
    with pytest.raises(kind, match=match):
        cfg.merge_from_dict({"first": 100, **options}, allow_list_keys=lists)
    assert cfg.to_dict() == BASE
