"""From an empty folder to answers: what the commands leave, and what they say."""

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from happyllm.pipeline.assemble import read_weights
from happyllm.tokenizer import BPETokenizer
from happyllm.train.checkpoint import checkpoints
from happyllm.train.config import load_config
from happyllm.train.log import read_log

from .conftest import LATER, SMALL, done, happyllm

ROOT = Path(__file__).parents[3]


def test_pretraining_makes_what_is_missing_and_says_so(whole):
    root, said = whole
    assert "no corpus yet; making TinyTales (en): 150 documents" in said["pretrain"].out
    assert "no tokenizer yet" in said["pretrain"].out
    assert (root / "corpus" / "meta.json").exists()
    assert BPETokenizer.load(root / "tokenizer.json").special_tokens["<|endoftext|>"] == 0


@pytest.mark.parametrize("stage", ["pretrain", "sft", "dpo"])
def test_a_run_leaves_checkpoints_a_log_a_picture_and_a_report(whole, stage):
    run = whole[0] / stage
    assert [int(p.stem[5:]) for p in checkpoints(run)] == [4, 8, 12]
    records = read_log(run / "log.jsonl")
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(1, 13))
    assert [r["step"] for r in records if r["kind"] == "eval"] == [6, 12]
    picture = ET.parse(run / "loss.svg").getroot()
    lines = [one for one in picture.iter() if one.tag.endswith("polyline")]
    assert any(len(one.get("points", "").split()) == 12 for one in lines)
    assert json.loads((run / "report.json").read_text())
    assert load_config(run / "config.toml").run.total_steps == 12


def test_the_model_has_learned_something(whole):
    losses = [r["loss"] for r in read_log(whole[0] / "pretrain" / "log.jsonl") if "loss" in r]
    assert losses[-1] < losses[0] - 0.3


def test_fine_tuning_goes_on_from_pretraining(whole):
    root, _ = whole
    first = read_log(root / "sft" / "log.jsonl")[0]["loss"]
    assert first < math.log(512) - 0.1  # new weights would begin at ln V
    assert read_weights(root / "sft")[0] == read_weights(root / "pretrain")[0]


def test_preferences_begin_at_ln_2(whole):
    first = read_log(whole[0] / "dpo" / "log.jsonl")[0]["loss"]
    assert first == pytest.approx(math.log(2), abs=1e-3)


def test_the_reports_hold_what_was_measured(whole):
    root, said = whole
    text = json.loads((root / "pretrain" / "report.json").read_text())["text"]
    assert text["perplexity"] == pytest.approx(math.exp(text["loss"]))
    assert 0 < text["bits_per_byte"] < 8
    report = json.loads((root / "sft" / "report.json").read_text())
    assert report["questions"]["asked"] == 12
    assert "exact answers: " in said["sft"].out
    assert sum(n for _, n in report["questions"]["by_kind"].values()) == 12
    assert 0 <= json.loads((root / "dpo" / "report.json").read_text())["preferred"] <= 1


def test_each_command_names_the_next_one(whole):
    root, said = whole
    assert f"Next: happyllm sft --out {root}" in said["pretrain"].out
    assert f"Next: happyllm chat {root}" in said["sft"].out


def test_the_corpus_and_the_tokenizer_can_be_made_first(tmp_path):
    root = tmp_path / "zh"
    few = ("--set=corpus.eval_text=5", "--set=corpus.eval_questions=3")
    made = done(
        happyllm(
            *("data", "--lang", "zh", "--documents", 60, "--conversations", 30, *few),
            *("--seed", 3, "--out", root),
        )
    )
    assert "pretrain 60, sft 30, eval_text 5, eval_questions 3" in made.out
    meta = json.loads((root / "corpus" / "meta.json").read_text())
    assert (meta["lang"], meta["seed"]) == ("zh", 3)
    assert "300 tokens" in done(happyllm("tokenizer", "--vocab-size", 300, "--out", root)).out
    refused = happyllm("tokenizer", "--vocab-size", 300, "--out", root)
    assert (refused.code, "is there already" in refused.err) == (2, True)
    done(happyllm("pretrain", *SMALL, "--out", root))
    assert load_config(root / "pretrain" / "config.toml").corpus.lang == "zh"
    assert read_weights(root / "pretrain")[0].vocab_size == 512


def test_the_same_seed_makes_the_same_run(whole, tmp_path):
    done(happyllm("pretrain", *SMALL, "--out", tmp_path / "again"))

    def losses(root):
        return [r["loss"] for r in read_log(root / "pretrain" / "log.jsonl") if "loss" in r]

    assert losses(tmp_path / "again") == losses(whole[0])


