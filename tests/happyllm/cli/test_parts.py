"""`--parts`: the same training on a learner's own files, as far as they are written."""

import json
import shutil
from pathlib import Path

import pytest

from happyllm.pipeline.parts import PIECES
from happyllm.train.log import read_log

from .conftest import SMALL, done, happyllm

ROOT = Path(__file__).parents[3]


def losses(root):
    records = read_log(root / "pretrain" / "log.jsonl")
    return [r["loss"] for r in records if r["kind"] == "step"]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace in which everything is solved."""
    import sys

    shutil.copytree(ROOT / "solutions" / "ch5", tmp_path / "my-llm" / "ch5")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "my-llm"
    for name in [name for name in sys.modules if name.split(".")[0] == "ch5"]:
        del sys.modules[name]


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def stub(workspace, name):
    shutil.copy(ROOT / "exercises" / "ch5" / f"{name}.py", workspace / "ch5")


def test_a_learners_solved_files_train_as_ours_do(whole, tmp_path, workspace):
    ran = done(happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine"))
    told = next(line for line in ran.out.splitlines() if line.startswith("Yours, from"))
    for piece in PIECES:
        assert piece in told
    assert losses(tmp_path / "mine") == pytest.approx(losses(whole[0]), rel=1e-4)
    model = tmp_path / "mine"
    written = [
        done(happyllm("generate", model, "-p", "Tom", "--seed", 2, "--max-tokens", 9, *more)).out
        for more in ((), ("--parts", workspace))
    ]
    assert written[0] == written[1]


def test_what_a_learner_wrote_is_what_runs(tmp_path, workspace):
    change(workspace / "ch5" / "schedule.py", "return max_lr * step", "return 0.0 * max_lr * step")
    done(happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine"))
    records = read_log(tmp_path / "mine" / "pretrain" / "log.jsonl")
    assert records[0]["lr"] == 0.0


def test_a_learners_merges_make_the_tokenizer(tmp_path, workspace):
    end = "\n\ndef learn_merges(word_counts, n_merges, first_id):\n    return [(5, 6)]\n"
    path = workspace / "ch5" / "train_bpe.py"
    path.write_text(path.read_text() + end)
    ran = done(happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine"))
    kept = json.loads((tmp_path / "mine" / "tokenizer.json").read_text())
    assert len(kept["model"]["merges"]) == 1, ran


def test_an_error_in_a_learners_merges_is_told_with_its_line(tmp_path, workspace):
    path = workspace / "ch5" / "train_bpe.py"
    path.write_text(path.read_text() + "\n\ndef learn_merges(*_, **__):\n    return 1 / 0\n")
    ran = happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine")
    number = len(path.read_text().splitlines())
    assert ran.code == 2, ran
    assert f"train_bpe.py:{number}: in learn_merges: ZeroDivisionError" in ran.err
    assert not (tmp_path / "mine" / "tokenizer.json").exists()


def test_a_stub_and_what_builds_on_it_are_ours(tmp_path, workspace):
    stub(workspace, "attention")
    ran = done(happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine"))
    assert "Ours: Transformer, as" in ran.out
    assert "attention.py is still a stub" in ran.out
    assert "AdamW" in next(line for line in ran.out.splitlines() if line.startswith("Yours"))


def test_a_workspace_of_stubs_alone_is_refused(tmp_path):
    shutil.copytree(ROOT / "exercises" / "ch5", tmp_path / "my-llm" / "ch5")
    ran = happyllm("pretrain", *SMALL, "--parts", tmp_path / "my-llm", "--out", tmp_path / "mine")
    assert ran.code == 2
    assert "is still a stub (NotImplementedError)" in ran.err
    assert not (tmp_path / "mine").exists()


def test_an_error_in_a_learners_file_is_told_with_its_line(tmp_path, workspace):
    path = workspace / "ch5" / "mlp.py"
    change(path, "self.w2(", "self.w9(")
    ran = happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine")
    number = next(
        i for i, line in enumerate(path.read_text().splitlines(), 1) if "self.w9(" in line
    )
    assert ran.code == 2, ran
    assert f"mlp.py:{number}: in forward: AttributeError" in ran.err


def test_a_file_that_is_no_python_is_told_with_its_line(tmp_path, workspace):
    (workspace / "ch5" / "clip.py").write_text("def clip_grad_norm(:\n")
    ran = happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine")
    assert (ran.code, "clip.py:1: " in ran.err) == (2, True), ran
