"""`--parts`: the same training on a learner's own files, as far as they are written."""

import json
import shutil
from pathlib import Path

import pytest

from happyllm.pipeline.parts import PIECES
from happyllm.train.log import read_log

from .conftest import LATER, SMALL, done, happyllm

ROOT = Path(__file__).parents[3]


def losses(root):
    records = read_log(root / "pretrain" / "log.jsonl")
    return [r["loss"] for r in records if r["kind"] == "step"]


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


# Which command calls on a piece, and in which file the piece stands.
RUNS = [
    ("pretrain", "config", "ModelConfig"),
    ("pretrain", "model", "Transformer"),
    ("pretrain", "schedule", "cosine_lr"),
    ("pretrain", "adamw", "AdamW"),
    ("pretrain", "muon", "Muon"),
    ("pretrain", "clip", "clip_grad_norm"),
    ("pretrain", "accumulate", "accumulate_gradients"),
    ("pretrain", "train_step", "train_step"),
    ("pretrain", "masked_loss", "masked_cross_entropy"),
    ("pretrain", "train_bpe", "learn_merges"),
    ("pretrain", "data", "iter_jsonl"),
    ("pretrain", "datasets", "PretrainDataset"),
    ("pretrain", "collate", "collate"),
    ("pretrain", "packing", "document_ids"),
    ("pretrain", "packing", "document_positions"),
    ("pretrain", "packing", "document_mask"),
    ("pretrain", "kv_cache", "new_cache"),
    ("pretrain", "sampling", "sample"),
    ("sft", "data", "to_messages"),
    ("sft", "chat_template", "render_chatml"),
    ("sft", "datasets", "SFTDataset"),
    ("sft", "generate", "generate"),
    ("generate", "sampling", "apply_temperature"),
    ("generate", "sampling", "apply_top_k"),
    ("generate", "sampling", "apply_top_p"),
    ("generate", "filters", "apply_min_p"),
    ("generate", "filters", "apply_repetition_penalty"),
]
SETTINGS = {
    "muon": ("--set=optim.optimizer=muon",),
    "packing": ("--set=data.document_mask=true",),
}
KNOBS = ("--top-k", 9, "--min-p", 0.01, "--repetition-penalty", 1.1, "--max-tokens", 3)


def run(command, file, whole, tmp_path, workspace):
    """Run a command on a learner's files; what comes after pretraining goes on from `whole`."""
    parts = ("--parts", workspace)
    if command == "generate":
        return happyllm("generate", whole[0], "-p", "Tom", *KNOBS, *parts)
    settings = (*SMALL, *SETTINGS.get(file, ()))
    if command == "sft":
        settings = (*LATER, "--base", whole[0] / "pretrain")
    return happyllm(command, *settings, *parts, "--out", tmp_path / "mine")


def append(path, source):
    path.write_text(f"{path.read_text()}\n\n{source}\n")


def test_every_piece_is_tried():
    assert sorted(name for *_, name in RUNS) == sorted(PIECES)


@pytest.mark.parametrize(("command", "file", "name"), RUNS, ids=[name for *_, name in RUNS])
def test_each_piece_of_a_learners_is_what_runs(whole, tmp_path, workspace, command, file, name):
    path = workspace / "ch5" / f"{file}.py"
    if name[0].isupper():
        append(path, f"class {name}:\n    def __init__(self, *_, **__):\n        1 / 0")
    else:
        append(path, f"def {name}(*_, **__):\n    return 1 / 0")
    number = len(path.read_text().splitlines())
    ran = run(command, file, whole, tmp_path, workspace)
    assert ran.code == 2, ran
    inside = "__init__" if name[0].isupper() else name
    assert f"{file}.py:{number}: in {inside}: ZeroDivisionError" in ran.err


