"""The second look: what is right only as often as a suite asks is found out."""

from __future__ import annotations

from grader.judge.session import grade_in_process

SUITE = '''
def test_it_doubles(student):
    x = torch.randn(4)
    check.equal(student.double(x), x * 2)


def test_noise_is_drawn_from_the_seeded_generator(student):
    def noise(m):
        """half(torch.randn(3))"""
        return m.half(torch.randn(3))

    assert student.run(noise).shape == (3,)


def test_a_step_changes_the_weight(student):
    def step(m):
        """one step of SGD"""
        layer = torch.nn.Linear(2, 1)
        layer(torch.ones(2)).sum().backward()
        torch.optim.SGD(layer.parameters(), 0.1).step()
        return layer.weight

    assert student.run(step).shape == (1, 2)
'''
HONEST = "def double(x): return x * 2\ndef half(x): return x / 2\n"
COUNTS = """
CALLS = []
def double(x):
    CALLS.append(1)
    return x * (2 if len(CALLS) <= {most} else 3)
def half(x): return x / 2
"""
REMEMBERS = """
def double(x, seen=[]):
    seen.append(x)
    return x + seen[0]
def half(x): return x / 2
"""


def test_honest_code_stands_the_second_look(grade):
    for seed in range(5):
        assert grade(SUITE, HONEST, seed=seed).outcome == "passed"


def test_what_is_right_as_often_as_it_is_asked_fails(grade):
    graded = grade(SUITE, COUNTS.format(most=1))
    assert (graded.outcome, graded.points) == ("failed", 0)
    assert [test.outcome for test in graded.tests] == ["failed", "passed", "passed"]
    assert "a second time" in graded.failure.message.en
    assert graded.failure.call.startswith("double(")
    assert graded.failure.expected.text != graded.failure.got.text


def test_what_is_right_for_longer_than_anybody_asks_passes(grade):
    assert grade(SUITE, COUNTS.format(most=1000)).outcome == "passed"


def test_what_remembers_its_first_argument_passes_as_it_answers_the_same(grade):
    assert grade(SUITE, REMEMBERS).outcome == "passed"


def test_what_ends_the_interpreter_at_the_second_look_fails(grade):
    code = COUNTS.format(most=1) + (
        "\nimport os\n_double = double\ndef double(x):\n"
        "    if CALLS: os._exit(0)\n    return _double(x)\n"
    )
    assert grade(SUITE, code).outcome == "failed"


def test_being_slow_the_second_time_is_no_difference(grade):
    code = HONEST.replace("return x * 2", "CALLS.append(1); return slow(x)") + (
        "import time\nCALLS = []\ndef slow(x):\n    if len(CALLS) > 1: time.sleep(60)\n"
        "    return x * 2\n"
    )
    assert grade(SUITE, code).outcome == "passed"


def test_the_debugger_is_not_asked_twice(make_job):
    assert grade_in_process(make_job(SUITE, COUNTS.format(most=1))).outcome == "passed"
