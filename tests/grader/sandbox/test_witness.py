"""What is seen of a learner's code: what the names in a line stand for, and what made the NaN."""

from __future__ import annotations

import sys

import pytest
import torch

from grader.sandbox import witness
from grader.sandbox.modules import Source
from grader.sandbox.worker import describe, local_room


def told(line, **local):
    """What the names in a line stand for, in a frame of these local variables."""
    names = ", ".join(local)
    scope = {"sys": sys}
    exec(f"def f({names}):\n    return sys._getframe()", scope)
    return dict(witness.variables(scope["f"](**local), line))


# ---- names


def test_tensors_are_told_by_dtype_and_shape():
    x = torch.zeros(2, 3, dtype=torch.bfloat16)
    assert told("return x @ x.T", x=x) == {"x": "bfloat16[2, 3]"}


def test_numbers_and_shapes_are_told_as_they_are():
    given = {"B": 2, "shape": torch.Size([2, 3]), "p": 0.5, "mask": None}
    assert told("x.view(B, p, mask, *shape)", **given) == {
        "B": "2",
        "p": "0.5",
        "mask": "None",
        "shape": "(2, 3)",
    }


def test_only_the_names_in_the_line_are_told():
    assert told("y = x + 1  # and z", x=1, y=2, z=3) == {"y": "2", "x": "1"}


def test_what_stands_in_a_text_is_no_name():
    assert told("d['x'] + \"x\"", x=1) == {}


def test_attributes_are_told_where_they_are_stored():
    layer = torch.nn.Module()
    layer.n_heads, layer.wq = 4, torch.nn.Linear(8, 6, bias=False)
    found = told("self.wq(x).view(self.n_heads)", self=layer, x=torch.zeros(3, 8))
    assert found == {
        "self.wq": "Linear(in_features=8, out_features=6, bias=False)",
        "x": "float32[3, 8]",
        "self.n_heads": "4",
    }


def test_a_shape_that_is_asked_for_tells_the_tensor():
    assert told("B, T = x.shape", x=torch.zeros(2, 3, 4)) == {"x": "float32[2, 3, 4]"}


def test_no_code_of_the_learner_runs_for_it():
    class Loud:
        def __getattr__(self, name):
            raise AssertionError(name)

        def __repr__(self):
            raise AssertionError

        @property
        def size(self):
            raise AssertionError

    assert told("x.size + x", x=Loud()) == {}


def test_it_stays_short():
    given = {f"x{n}": "y" * 10_000 for n in range(100)}
    found = told(" + ".join(given), **given)
    assert len(found) <= witness.MAX_VARIABLES
    assert max(map(len, found.values())) <= witness.MAX_VARIABLE


def raised(code, call="f()"):
    room = local_room([Source("ch5.it", "ch5/it.py", code)], "ch5.it")
    try:
        exec(call, vars(room.modules["ch5.it"]))
    except Exception as error:
        return describe(error, room.sources)["frames"]
    raise AssertionError("nothing was raised")


def test_an_exception_tells_what_failed_in_the_line_and_the_shapes():
    code = "import torch\ndef f(x, y):\n    z = 1 + (x @ y).sum()\n"
    (frame,) = raised(code, "f(torch.ones(2, 3), torch.ones(2, 3))")
    *_, text, span, names = frame
    assert text[slice(*span)] == "x @ y"
    assert dict(names) == {"x": "float32[2, 3]", "y": "float32[2, 3]"}


def test_a_place_in_a_line_is_counted_in_characters():
    (frame,) = raised("def f():\n    s = '头头头'; return s.lost\n")
    assert frame[3][slice(*frame[4])] == "s.lost"


def test_only_the_innermost_frames_tell_what_their_names_stand_for():
    code = "def f(n):\n    return f(n - 1) if n else 1 / n\n"
    frames = raised(code, "f(50)")
    assert [bool(frame[5]) for frame in frames] == [False] * (len(frames) - 3) + [True] * 3


def test_a_syntax_error_tells_its_place_in_the_line():
    with pytest.raises(SyntaxError) as caught:
        compile("def f(x):\n    return x x\n", "ch5/it.py", "exec")
    frames = describe(caught.value, {"ch5/it.py": ""})["frames"]
    assert frames[0][3][slice(*frames[0][4])].startswith("x")


# ---- the first NaN


def origin(body, wanted="nan", *args):
    code = f"import torch\nimport torch.nn.functional as F\ndef f(x):\n{body}"
    room = local_room([Source("ch5.it", "ch5/it.py", code)], "ch5.it")
    function = room.modules["ch5.it"].f
    return witness.origin(lambda: function(*(args or (torch.zeros(3),))), room.sources, wanted)


def test_the_first_operation_that_makes_a_nan_is_found_with_its_line():
    found = origin("    y = x + 1\n    z = y * (x / x)\n    return z.exp()\n")
    assert (found["operation"], found["frame"][:2]) == ("/", ["ch5/it.py", 5])
    assert found["frame"][3] == "z = y * (x / x)"
    assert found["source"] is None


def test_the_infinity_that_a_nan_was_made_of_is_traced_too():
    found = origin("    r = torch.rsqrt(x)\n    return x * r\n")
    assert (found["operation"], found["frame"][1]) == ("*", 5)
    assert (found["source"]["operation"], found["source"]["frame"][1]) == ("torch.rsqrt", 4)


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        ("F.softmax(torch.full((2,), -torch.inf), 0)", "F.softmax"),
        ("x.masked_fill(x == 0, -torch.inf).softmax(-1)", ".softmax()"),
        ("torch.log(x - 1)", "torch.log"),
        ("(x - 1).sqrt()", ".sqrt()"),
        ("(x.exp() * 1e38 * 1e38) @ x", "@"),
    ],
)
def test_an_operation_is_named_as_one_writes_it(body, operation):
    assert origin(f"    return {body}\n")["operation"] == operation


def test_what_was_in_memory_or_was_handed_in_is_no_finding():
    assert origin("    return torch.empty(1000).fill_(0).log().exp()\n") is None
    assert origin("    return x * 2\n", "nan", torch.full((3,), torch.nan)) is None


def test_an_infinity_that_was_asked_for_is_no_finding():
    found = origin("    y = x.masked_fill(x == 0, -torch.inf)\n    return 1 / x\n", "inf")
    assert found["frame"][1] == 5


def test_a_nan_of_the_backward_pass_is_told_as_such():
    body = "    x = x.clone().requires_grad_()\n    (x.sqrt() * 0).sum().backward()\n"
    found = origin(body)
    assert (found["operation"], found["frame"]) == ("torch.sqrt", None)


def test_an_exception_on_the_way_ends_the_search():
    assert origin("    return x.lost\n") is None
