"""The room: what a request may ask of a learner's code, and how what it raises is described."""

from __future__ import annotations

import asyncio
import marshal
import sys
import textwrap
from typing import Any

import pytest
import torch

from grader.sandbox import wire
from grader.sandbox.modules import Blocked, Source
from grader.sandbox.wire import Handle
from grader.sandbox.worker import (
    MAX_FRAMES,
    MAX_HANDLES,
    MAX_TEXT,
    Room,
    describe,
    forbidden,
    local_room,
    unwritten,
)

CODE = """
    import random, sys, torch
    table = {"a": 1}
    class Net(torch.nn.Module):
        def __init__(self, width=2):
            super().__init__()
            self.line = torch.nn.Linear(width, width, bias=False)
        def forward(self, x):
            return self.line(x)
    def double(x, times=2): return x * times
    def draw(): return random.random(), torch.rand(1).item()
    def spoil(x): x += 1; return x
    def many(n): return [object() for _ in range(n)]
    def endless():
        while True: yield 0
"""


class Desk:
    """Asks a room in this process, as the judge would."""

    def __init__(self, code: str):
        self.room: Room = local_room(
            [Source("ch5.it", "ch5/it.py", textwrap.dedent(code))], "ch5.it"
        )
        self.count = 0

    def reply(
        self, op: str, on: Any = None, name: str | None = None, *args: Any, **more: Any
    ) -> Any:
        self.count += 1
        request = {"id": self.count, "op": op, "on": on, "name": name, "args": args, **more}
        reply = wire.decode(self.room.answer(wire.encode(request)))
        assert reply["id"] == self.count
        return reply

    def ask(self, *request: Any, **more: Any) -> Any:
        return self.reply(*request, **more)["value"]

    def raised(self, *request: Any) -> Any:
        return self.reply(*request)["raised"]


@pytest.fixture
def desk() -> Desk:
    return Desk(CODE)


# ---- each request


def test_get_gives_data_as_data(desk):
    assert desk.ask("get", None, "table") == {"a": 1}


def test_get_gives_what_is_no_data_as_a_handle_that_names_its_type(desk):
    assert desk.ask("get", None, "Net").type == "type"
    assert desk.ask("call", None, "Net").type == "Net"
    assert desk.ask("library", None, "torch.nn").type == "module"
    assert desk.ask("get", desk.ask("call", None, "Net"), "line").type.endswith("linear.Linear")


def test_call_takes_arguments_by_place_and_by_name(desk):
    assert desk.ask("call", None, "double", 4, kwargs={"times": 3}) == 12


def test_call_on_a_handle_calls_the_object(desk):
    net = desk.ask("call", None, "Net", 3)
    assert desk.ask("call", net, None, torch.ones(5, 3)).shape == (5, 3)


def test_call_on_a_handle_by_name_calls_its_method(desk):
    net = desk.ask("call", None, "Net", 3)
    assert list(desk.ask("call", net, "state_dict")) == ["line.weight"]


def test_a_handle_may_be_an_argument(desk):
    net = desk.ask("call", None, "Net")
    assert desk.ask("call", None, "double", [net, 1], kwargs={"times": 1})[0].type == "Net"


def test_set_sets_an_attribute(desk):
    net = desk.ask("call", None, "Net")
    desk.ask("set", net, "training", False)
    assert desk.ask("get", net, "training") is False


def test_item_and_put_read_and_write_an_item(desk):
    layers = desk.ask("get", desk.ask("library", None, "torch.nn"), "ModuleDict")
    made = desk.ask("call", layers, None)
    desk.ask("put", made, None, "a", desk.ask("call", None, "Net"))
    assert desk.ask("item", made, None, "a").type == "Net"


def test_items_are_those_of_any_iterable_up_to_a_limit(desk):
    net = desk.ask("call", None, "Net")
    assert len(desk.ask("items", desk.ask("call", net, "parameters"))) == 1
    assert len(desk.ask("items", desk.ask("call", None, "endless"))) == 100_000


def test_length_is_that_of_the_object(desk):
    nn = desk.ask("library", None, "torch.nn")
    assert desk.ask("length", desk.ask("call", nn, "ParameterList", [1, 2, 3])) == 3


def test_library_gives_a_module_of_the_submission_or_a_real_one(desk):
    assert desk.ask("get", desk.ask("library", None, "ch5.it"), "table") == {"a": 1}
    assert desk.ask("call", desk.ask("library", None, "math"), "sqrt", 9.0) == 3.0


