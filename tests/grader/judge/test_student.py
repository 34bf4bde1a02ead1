"""The student fixture: a learner's file as a suite sees it, and what can go wrong on the way."""

from __future__ import annotations

import time

import pytest
import torch

from grader.judge.student import (
    BadAnswer,
    Died,
    LocalBackend,
    OutOfMemory,
    Output,
    Raised,
    Remote,
    Student,
    TimedOut,
    open_worker,
    origin,
    portable,
    raised,
)
from grader.sandbox.jail import Limits
from grader.sandbox.modules import Source
from grader.sandbox.spawned import SpawnLease
from grader.sandbox.wire import WireError, decode, encode, frame
from grader.sandbox.worker import local_room

CODE = """
import random, time, torch
table = {"a": [1, 2.5, None], "b": (True, "x")}
class Net(torch.nn.Module):
    kind = "net"
    def __init__(self, width=2):
        super().__init__()
        self.line = torch.nn.Linear(width, width, bias=False)
        self.layers = torch.nn.ModuleList([self.line, torch.nn.ReLU()])
    def forward(self, x, *, scale=1.0):
        return self.line(x) * scale
def double(x, times=2): return x * times
def width(net): return net.line.weight.shape[0]
def spoil(x): x.zero_()
def draw(): return random.random(), torch.rand(1).item()
def fail(): raise LookupError("lost")
def hungry(): return torch.empty(1 << 40)
def narrow(x): return 1 + (x @ x)
def normalize(x):
    size = x.norm()
    return x / size
"""


@pytest.fixture(scope="module")
def spawned(tmp_path_factory):
    """One spawned worker for all, since it has to import torch."""
    lease = SpawnLease(str(tmp_path_factory.mktemp("scratch")))
    backend = open_worker(lease, Limits(), 120.0, Output(1000))
    module = ["ch5.it", "ch5/it.py", CODE]
    order = {"modules": [module], "target": "ch5.it", "blanks": [], "names": [], "seed": 1}
    assert decode(backend.ask(encode(order)))["state"] == "loaded"
    yield backend
    backend.close()
    lease.close()


@pytest.fixture(params=["worker", "spawned", "in process"])
def student(request):
    if request.param == "worker":
        return request.getfixturevalue("jailed")(CODE).student
    if request.param == "spawned":
        return Student(request.getfixturevalue("spawned"), (), "ch5/it.py")
    return Student(
        LocalBackend(local_room([Source("ch5.it", "ch5/it.py", CODE)], "ch5.it")), (), ""
    )


# ---- names, calls, attributes, items


def test_a_name_that_is_data_is_data(student):
    assert student.table == {"a": [1, 2.5, None], "b": (True, "x")}


def test_a_function_is_called_with_arguments_by_place_and_by_name(student):
    assert student.double(torch.ones(2), times=3).tolist() == [3.0, 3.0]


def test_a_name_that_is_not_there_raises_what_python_raises(student):
    with pytest.raises(Raised) as caught:
        _ = student.nothing
    assert caught.value.type == "AttributeError"


def test_an_object_stays_in_the_room_and_can_be_called(student):
    net = student.Net(3)
    assert isinstance(net, Remote)
    assert net(torch.ones(5, 3), scale=2.0).shape == (5, 3)


def test_an_object_names_its_type(student):
    assert repr(student.Net()) == "<Net>"


def test_attributes_of_an_object_are_read_and_set(student):
    net = student.Net()
    net.kind = "other"
    assert (net.kind, student.Net().kind) == ("other", "net")


