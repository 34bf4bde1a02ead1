"""One exercise, graded: each way that it can end, and what a learner's code cannot touch."""

from __future__ import annotations

import dataclasses
import random
import sys

import pytest
import torch

from grader.judge.session import (
    claim,
    collect,
    grade_in_process,
    grade_in_worker,
    grade_room,
)
from grader.sandbox.jail import Limits
from grader.sandbox.modules import Source
from grader.sandbox.nursery import Lease
from grader.sandbox.worker import local_room

SUITE = '''
def test_it_doubles(student):
    """Twice as much.

    两倍。
    """
    x = torch.randn(4)
    check.equal(student.double(x), x * 2)


def test_it_halves(student):
    x = torch.randn(4)
    check.equal(student.half(x), x / 2)
'''
HALF = "def half(x): return x / 2\n"
BLANK = "raise NotImplementedError"


def outcomes(graded):
    return [test.outcome for test in graded.tests]


# ---- each outcome


@pytest.mark.both_backends
def test_a_right_answer_passes_and_has_a_record_of_every_test(grade):
    graded = grade(SUITE)
    assert (graded.outcome, graded.points) == ("passed", 5)
    assert [(test.id, test.outcome) for test in graded.tests] == [
        ("test_it_doubles", "passed"),
        ("test_it_halves", "passed"),
    ]


def test_a_report_says_which_isolation_was_in_force(grade):
    assert grade(SUITE, limits=Limits(isolation="landlock")).isolation == "landlock"


@pytest.mark.both_backends
def test_a_wrong_answer_fails_and_shows_the_call(grade):
    graded = grade(SUITE, HALF + "def double(x): return x * 3")
    assert (graded.outcome, graded.points) == ("failed", 0)
    assert outcomes(graded) == ["failed", "passed"]
    assert graded.failure.kind == "values"
    assert graded.failure.call == "double(float32[4])"
    assert [one.name for one in graded.failure.arguments] == ["x"]


@pytest.mark.both_backends
def test_an_exception_is_an_error_told_with_its_line(grade):
    graded = grade(SUITE, HALF + "def double(x):\n    return x.lost")
    assert graded.outcome == "error"
    assert "AttributeError" in graded.failure.message.en
    assert graded.failure.message.en.endswith("(line 3).")
    assert [frame.text for frame in graded.failure.frames] == ["return x.lost"]


def test_a_loop_without_end_is_a_timeout(grade):
    graded = grade(SUITE, HALF + "def double(x):\n while True: pass", time_s=0.5)
    assert graded.outcome == "timeout"
    assert "0.5 s" in graded.failure.message.en


@pytest.mark.both_backends
def test_a_loop_without_end_at_the_top_of_the_file_is_a_timeout(grade):
    assert grade(SUITE, "while True: pass", time_s=0.5).outcome == "timeout"


def test_too_much_memory_is_told_with_the_limit(grade):
    code = HALF + "import torch\ndef double(x): return torch.zeros(1 << 40)"
    graded = grade(SUITE, code, limits=Limits(memory_bytes=300 << 20))
    assert graded.outcome == "memory"
    assert "300 MiB" in graded.failure.message.en


@pytest.mark.both_backends
@pytest.mark.parametrize("line", ["import happyllm", "from solutions.ch9 import it"])
def test_reaching_for_the_answers_is_blocked(grade, line):
    graded = grade(SUITE, f"{line}\n{HALF}def double(x): return x * 2")
    assert graded.outcome == "blocked"
    assert "write it yourself" in graded.failure.message.en


@pytest.mark.both_backends
def test_a_stub_is_untouched(grade):
    graded = grade(SUITE, f"def double(x): {BLANK}\ndef half(x): {BLANK}")
    assert graded.outcome == "untouched"
    assert (graded.failure, graded.tests) == (None, ())


def test_what_is_left_to_write_is_told_by_name(grade):
    graded = grade(SUITE, HALF + f"def double(x): {BLANK}")
    assert (graded.outcome, outcomes(graded)) == ("failed", ["failed", "passed"])
    assert graded.failure.kind == "unwritten"
    assert graded.failure.message.en.startswith("double still raises NotImplementedError")


@pytest.mark.both_backends
def test_a_syntax_error_is_told_with_its_place(grade):
    graded = grade(SUITE, "x = 1\ndef double(x:\n")
    assert (graded.outcome, graded.failure.kind) == ("error", "syntax")
    assert graded.failure.message.en.startswith("ch9/it.py:2: SyntaxError")


@pytest.mark.both_backends
def test_a_name_that_is_gone_is_told(grade):
    graded = grade(SUITE, HALF)
    assert (graded.outcome, graded.failure.kind) == ("error", "missing")
    assert "no longer defines double;" in graded.failure.message.en