def test_a_probe_is_given_the_module_and_the_arguments(desk):
    def probe(m, x):
        return m.double(torch.full((2,), x))

    code = marshal.dumps(probe.__code__)
    assert desk.ask("probe", None, None, 3.0, code=code).tolist() == [6.0, 6.0]


def test_seed_starts_every_source_of_chance_at_the_same_place(desk):
    draws = []
    for _ in range(2):
        desk.ask("seed", None, None, 5)
        draws.append(desk.ask("call", None, "draw"))
    assert draws[0] == draws[1]


def test_another_seed_gives_other_draws(desk):
    draws = []
    for number in (5, 6):
        desk.ask("seed", None, None, number)
        draws.append(desk.ask("call", None, "draw"))
    assert draws[0][0] != draws[1][0]
    assert draws[0][1] != draws[1][1]


def test_what_is_sent_is_a_copy(desk):
    x = torch.zeros(2)
    assert desk.ask("call", None, "spoil", x).tolist() == [1.0, 1.0]
    assert x.tolist() == [0.0, 0.0]


# ---- requests that fail


def test_a_request_that_there_is_not_is_told(desk):
    assert desk.raised("dance")["type"] == "WireError"


def test_bytes_that_are_no_request_are_told(desk):
    assert wire.decode(desk.room.answer(b"\xc1"))["raised"]["type"] == "WireError"


def test_a_handle_that_was_never_given_is_told(desk):
    request = {"id": 1, "op": "get", "on": Handle(99, "Net"), "name": "line"}
    assert wire.decode(desk.room.answer(wire.encode(request)))["raised"]["type"] == "WireError"


def test_more_objects_than_have_numbers_do_not_travel(desk):
    assert "objects" in desk.raised("call", None, "many", MAX_HANDLES + 1)["message"]


def test_an_answer_that_is_too_large_is_told(desk):
    assert "does not travel" in desk.raised("call", None, "double", "x", wire.MAX_FRAME)["message"]


# ---- what the learner's code raises


def raised_by(body: str) -> Any:
    return Desk("def f():\n" + textwrap.indent(textwrap.dedent(body), "    ")).raised(
        "call", None, "f"
    )


def test_an_exception_is_described_by_its_type_bases_and_message():
    said = raised_by("raise KeyError('lost')")
    assert (said["type"], said["message"]) == ("KeyError", "'lost'")
    assert said["bases"] == ["LookupError", "Exception", "BaseException"]


def test_a_traceback_holds_the_lines_of_the_learner_and_no_other():
    said = raised_by(
        "import torch\ndef deep(): return torch.ones(2) @ torch.ones(3)  # here\ndeep()"
    )
    places = [(path, line, function) for path, line, function, *_ in said["frames"]]
    assert places == [("ch5/it.py", 4, "f"), ("ch5/it.py", 3, "deep")]
    assert said["frames"][-1][3].endswith("# here")


def test_a_recursion_without_end_is_told_with_its_last_lines():
    said = raised_by("def again(): return again()\nagain()")
    assert said["type"] == "RecursionError"
    assert len(said["frames"]) == MAX_FRAMES


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_an_exception_that_would_end_the_program_does_not_end_the_room(name):
    desk = Desk(f"def f(): raise {name}('bye')\nx = 1")
    assert desk.raised("call", None, "f")["type"] == name
    assert desk.ask("get", None, "x") == 1


@pytest.mark.parametrize("second", ["ValueError", "SystemExit", "RecursionError"])
def test_an_exception_whose_message_cannot_be_made_is_still_told(second):
    said = raised_by(
        f"""
        class Mute(Exception):
            def __str__(self): raise {second}
        raise Mute
        """
    )
    assert said["type"] == "Mute"
    assert second in said["message"]


def test_a_long_message_is_cut():
    assert len(raised_by("raise ValueError('x' * 10**6)")["message"]) == MAX_TEXT


@pytest.mark.both_backends
def test_a_syntax_error_is_told_where_it_stands(jailed):
    said = jailed("x = 1\ndef f(:\n").reply["raised"]
    assert said["type"] == "SyntaxError"
    assert said["frames"] == [["ch5/it.py", 2, "", "def f(:", [6, 7], []]]


# ---- what is still to be written

BLANK = "raise NotImplementedError"


@pytest.mark.parametrize(
    "body",
    [
        BLANK,
        '"""What to do."""\n' + BLANK,
        f"# Step 1: think.\n{BLANK}  # Step 2: write",
        'raise NotImplementedError("write me")',
        "raise NotImplementedError()",
        "'''Only quotes.'''\n# and a comment\nraise NotImplementedError('x')",
    ],
)
def test_a_body_of_words_alone_is_unwritten(body):
    text = "def f(x):\n" + textwrap.indent(body, "    ") + "\n"
    assert unwritten(text, ["f"]) == ["f"]