@pytest.mark.parametrize(
    ("command", "file", "source", "said"),
    [
        ("pretrain", "train_bpe", "def learn_merges(*_, **__): return 0", "0, where a list of"),
        ("pretrain", "data", "def iter_jsonl(path): return [7]", "7, where a dict for each line"),
        (
            "pretrain",
            "datasets",
            "PretrainDataset.__getitem__ = lambda *_: (torch.ones(9), None)",
            "(float32 (9,), None), where (int64 (64,), int64 (64,)) is",
        ),
        (
            "pretrain",
            "collate",
            "def collate(batch, pad_id): return torch.full((1, 2), pad_id)",
            "int64 (1, 2), where (int64 (4, 64), int64 (4, 64), int64 (4, 64)) is",
        ),
        ("pretrain", "packing", "def document_ids(*_): pass", "None, where int64 (1, 64) is"),
        (
            "pretrain",
            "packing",
            "def document_positions(tokens, eos): return tokens[0]",
            "int64 (64,), where int64 (4, 64) is",
        ),
        (
            "pretrain",
            "packing",
            "def document_mask(tokens, eos): return tokens == eos",
            "bool (4, 64), where bool (4, 1, 64, 64) is",
        ),
        ("sft", "data", "def to_messages(_): return {}", "{}, where a list of messages"),
        ("sft", "chat_template", "def render_chatml(*_): return 'Hi!'", "'Hi!', where a text"),
        (
            "sft",
            "datasets",
            "SFTDataset.__getitem__ = lambda *_: (torch.tensor([1]), torch.tensor([1, 2]))",
            "(int64 (1,), int64 (2,)), where (int64 (T,), int64 (T,)) is",
        ),
        (
            "generate",
            "sampling",
            "def sample(logits, *_): return logits",
            "float32 (1, 512), where int64 (1,) is",
        ),
        ("generate", "filters", "def apply_min_p(*_): return 0", "0, where float32 (1, 512) is"),
    ],
)
def test_what_does_not_fit_is_told_with_the_file_and_the_fix(
    whole, tmp_path, workspace, command, file, source, said
):
    path = workspace / "ch5" / f"{file}.py"
    append(path, source)
    ran = run(command, file, whole, tmp_path, workspace)
    assert ran.code == 2, ran
    name = source.removeprefix("def ").partition("(")[0].partition(".")[0]
    assert f"{path}: {name} gave {said}" in ran.err
    assert f"happyllm-grade ch5/{file} says what is wrong" in ran.err


def test_a_piece_that_stands_in_two_files_is_refused(tmp_path, workspace):
    shutil.copy(workspace / "ch5" / "collate.py", workspace / "ch5" / "old.py")
    ran = happyllm("pretrain", *SMALL, "--parts", workspace, "--out", tmp_path / "mine")
    assert ran.code == 2, ran
    assert "old.py both define collate; rename one of them" in ran.err


@pytest.mark.parametrize("name", ["iter_jsonl", "to_messages"])
def test_an_error_in_what_reads_the_data_is_not_put_down_to_the_data(
    whole, tmp_path, workspace, name
):
    path = workspace / "ch5" / "data.py"
    append(path, f"def {name}(*_):\n    return int('x')")
    number = len(path.read_text().splitlines())
    ran = run("sft", "data", whole, tmp_path, workspace)
    assert ran.code == 2, ran
    assert f"data.py:{number}: in {name}: ValueError: invalid literal" in ran.err


@pytest.mark.parametrize(
    ("line", "said"),
    [("{", "sft.jsonl:1: "), ('{"messages": []}', "sft.jsonl: record 1: no turn of the user")],
)
def test_bad_data_is_told_as_it_is_without_parts(copy, workspace, line, said):
    path = copy / "corpus" / "sft.jsonl"
    path.write_text(f"{line}\n{path.read_text()}")
    shutil.rmtree(copy / "sft")
    ran = happyllm("sft", *LATER, "--parts", workspace, "--out", copy)
    assert ran.code == 2, ran
    assert f"happyllm: {path.parent}/{said}" in ran.err


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