def test_a_file_that_is_gone_is_told(grade):
    graded = grade(SUITE, files={"ch9/other.py": ""})
    assert (graded.outcome, graded.failure.kind) == ("error", "missing")
    assert "ch9/it.py is not in the workspace" in graded.failure.message.en


@pytest.mark.both_backends
def test_leaving_the_program_is_an_error_with_an_advice(grade):
    graded = grade(SUITE, HALF + "import sys\ndef double(x): sys.exit(0)")
    assert (graded.outcome, graded.failure.kind) == ("error", "exit")


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("end", "kind"), [("os._exit(0)", "exit"), ("os._exit(255)", "exit"), ("os.abort()", "crash")]
)
def test_the_end_of_the_interpreter_is_an_error(grade, end, kind):
    graded = grade(SUITE, HALF + f"import os\ndef double(x): {end}")
    assert (graded.outcome, graded.failure.kind) == ("error", kind)


@pytest.mark.both_backends
def test_after_a_crash_the_next_test_gets_a_worker_of_its_own(grade):
    code = HALF + "import ctypes\ndef double(x): ctypes.string_at(0)"
    assert outcomes(grade(SUITE, code)) == ["error", "passed"]


@pytest.mark.both_backends
def test_after_a_timeout_no_test_gets_more_time(grade):
    graded = grade(SUITE, HALF + "def double(x):\n while True: pass", time_s=0.5)
    assert outcomes(graded) == ["timeout", "timeout"]


# ---- a pass needs proof


@pytest.mark.parametrize(
    "suite",
    [
        "def test_it(student:",
        "import no_such_module",
        "x = 1",
        "def test_it(student, no_such_fixture): ...",
        "def test_it(student): undefined",
        "def test_it(student): student.double(2) and 1 / 0",
        "def test_it(student): student.double(object())",
        "def test_it(student): student.run(lambda m: torch and pytest)",
        "@pytest.mark.skip\ndef test_it(student): ...",
    ],
    ids=["syntax", "import", "empty", "fixture", "name", "zero", "argument", "probe", "skip"],
)
def test_a_broken_suite_is_a_fault_of_the_grader(grade, suite):
    graded = grade(suite)
    assert (graded.outcome, graded.points) == ("fault", 0)
    assert graded.failure.message.en.startswith("The grader itself failed")


def test_a_test_without_a_record_is_a_fault(grade):
    suite = SUITE + "\n\ndef test_last(student):\n    pytest.exit('gone')\n"
    graded = grade(suite)
    assert graded.outcome == "fault"
    assert outcomes(graded)[:2] == ["passed", "passed"]


def test_a_suite_is_not_taken_for_another_of_the_same_name(grade):
    grade(SUITE)
    other = grade("def test_other(student):\n    check.equal(student.double(2), 4)")
    assert [test.id for test in other.tests] == ["test_other"]


def test_a_suite_that_trips_over_an_odd_answer_counts_it_as_wrong(grade):
    suite = "def test_it(student):\n    check.equal(student.double(2) + 1, 5)"
    graded = grade(suite, HALF + "def double(x): return 'four'")
    assert (graded.outcome, graded.failure.kind) == ("failed", "type")
    assert graded.failure.got.text == "'four'"


@pytest.mark.parametrize(
    "odd",
    [
        *("[[[[[[[[[[]]]]]]]]]]", "{10**5000}", "10**5000", "float('nan')", "'\\ud800'", "..."),
        *("object()", "lambda: 1", "b'x' * 10**6", "__import__('torch').ones(3, 3).to_sparse()"),
        *("{1: {2: {3: ()}}}", "type('\\x1b[31m', (), {})()", "range(10**9)", "[None] * 10**6"),
    ],
)
def test_no_answer_is_so_odd_that_the_grader_fails(grade, odd):
    graded = grade(SUITE, HALF + f"def double(x): return {odd}")
    assert graded.outcome in ("failed", "error")
    assert graded.points == 0


def test_an_answer_nested_without_end_is_told(grade):
    code = HALF + "def double(x):\n a = []\n for _ in range(500): a = [a]\n return a"
    assert "nested" in grade(SUITE, code).failure.message.en


def test_an_isolation_that_the_machine_does_not_give_is_a_fault_and_runs_nothing(grade):
    graded = grade(SUITE, "print('ran')", limits=Limits(isolation="landlock+uid"))
    if graded.isolation == "landlock+uid":
        pytest.skip("this machine gives every isolation")
    assert graded.outcome == "fault"
    assert graded.printed is None


# ---- what is forged