@pytest.mark.parametrize(
    "body",
    [
        f"x = 1\n{BLANK}",
        "return None",
        "pass",
        "...",
        f"if x: {BLANK}",
        "raise ValueError",
        "raise",
        '"""Words."""',
        f"{BLANK}\nreturn x",
    ],
)
def test_a_body_that_does_anything_else_is_written(body):
    assert unwritten("def f(x):\n" + textwrap.indent(body, "    ") + "\n", ["f"]) == []


def test_methods_and_coroutines_are_looked_at_too():
    text = (
        f"class A:\n  async def f(self): {BLANK}\n  def g(self): return 1\nasync def h(): {BLANK}\n"
    )
    assert unwritten(text, ["A.f", "A.g", "h"]) == ["A.f", "h"]


def test_a_function_of_the_same_name_in_another_place_does_not_count():
    text = f"""
class A:
    class B:
        def f(self): {BLANK}
    def f(self): return 1
def outer():
    def f(): {BLANK}
"""
    assert unwritten(text, ["A.f", "f"]) == []


def test_the_last_of_two_definitions_counts_as_in_python():
    assert unwritten(f"def f(): {BLANK}\ndef f(): return 1\n", ["f"]) == []


def test_a_blank_that_is_not_there_is_not_unwritten():
    assert unwritten("x = 1\n", ["f"]) == []


def test_blanks_are_told_in_the_order_of_the_exercise():
    assert unwritten(f"def a(): {BLANK}\ndef b(): {BLANK}\n", ["b", "a"]) == ["b", "a"]


# ---- how a submission is admitted


@pytest.mark.both_backends
def test_a_submission_that_loads_is_loaded(jailed):
    reply = jailed("def f(): return 1", blanks=("f",), names=("f",)).reply
    assert reply == {"state": "loaded", "unwritten": [], "missing": []}


@pytest.mark.both_backends
def test_a_stub_is_untouched_and_is_not_run(jailed):
    worker = jailed(f"print('run')\ndef f(): {BLANK}", blanks=("f",), names=("f",))
    assert worker.reply["state"] == "untouched"
    assert worker.output.text() == ""


@pytest.mark.both_backends
def test_a_half_written_submission_is_loaded_and_says_what_is_left(jailed):
    code = f"def f(): {BLANK}\ndef g(): return 1"
    reply = jailed(code, blanks=("f", "g"), names=("f", "g")).reply
    assert (reply["state"], reply["unwritten"]) == ("loaded", ["f"])


@pytest.mark.both_backends
def test_names_that_a_submission_lacks_are_told(jailed):
    assert jailed("def g(): ...", names=("f", "g")).reply["missing"] == ["f"]


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import ch5.gone", "ModuleNotFoundError"),
        ("import happyllm", "Blocked"),
        ("x = '\\0'\n\0", "SyntaxError"),
    ],
)
def test_a_submission_that_raises_as_it_loads_is_described(jailed, code, kind):
    reply = jailed(code).reply
    assert reply["state"] == "raised"
    assert reply["raised"]["type"] == kind


def test_a_coroutine_comes_back_as_a_handle(desk):
    assert asyncio.iscoroutinefunction(Desk("async def f(): ...").room.modules["ch5.it"].f)
    handle = Desk("async def f(): ...\nclass A: run = f").ask("get", None, "f")
    assert handle.type == "function"


def test_a_room_in_this_process_leaves_no_module_behind():
    Desk(CODE)
    assert "ch5.it" not in sys.modules


def test_what_is_forbidden_for_a_while_is_there_again_afterwards() -> None:
    before = torch.nn.RMSNorm
    with forbidden(["torch.nn.RMSNorm", "torch.nn.OfAnotherVersion"]):
        with pytest.raises(Blocked, match="RMSNorm"):
            torch.nn.RMSNorm(3)
        with pytest.raises(Blocked, match="OfAnotherVersion"):
            torch.nn.OfAnotherVersion()
    assert torch.nn.RMSNorm is before
    assert not hasattr(torch.nn, "OfAnotherVersion")


def test_an_exception_that_hides_its_traceback_is_told_without_it() -> None:
    class Hiding(ValueError):
        __traceback__ = property(lambda self: "nothing to see here")

    told = describe(Hiding("hidden"), {"ch9/it.py": ""})
    assert (told["type"], told["message"], told["frames"]) == ("Hiding", "hidden", [])