@pytest.mark.parametrize(
    "settings",
    [
        ("--set=data.packing=whole", "--set=data.document_mask=true", "--set=data.seq_len=256"),
        ("--set=data.packing=single", "--set=data.other_share=0.3", "--set=optim.optimizer=muon"),
    ],
    ids=["kept apart", "mixed, by Muon"],
)
def test_other_ways_to_fill_the_rows_learn_too(copy, settings):
    for stage, given in (("pretrain", SMALL), ("sft", LATER)):
        run = copy / stage
        before = read_log(run / "log.jsonl")
        for path in run.iterdir():
            path.unlink()
        done(happyllm(stage, *given, *settings, "--out", copy))
        after = read_log(run / "log.jsonl")
        assert after[-2]["loss"] < after[0]["loss"]
        assert after[0]["loss"] != before[0]["loss"]


def test_a_model_is_evaluated_by_kind_and_level(whole):
    found = done(happyllm("evaluate", whole[0], "--stage", "sft", "--json"))
    report = json.loads(found.out)
    assert set(report) == {"text", "answers", "questions"}
    asked = report["questions"]["asked"]
    assert asked > 12  # all of them
    assert sum(n for _, n in report["questions"]["by_level"].values()) == asked
    plain = done(happyllm("evaluate", whole[0], "--stage", "pretrain")).out
    assert "bits a byte" in plain
    assert "exact answers" not in plain


def test_text_is_written_from_a_prompt_or_from_standard_input(whole):
    same = ("generate", whole[0], "--stage", "pretrain", "--seed", 1, "--max-tokens", 12)
    one = done(happyllm(*same, "-p", "Tom went")).out
    assert one.startswith("Tom went")
    assert len(one) > len("Tom went\n")
    assert done(happyllm(*same, text="Tom went\n")).out == one
    three = done(happyllm(*same, "-p", "Tom went", "--n", 3)).out
    assert three.startswith(one.rstrip("\n"))
    assert three.count("Tom went") >= 3
    pick = ("--top-k", 5, "--top-p", 0.8, "--min-p", 0.1, "--repetition-penalty", 1.3)
    assert done(happyllm(*same, "-p", "Tom went", *pick)).out.startswith("Tom went")
    greedy = ("--temperature", 0)
    assert (
        done(happyllm(*same, "-p", "A", *greedy)).out
        == done(happyllm(*same, "-p", "A", *greedy, "--seed", 9)).out
    )


def test_a_chat_in_a_pipe_answers_line_by_line(whole):
    asked = "Where is Tom?\n/reset\n/nonsense\n\nWho has the ball?\n"
    ran = done(happyllm("chat", whole[0], "--max-tokens", 8, text=asked))
    assert len(ran.out.splitlines()) >= 2
    assert "Forgotten." in ran.err
    assert "There is no /nonsense." in ran.err


def test_a_long_chat_forgets_its_beginning_and_goes_on(whole):
    asked = "Where is the ball that Tom found in the park this morning?\n" * 12
    ran = done(happyllm("chat", whole[0], "--max-tokens", 4, text=asked))
    assert "forgot the first 2 messages" in ran.err
    tooLong = done(happyllm("chat", whole[0], text="word " * 400 + "\n"))
    assert "shorten it" in tooLong.err


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; sys.argv = ['happyllm', 'pretrain', '--help']\n"
        "from happyllm.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'numpy', 'rich'} & set(sys.modules), 'imported'"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Train a model on text" in ran.stdout


def test_numbers_go_to_tensorboard_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard")
    done(happyllm("pretrain", *SMALL, "--out", tmp_path / "tales", "--tensorboard"))
    assert list((tmp_path / "tales" / "pretrain" / "tensorboard").glob("events*"))


def test_two_processes_train_as_one(whole, tmp_path):
    root = tmp_path / "two"
    words = ["pretrain", *SMALL, "--out", str(root), "--processes", "2"]
    ran = subprocess.run(
        [sys.executable, "-m", "happyllm.cli", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr

    def losses(folder):
        records = read_log(folder / "pretrain" / "log.jsonl")
        return [r["loss"] for r in records if r["kind"] == "step"]

    assert losses(root) == pytest.approx(losses(whole[0]), rel=1e-3)
    one, other = (read_weights(place / "pretrain")[1] for place in (root, whole[0]))
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-3, rtol=1e-2)