FORGE = """
import os, msgpack
from grader.sandbox import wire
def say(value): os.write(3, wire.frame(wire.encode(value)))
def shout(body): os.write(3, wire.frame(body))
def double(x): return x
def half(x): return x
LOADED = {"state": "loaded", "unwritten": [], "missing": []}
"""


@pytest.mark.both_backends
@pytest.mark.parametrize(
    "body",
    [
        "say(LOADED)",
        "say({'state': 'loaded'})",
        "say({'state': 'passed'})",
        "say({'state': ['loaded']})",
        "say({'state': 'loaded', 'unwritten': 3, 'missing': 3})",
        "say({'state': 'raised'})",
        "say({'state': 'raised', 'raised': 3})",
        "say([]); os._exit(0)",
        "shout(b'\\xc1')",
        "os.write(3, b'\\xff' * 100)",
        "say(LOADED); [say({'id': i, 'value': None}) for i in range(50)]",
    ],
)
def test_forging_the_answer_to_the_order_to_load_is_blocked(grade, body):
    graded = grade(SUITE, f"{FORGE}\n{body}\n")
    assert (graded.outcome, graded.points) == ("blocked", 0)


@pytest.mark.parametrize(
    "body",
    [
        "say({'id': 3, 'value': x * 2})",
        "[say({'id': i, 'value': x}) for i in range(9)]",
        "say({'id': 3, 'value': x}); os._exit(0)",
        "os.close(3)",
        "os.dup2(1, 3)",
    ],
)
def test_forging_an_answer_to_a_call_never_passes(grade, body):
    graded = grade(SUITE, f"{FORGE}\ndef double(x):\n    {body}\n    return x\n")
    assert graded.outcome in ("blocked", "failed", "error")
    assert graded.points == 0


def test_answering_in_the_place_of_the_room_gains_nothing(grade):
    code = """
    import socket
    from grader.sandbox import wire
    connection = socket.socket(fileno=3)
    connection.sendall(wire.frame(wire.encode({"state": "loaded", "unwritten": [], "missing": []})))
    while True:
        asked = wire.decode(wire.receive(connection))
        value = wire.Handle(1, "function") if asked["op"] == "get" else asked["args"][0]
        connection.sendall(wire.frame(wire.encode({"id": asked["id"], "value": value})))
    """
    assert outcomes(grade(SUITE, code)) == ["failed", "failed"]


# ---- what stays the judge's own

SEES = HALF + "def double(x):\n    print(x.tolist())\n    return x * 2\n"


def test_the_same_seed_gives_the_same_inputs(grade):
    assert grade(SUITE, SEES).printed.text == grade(SUITE, SEES).printed.text


def test_another_seed_gives_other_inputs(grade):
    assert grade(SUITE, SEES, seed=1).printed.text != grade(SUITE, SEES, seed=2).printed.text


def test_inputs_drawn_from_pythons_own_chance_repeat_too(grade):
    suite = "def test_it(student):\n    check.equal(student.double(n := random.random()), 2 * n)"
    code = HALF + "def double(x):\n    print(x)\n    return x * 2\n"
    assert grade(suite, code).printed.text == grade(suite, code).printed.text


def test_in_process_the_inputs_are_those_of_the_worker(grade, make_job, capfd):
    in_worker = grade(SUITE, SEES).printed.text
    assert grade_in_process(make_job(SUITE, SEES)).outcome == "passed"
    assert capfd.readouterr().out == in_worker


def test_the_inputs_cannot_be_foretold_from_the_seed_in_the_room(grade):
    suite = "def test_it(student):\n    check.equal(student.double(x := torch.rand(4)), x * 2)"
    code = HALF + "import torch\ndef double(x): return torch.rand(4) * 2"
    assert grade(suite, code).outcome == "failed"


@pytest.mark.parametrize("run", ["worker", "in process", "room"])
def test_grading_leaves_the_chance_of_the_process_as_it_was(make_job, warm, run):
    code = HALF + "import random, torch\nrandom.seed(9)\ntorch.manual_seed(9)\n"
    job = make_job(
        SUITE, code + "def double(x):\n    torch.rand(3), random.random()\n    return x * 2"
    )
    room = local_room([Source("ch9.it", "ch9/it.py", job.files["ch9/it.py"])], "ch9.it")
    random.seed(4)
    torch.manual_seed(4)
    before = random.getstate(), torch.random.get_rng_state()
    if run == "worker":
        graded = grade_in_worker(job, Lease(warm._connection))
    else:
        graded = grade_in_process(job) if run == "in process" else grade_room(job, room)
    assert graded.outcome == "passed"
    assert random.getstate() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


