"""What goes wrong, done for real: each is told in a sentence, and nothing is overwritten."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from happyllm.pipeline.assemble import read_weights
from happyllm.train.checkpoint import checkpoints
from happyllm.train.log import read_log

from .conftest import LATER, SMALL, done, happyllm

ROOT = Path(__file__).parents[3]


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(ran, *parts, code=2):
    assert ran.code == code, ran
    for part in parts:
        assert part in ran.err, ran.err
    assert "Traceback" not in ran.err


def start(*words, **more):
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "happyllm.cli", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def losses(root):
    records = read_log(root / "pretrain" / "log.jsonl")
    return {r["step"]: r["loss"] for r in records if r["kind"] == "step"}


def emptied(copy, *stages):
    for stage in stages:
        shutil.rmtree(copy / stage)
    return copy


def wait_for_checkpoint(run, step, process):
    deadline = time.monotonic() + 120
    while not any(int(p.stem[5:]) >= step for p in checkpoints(run)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_is_killed_goes_on_bit_for_bit(whole, copy):
    emptied(copy, "pretrain", "sft", "dpo")
    running = start("pretrain", *SMALL, "--out", copy)
    wait_for_checkpoint(copy / "pretrain", 4, running)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    went = done(happyllm("pretrain", "--resume", "--out", copy))
    assert "goes on from step" in went.out or losses(copy)[12]
    assert losses(copy) == losses(whole[0])
    one, other = (read_weights(place / "pretrain")[1] for place in (copy, whole[0]))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(copy, number, status):
    emptied(copy, "pretrain", "sft", "dpo")
    running = start("pretrain", *SMALL, "--steps", 100_000, "--out", copy)
    wait_for_checkpoint(copy / "pretrain", 4, running)
    running.send_signal(number)
    out, err = running.communicate(timeout=120)
    assert running.returncode == status, err
    assert f"Go on: happyllm pretrain --resume --out {copy}" in out
    assert (copy / "pretrain" / "loss.svg").exists()


def test_a_folder_with_a_run_is_left_alone(whole):
    before = contents(whole[0])
    refused(happyllm("pretrain", *SMALL, "--out", whole[0]), "holds a run already", "--resume")
    refused(happyllm("data", "--out", whole[0]), "holds a corpus already", "--overwrite")
    other = ("--resume", "--preset=tiny", "--seed=9", "--out", whole[0])
    refused(happyllm("pretrain", *other), "is of another run", "run.seed was 0, is 9")
    refused(happyllm("export", whole[0], "--to", whole[0] / "sft"), "is there already")
    after = contents(whole[0])
    assert {name: after[name] for name in before} == before


def test_a_truncated_checkpoint_is_refused_and_the_one_before_taken_on_request(copy):
    newest = checkpoints(copy / "pretrain")[-1]
    newest.write_bytes(newest.read_bytes()[:-200])
    resume = ("pretrain", "--resume", "--out", copy)
    refused(happyllm(*resume), "step-00000012", "step-00000008", "--skip-damaged")
    refused(happyllm("generate", copy / "pretrain"), "step-00000012", "damaged")
    assert "goes on from step 8" in done(happyllm(*resume, "--skip-damaged")).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pretrain", "--preset", "labtop"), "did you mean 'laptop'?"),
        (("pretrain", "--set", "optim.max_lrr=1"), "did you mean 'max_lr'?"),
        (("pretrain", "--set", "optim.max_lr"), "write it as table.field=value"),
        (("pretrain", "--preset", "tiny", "--steps", "2"), "optim.warmup_steps=5 must be below"),
        (("pretrain", "--set", "corpus.weights=[1,2]"), "corpus.weights=[1.0, 2.0] must be 3"),
        (("pretrain", "--config", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("pretrain", "--resume"), "there is no run to resume"),
        (("pretrain", "--set", "data.train=none/"), "there are no documents to learn from"),
        (("sft",), "there is no pretrained model in it"),
        (("sft", "--base", "nowhere"), "there is no such run or checkpoint"),
        (("tokenizer",), "there is no complete corpus"),
        (("data", "--from", "nowhere.jsonl"), "there is no such file or folder"),
        (("chat",), "there is no tinytales-en nor tinytales-zh here"),
        (("pretrain", "--parts", "nowhere"), "there is no ch5/*.py in it"),
        (("pretrain", "--device", "quantum"), "run.device='quantum'"),
        (("evaluate", "nowhere"), "there is no such folder or checkpoint"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_command_line_is_told_with_the_fix(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    small = [one for one in SMALL if one.startswith("--set=corpus")]
    more = small if words[0] == "pretrain" else []
    ran = happyllm(*words, *more)
    assert ran.code == 2, ran
    assert said in ran.err, ran.err
    assert "Traceback" not in ran.err


def test_a_typo_in_a_file_is_told_with_its_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[run]\nseed = 1\n[optim]\nmax_lrr = 0.1\n")
    refused(happyllm("pretrain", "--config", path, "--out", tmp_path / "x"), f"{path}:4: optim has")
    assert not (tmp_path / "x").exists()


def test_a_loss_that_is_not_a_number_ends_the_run_and_keeps_the_last_checkpoint(copy):
    emptied(copy, "sft", "dpo")
    before = contents(copy / "pretrain")
    ran = happyllm("sft", *LATER, "--out", copy, "--lr", "1e30", "--set=run.eval_every=0")
    refused(ran, "optim.max_lr", "the", code=1)
    assert "nan" in ran.err or "inf" in ran.err or "not finite" in ran.err
    assert contents(copy / "pretrain") == before


def test_a_corrupt_line_is_named_and_skipped_only_if_asked(tmp_path):
    path = tmp_path / "mine.jsonl"
    lines = [f'{{"text": "Story number {i} of all the stories."}}' for i in range(200)]
    lines[7] = '{"text": "cut'
    lines[9] = '{"body": "another field"}'
    path.write_text("\n".join(lines))
    out = tmp_path / "mine"
    refused(happyllm("data", "--from", path, "--out", out), f"{path}:8: ", "--skip-bad")
    assert not (out / "corpus").exists()
    ran = done(happyllm("data", "--from", path, "--out", out, "--skip-bad"))
    assert "2 skipped" in ran.out
    assert f"{path}:8: " in ran.err
    assert "has no field 'text': it has body" in ran.err
    assert len((out / "corpus" / "eval_text.jsonl").read_text().splitlines()) >= 1
    before = contents(out / "corpus")
    refused(happyllm("data", "--from", path, "--out", out), "holds a corpus already")
    refused(happyllm("data", "--from", path, "--out", out, "--overwrite"), f"{path}:8: ")
    assert contents(out / "corpus") == before
    done(happyllm("pretrain", *SMALL, "--out", out))


def test_a_corpus_of_ones_own_can_be_trained_on(tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(30):
        (texts / f"{number}.txt").write_text(
            f"The day {number} was long, and it rained a lot. " * 9
        )
    ran = done(happyllm("data", "--from", texts, "--out", tmp_path / "rain"))
    assert f"Next: happyllm pretrain --out {tmp_path / 'rain'}" in ran.out
    done(happyllm("pretrain", *SMALL, "--out", tmp_path / "rain"))
    refused(
        happyllm("sft", *LATER, "--out", tmp_path / "rain"), "there are no conversations", "--from"
    )
    chats = tmp_path / "chats.jsonl"
    chats.write_text(
        '{"instruction": "Will it rain?", "output": "It rains a lot."}\n'
        '{"conversations": [{"from": "human", "value": "And now?"},'
        ' {"from": "gpt", "value": "The day was long."}]}\n'
    )
    done(happyllm("data", "--from", chats, "--out", tmp_path / "talk"))
    settings = (f"--set=data.train={tmp_path / 'talk' / 'corpus'}", "--set=run.eval_every=0")
    done(happyllm("sft", *LATER, *settings, "--out", tmp_path / "rain"))


def test_a_file_can_be_named_in_place_of_a_corpus(tmp_path):
    path = tmp_path / "stories.jsonl"
    path.write_text('{"text": "It rained a lot on that day, and on the next one."}\n' * 40)
    settings = (f"--set=data.train={path}", f"--set=data.held_out={path}")
    ran = done(happyllm("pretrain", *SMALL, *settings, "--out", tmp_path / "rain"))
    assert "no corpus yet" not in ran.out
    assert not (tmp_path / "rain" / "corpus").exists()


@pytest.mark.parametrize("content", ["", "\n\n"], ids=["empty", "blank"])
def test_an_empty_file_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "none.jsonl"
    path.write_text(content)
    refused(happyllm("data", "--from", path, "--out", tmp_path / "x"), "none.jsonl: there is noth")
    corpus = tmp_path / "y" / "corpus"
    corpus.mkdir(parents=True)
    (corpus / "pretrain.jsonl").write_text(content)
    (corpus / "meta.json").write_text("{}")
    ran = happyllm("pretrain", *SMALL, "--out", tmp_path / "y")
    refused(ran, "pretrain.jsonl", "no text")


@pytest.mark.skipif(os.name == "nt", reason="limits of a file's size are POSIX's")
def test_a_disk_that_fills_up_is_told_and_earlier_checkpoints_stay(copy):
    emptied(copy, "sft", "dpo")
    first, *later = checkpoints(copy / "pretrain")
    for path in later:
        path.unlink()
    before = first.read_bytes()

    def no_room():  # a file of more than 20 kB cannot be written, as where a disk is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    running = start("pretrain", "--resume", "--out", copy, preexec_fn=no_room)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 2, err
    assert "step-00000008.safetensors: cannot be written" in err
    assert "Make room" in err
    assert "Traceback" not in err
    assert checkpoints(copy / "pretrain") == [first]
    assert first.read_bytes() == before
    assert not list((copy / "pretrain").glob(".*unfinished"))
    done(happyllm("pretrain", "--resume", "--out", copy))


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path):
    (tmp_path / "taken").write_text("mine")
    refused(happyllm("pretrain", *SMALL, "--out", tmp_path / "taken"), "cannot be made")
    assert (tmp_path / "taken").read_text() == "mine"


def test_another_language_than_the_corpus_has_is_refused(whole, copy):
    emptied(copy, "pretrain", "sft", "dpo")
    refused(happyllm("pretrain", *SMALL, "--lang", "zh", "--out", copy), "its language is en")


def test_the_sizes_of_a_trained_model_cannot_be_set_anew(copy):
    emptied(copy, "sft", "dpo")
    ran = happyllm("sft", *LATER, "--set", "model.dim=64", "--out", copy)
    refused(ran, "has its sizes already")