def test_a_state_is_loaded_into_an_object(student):
    net, weight = student.Net(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    net.load_state_dict({"line.weight": weight, "layers.0.weight": weight})
    assert torch.equal(net.state_dict()["line.weight"], weight)
    assert net(torch.tensor([1.0, 0.0])).tolist() == [1.0, 3.0]


def test_objects_have_items_a_length_and_an_order(student):
    layers = student.Net().layers
    assert len(layers) == 2
    assert [repr(layer) for layer in layers] == [repr(layers[0]), repr(layers[1])]
    layers[1] = layers[0]
    assert repr(layers[1]) == repr(layers[0])


def test_an_object_may_be_an_argument(student):
    assert student.width(student.Net(7)) == 7


def test_an_exception_arrives_with_its_type_bases_message_and_lines(student):
    with pytest.raises(Raised) as caught:
        student.fail()
    error = caught.value
    assert (error.type, error.message, str(error)) == ("LookupError", "lost", "LookupError: lost")
    assert error.is_a("Exception")
    assert not error.is_a("KeyError")
    assert [(one.file, one.function) for one in error.frames] == [("ch5/it.py", "fail")]


def test_memory_that_is_not_there_is_told_as_such(student):
    with pytest.raises(OutOfMemory):
        student.hungry()


def test_what_a_suite_may_not_send_is_refused_before_it_is_sent(student):
    with pytest.raises((TypeError, WireError)):
        student.double(object())


def test_arguments_are_copies(student):
    x = torch.ones(3)
    student.spoil(x)
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_what_was_asked_is_kept_as_it_was_sent(student):
    x, parts = torch.ones(3), {"a": [torch.zeros(2)]}
    student.double(x)
    student.run(lambda m, parts: None, parts)
    x.add_(5)
    parts["a"][0].add_(5)
    called, ran = student._log[-2:]
    assert called.args[0].tolist() == [1.0, 1.0, 1.0]
    assert ran.args[0]["a"][0].tolist() == [0.0, 0.0]


def test_an_exception_arrives_with_what_failed_in_its_line(student):
    with pytest.raises(Raised) as caught:
        student.narrow(torch.ones(2, 3))
    (frame,) = caught.value.frames
    assert frame.text[slice(*frame.span)] == "x @ x"
    assert [(one.name, one.text) for one in frame.variables] == [("x", "float32[2, 3]")]


def test_a_nan_is_traced_to_its_line(student):
    student.normalize(torch.zeros(2))
    found = origin(student, student._log[-1], "nan")
    assert (found.value, found.operation, found.frame.text) == ("nan", "/", "return x / size")


def test_a_nan_of_an_object_of_the_room_is_traced_too(student):
    net = student.Net()
    net(torch.ones(2), scale=float("inf"))
    assert net(torch.zeros(2), scale=float("inf")).isnan().all()
    found = origin(student, student._log[-1], "nan")
    assert (found.operation, found.frame.function) == ("*", "forward")


def test_tracing_is_not_heard_and_takes_no_time_of_the_tests(jailed):
    code = "import time\ndef f(x):\n    print('here')\n    time.sleep(0.3)\n    return x / x"
    jail = jailed(code, time_s=5.0)
    student = jail.student
    student.f(torch.zeros(1))
    left = jail.backend.left_s
    assert origin(student, student._log[-1], "nan").operation == "/"
    assert jail.backend.left_s == left
    assert jail.output.text() == "here\n"
    student.f(torch.zeros(1))
    assert jail.output.text() == "here\nhere\n"


def test_tracing_what_never_ends_the_second_time_is_given_up(jailed):
    code = "calls = []\ndef f(x):\n calls.append(1)\n while len(calls) > 1: pass\n return x / x"
    student = jailed(code).student
    student.f(torch.zeros(1))
    assert origin(student, student._log[-1], "nan") is None


def test_a_worker_that_is_gone_traces_nothing(jailed):
    jail = jailed("def f(x): return x / x")
    jail.student.f(torch.zeros(1))
    jail.backend.close()
    assert origin(jail.student, jail.student._log[-1], "nan") is None


LIES = """
import sys
witness = sys.modules["grader.sandbox.witness"]
def f(x):
    witness.origin = lambda *_: {lie}
    return x / x
"""


@pytest.mark.parametrize(
    "lie",
    [
        *("3", "[]", "{}", "{'operation': 3, 'value': 'nan'}", "{'operation': 'x'}", "object()"),
        *("{'operation': 'x', 'value': 'passed'}", "{'operation': '', 'value': 'nan'}"),
        *(
            "{'operation': '\\x1b[2J', 'value': 7}",
            "1 / 0",
            "[0] * 10**7",
            "__import__('os')._exit(0)",
        ),
    ],
)
def test_a_lie_about_an_origin_is_left_out(jailed, lie):
    student = jailed(LIES.replace("{lie}", lie)).student
    student.f(torch.zeros(1))
    assert origin(student, student._log[-1], "nan") is None


def test_what_is_told_of_an_origin_is_cut_and_cleaned(jailed):
    lie = "{'value': 'nan', 'operation': '\\x1b[2J' + 'a' * 10**6, 'frame': [3], 'source': 7}"
    student = jailed(LIES.replace("{lie}", lie)).student
    student.f(torch.zeros(1))
    found = origin(student, student._log[-1], "nan")
    assert len(found.operation) <= 80
    assert found.operation.startswith("2Ja")
    assert (found.frame, found.source) == (None, None)


def test_a_library_of_the_room_is_at_hand(student):
    assert student.lib("torch.nn").Linear(4, 3).out_features == 3


def test_a_seed_repeats_what_chance_gave(student):
    student.seed(3)
    first = student.draw()
    student.seed(3)
    assert student.draw() == first


def test_chance_in_the_room_leaves_that_of_the_judge_alone(student):
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    student.seed(99)
    student.draw()
    assert torch.equal(torch.rand(2), expected)


def test_chance_of_the_judge_leaves_that_in_the_room_alone(student):
    student.seed(3)
    first = student.draw()
    student.seed(3)
    torch.rand(5)
    assert student.draw() == first


# ---- probes


def test_a_probe_runs_in_the_room_with_torch_at_hand(student):
    def gradient(m, x):
        x = x.clone().requires_grad_()
        m.double(x).sum().backward()
        return torch.stack([x.grad, x.grad])

    assert student.run(gradient, torch.ones(2)).tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_a_probe_may_hold_functions_classes_and_comprehensions_of_its_own(student):
    def probe(m, n):
        class Pair:
            first = 1
            second = first + 1

        return [m.double(i) for i in range(n)], sorted([3, 1], key=lambda x: -x), Pair.second

    assert student.run(probe, 3) == ([0, 2, 4], [3, 1], 2)


def outside(m):
    return pytest


def nested_outside(m):
    return [Remote for _ in range(3)]


def in_a_lambda(m):
    return (lambda: Remote)()


def with_default(m, x=3):
    return x


def with_keyword_default(m, *, x=3):
    return x


@pytest.mark.parametrize(
    ("probe", "named"),
    [
        *((outside, "pytest"), (nested_outside, "Remote"), (in_a_lambda, "Remote")),
        *((with_default, "default"), (with_keyword_default, "default")),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_probe_that_reaches_outside_itself_is_refused(probe, named):
    with pytest.raises(TypeError, match=named):
        portable(probe)


def test_a_probe_that_closes_over_something_is_refused():
    hidden = 3

    def probe(m):
        return hidden

    with pytest.raises(TypeError, match="hidden"):
        portable(probe)


def test_a_probe_does_not_tell_where_the_suite_lies():
    assert b"test_student" not in portable(plain)


def plain(m):
    return m


# ---- time


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import time; time.sleep(600)",
        "while True:\n  try:\n   while True: pass\n  except BaseException: continue",
        "import signal\n for n in range(1, 30):\n  try: signal.signal(n, signal.SIG_IGN)\n"
        "  except OSError: pass\n while True: pass",
        "import gc; gc.disable(); sum(range(10**15))",
    ],
    ids=["busy", "asleep", "catches all", "ignores signals", "in C"],
)
def test_a_call_without_end_is_ended_at_the_limit(jailed, loop):
    student = jailed(f"def f():\n {loop}", time_s=0.3).student
    with pytest.raises(TimedOut):
        student.f()


def test_the_time_is_that_of_all_calls_together(jailed):
    student = jailed("import time\ndef f(): time.sleep(0.6)", time_s=1.0).student
    student.f()
    with pytest.raises(TimedOut):
        student.f()


def test_the_judge_may_take_its_time_between_calls(jailed):
    student = jailed("def f(): return 1", time_s=1.0).student
    student.f()
    time.sleep(1.2)
    assert student.f() == 1


def test_a_worker_that_is_ended_answers_no_more(jailed):
    student = jailed("import os\ndef f(): os._exit(1)\ndef g(): return 1").student
    with pytest.raises(Died):
        student.f()
    with pytest.raises(BadAnswer):
        student.g()


# ---- what is printed


def test_what_is_printed_is_kept_to_the_limit_and_counted_beyond(jailed):
    jail = jailed("def f(): print('x' * 99, flush=True)", output_bytes=60)
    jail.student.f()
    assert (jail.output.text(), jail.output.dropped) == ("x" * 60, 40)


def test_a_gigabyte_of_output_is_bounded(jailed):
    code = """
    import os
    def f():
        for _ in range(1024):
            os.write(1, bytes(1 << 20))
        return 7
    """
    jail = jailed(code, output_bytes=1000)
    assert jail.student.f() == 7
    assert len(jail.output.kept) == 1000
    assert jail.output.dropped == (1 << 30) - 1000


def test_output_that_is_no_text_is_shown_all_the_same(jailed):
    jail = jailed("import os\ndef f(): os.write(2, b'a\\xff')")
    jail.student.f()
    assert jail.output.text() == "a\ufffd"


def test_closing_the_standard_streams_does_no_harm(jailed):
    code = "import os, sys\ndef f():\n sys.stdout.close(); os.close(1); os.close(2); return 1"
    student = jailed(code).student
    assert [student.f(), student.lib("math").pi > 3] == [1, True]


# ---- answers that are forged

FORGE = """
import os, socket, torch
from grader.sandbox import wire
def say(value): os.write(3, wire.frame(wire.encode(value)))
def shout(data): os.write(3, data)
def f(): return 1
"""


@pytest.mark.parametrize(
    "body",
    [
        "say({'id': 2, 'value': 42})",
        "say({'id': 1, 'value': 42})",
        "say({'id': True, 'value': 42})",
        "say({'id': torch.ones(3), 'value': 42})",
        "say({'value': 42})",
        "say([1, 2])",
        "say('42')",
        "shout(wire.frame(b'\\xc1'))",
        "shout(b'\\xff\\xff\\xff\\xff')",
        "shout(wire.frame(b'') + b'xx')",
        "[say({'id': i, 'value': 42}) for i in range(20)]",
    ],
)
def test_an_answer_that_is_not_the_rooms_does_not_count(jailed, body):
    student = jailed(f"{FORGE}\ndef g():\n    {body}\n    return 1").student
    with pytest.raises(BadAnswer):
        [(student.g(), student.f()) for _ in range(3)]


def test_an_answer_without_a_value_does_not_count(jailed):
    code = f"{FORGE}\ndef g():\n    say({{'id': 2}}); os._exit(0)"
    with pytest.raises(BadAnswer):
        jailed(code).student.g()


@pytest.mark.parametrize(
    "said",
    [{}, {"type": 3, "bases": 4, "message": 5, "frames": 6}, {"frames": [[1], "x", None]}],
)
def test_an_exception_that_is_badly_described_is_still_one(said):
    assert raised(said) == Raised("Exception", (), "", ())


@pytest.mark.parametrize("said", [None, 3, "ValueError"])
def test_an_exception_that_is_not_described_does_not_count(said):
    assert isinstance(raised(said), BadAnswer)


def test_a_message_to_a_worker_that_does_not_listen_ends_with_the_time(jailed):
    code = "import os, time\ndef f(x): time.sleep(600)"
    with pytest.raises(TimedOut):
        jailed(code, time_s=0.5).student.f(torch.zeros(1 << 22))


def test_an_abort_is_told_as_one(jailed):
    with pytest.raises(Died) as caught:
        jailed("import os\ndef f(): os.abort()").student.f()
    assert str(caught.value) == "signal 6, Aborted"


def test_a_fault_is_told_as_one(jailed):
    with pytest.raises(Died) as caught:
        jailed("import ctypes\ndef f(): ctypes.string_at(0)").student.f()
    assert str(caught.value) == "signal 11, Segmentation fault"


@pytest.mark.parametrize(
    "told",
    [
        *(
            [[-1, 2], []],
            [[2, 1], []],
            [[0, 99], []],
            [[0], []],
            ["x", []],
            [None, "x"],
            [[0, True]],
        ),
        *([None, [["a"]]], [None, [["a", 3]]], [None, [[1, "b"]]], [None, [None]], [3], [1, 2, 3]),
    ],
    ids=str,
)
def test_a_line_that_is_badly_described_is_shown_without(told):
    said = {"type": "ValueError", "frames": [["ch5/it.py", 1, "f", "return x", *told]]}
    (frame,) = raised(said).frames
    assert (frame.text, frame.span, frame.variables) == ("return x", None, ())


def test_what_is_told_of_a_line_is_bounded():
    many = [["n" * 10_000, "t" * 10_000]] * 10_000
    said = {"frames": [["ch5/it.py", 1, "f", "x" * 10_000, [0, 3], many]] * 1000}
    frames = raised(said).frames
    assert len(frames) == 12
    assert {len(frame.variables) for frame in frames} == {8}
    assert max(len(one.text) + len(one.name) for one in frames[0].variables) <= 160


def test_how_a_worker_died_is_told_in_words():
    assert str(Died(0, 11)) == "signal 11, Segmentation fault"
    assert str(Died(3, 0)) == "exit status 3"


def test_every_signal_has_words():
    assert all(str(number) in str(Died(0, number)) for number in range(1, 65))


def test_the_frames_of_the_wire_are_bounded(jailed):
    with pytest.raises(BadAnswer):
        jailed(f"{FORGE}\ndef g(): shout({(1 << 30).to_bytes(4, 'big')!r})").student.g()
    assert frame(encode(1)) == b"\0\0\0\x01\x01"