@pytest.mark.parametrize(
    "spoil",
    [
        "torch.set_default_dtype(torch.float64)",
        "torch.manual_seed(0)",
        "torch.equal = torch.allclose = lambda *_: True; torch.Tensor.__eq__ = lambda *_: True",
        "torch.set_grad_enabled(False)",
        "import builtins; builtins.abs = lambda _: 0",
    ],
)
def test_what_the_learner_does_to_torch_does_not_reach_the_judge(grade, spoil):
    graded = grade(SUITE, HALF + f"import torch\n{spoil}\ndef double(x): return x * 3")
    assert outcomes(graded) == ["failed", "passed"]
    assert torch.get_default_dtype() is torch.float32


def test_inputs_are_copies_of_the_judges(grade):
    code = HALF + "def double(x):\n    y = x * 2\n    x.fill_(0)\n    return y"
    assert grade(SUITE, code).outcome == "passed"


def test_grading_leaves_no_module_and_no_path_behind(grade):
    modules, path = set(sys.modules), list(sys.path)
    grade(SUITE)
    assert not [name for name in set(sys.modules) - modules if name.startswith("ch9")]
    assert sys.path == path


@pytest.mark.both_backends
def test_what_is_printed_is_kept(grade):
    graded = grade(SUITE, HALF + "print('hello')\ndef double(x): return x * 2")
    assert graded.printed.text == "hello\n"


# ---- in this process, for debugging


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (HALF + "def double(x): return x * 2", "passed"),
        (HALF + "def double(x): return x", "failed"),
        (HALF + "def double(x): return x.lost", "error"),
        (HALF, "error"),
        ("def double(x:", "error"),
        ("1 / 0", "error"),
        ("import sys; sys.exit(1)", "error"),
        (f"def double(x): {BLANK}\ndef half(x): {BLANK}", "untouched"),
    ],
)
def test_in_process_code_ends_as_it_does_in_a_worker(make_job, warm, code, outcome):
    job = make_job(SUITE, code)
    here, there = grade_in_process(job), grade_in_worker(job, Lease(warm._connection))
    assert (here.outcome, there.outcome) == (outcome, outcome)
    assert here.failure == there.failure


# ---- collected once, for many


def told(graded):
    return dataclasses.replace(
        graded,
        duration_s=0.0,
        tests=tuple(dataclasses.replace(test, duration_s=0.0) for test in graded.tests),
    )


@pytest.mark.parametrize("stop_early", [False, True])
def test_a_suite_that_is_collected_once_judges_all_as_it_would_each(make_job, warm, stop_early):
    codes = [
        HALF + "def double(x): return x * 2",
        HALF + "def double(x): return x",
        HALF + "def double(x): return x.lost",
        HALF,
        "1 / 0",
        HALF + "import os\ndef double(x): os._exit(3)",
        HALF + "def double(x): return x * 2",
    ]
    first = ("test_it_halves",) if stop_early else ()
    jobs = [make_job(SUITE, code, stop_early=stop_early, first=first) for code in codes]
    lease = Lease(warm._connection)
    alone = [told(grade_in_worker(job, lease)) for job in jobs]
    together = []
    assert collect(
        jobs[0].suite,
        lambda collected: together.extend(
            told(grade_in_worker(job, lease, collected)) for job in jobs
        ),
    )
    assert together == alone
    assert {graded.outcome for graded in alone} >= {"passed", "failed", "error"}


def test_a_suite_whose_file_has_changed_is_not_the_one_that_was_collected(make_job):
    suite = make_job(SUITE).suite
    seen = []

    def use(collected):
        seen.append(collected.holds(suite))
        seen.append(collected.holds(suite.with_name("test_other.py")))
        suite.write_text("def test_it(): pass")
        seen.append(collected.holds(suite))

    assert collect(suite, use)
    assert seen == [True, False, False]


@pytest.mark.parametrize("suite", ["def test_it(student:", "import nothing_of_this_name", ""])
def test_a_suite_that_cannot_be_collected_is_put_to_no_use(make_job, suite):
    assert not collect(make_job(suite).suite, lambda _: pytest.fail("there is nothing to use"))


def test_files_beside_a_suite_are_not_looked_at(grade, make_job):
    make_job(SUITE).suite.with_name("test_beside.py").write_text("raise SystemExit")
    assert grade(SUITE).outcome == "passed"


# ---- claims


def test_a_claim_is_the_docstring_in_both_languages(grade):
    first, second = grade(SUITE).tests
    assert (first.claim.en, first.claim.zh) == ("Twice as much.", "两倍。")
    assert second.claim.en == "it halves"


def test_a_claim_of_several_lines_is_joined_as_each_language_is_written():
    def test_it():
        """One
        sentence.

        一个
        句子。
        """

    assert (claim(test_it).en, claim(test_it).zh) == ("One sentence.", "一个句子。")
