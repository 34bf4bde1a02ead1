"""Checkpoints: whole or not at all, and nothing but ours is read."""

import random
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from happyllm.train.checkpoint import (
    CheckpointError,
    checkpoints,
    load_checkpoint,
    load_newest,
    random_state,
    save_checkpoint,
    set_random_state,
)

STATE = {
    "weights": {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)},
    3: [1, 2.5, float("inf"), None, True, "词", (4, [5])],
    "empty": {},
    "nothing": torch.zeros(0, 2),
    "number": torch.tensor(7),
}


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        parts = zip(one, other, strict=True)
        return type(one) is type(other) and all(same(a, b) for a, b in parts)
    return type(one) is type(other) and one == other


def test_what_is_saved_comes_back_equal(tmp_path):
    assert same(load_checkpoint(save_checkpoint(tmp_path, 1, STATE)), STATE)


def test_a_state_without_a_tensor_is_saved_too(tmp_path):
    assert load_checkpoint(save_checkpoint(tmp_path, 1, {"step": 1})) == {"step": 1}


def test_tied_weights_are_stored_once_and_come_back_tied(tmp_path):
    weight = torch.randn(50, 20)
    path = save_checkpoint(tmp_path, 1, {"embedding": weight, "output": weight})
    state = load_checkpoint(path)
    assert state["embedding"] is state["output"]
    assert path.stat().st_size < 1.5 * weight.nbytes


def test_views_and_transposes_come_back_as_they_look(tmp_path):
    weight = torch.arange(12.0).view(3, 4)
    state = {"t": weight.t(), "part": weight[1:, :2], "same memory": weight.view(4, 3)}
    assert same(load_checkpoint(save_checkpoint(tmp_path, 1, state)), state)


def test_what_a_checkpoint_cannot_hold_is_refused_by_its_place(tmp_path):
    with pytest.raises(TypeError, match=r"state.model.hook is of type function"):
        save_checkpoint(tmp_path, 1, {"model": {"hook": lambda: None}})
    assert list(tmp_path.iterdir()) == []


def test_the_newest_are_kept(tmp_path):
    for step in (5, 50, 100_000_000, 7):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2)
    assert [load_checkpoint(p)["step"] for p in checkpoints(tmp_path)] == [50, 100_000_000]


def test_what_a_killed_run_left_unfinished_is_no_checkpoint_and_is_cleared(tmp_path):
    save_checkpoint(tmp_path, 1, {"step": 1})
    left = tmp_path / ".step-00000002.safetensors.unfinished"
    left.write_bytes(b"half")
    assert load_newest(tmp_path)[1] == {"step": 1}
    save_checkpoint(tmp_path, 3, {"step": 3})
    assert not left.exists()


@pytest.mark.parametrize("cut", [0, 5, 100, -1, -200])
def test_a_truncated_checkpoint_is_refused_by_name(tmp_path, cut):
    path = save_checkpoint(tmp_path, 1, STATE)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"step-00000001\.safetensors: is damaged"):
        load_checkpoint(path)


def test_a_changed_byte_is_found(tmp_path):
    path = save_checkpoint(tmp_path, 1, {"weight": torch.ones(100)})
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="do not fit its checksum"):
        load_checkpoint(path)


def test_a_foreign_file_is_refused(tmp_path):
    foreign = tmp_path / "step-00000009.safetensors"
    save_file({"weight": torch.ones(2)}, foreign)
    with pytest.raises(CheckpointError, match="no checkpoint of a training run"):
        load_checkpoint(foreign)
    save_file({"w": torch.ones(2)}, foreign, metadata={"format": "happyllm-checkpoint-99"})
    with pytest.raises(CheckpointError, match="happyllm-checkpoint-99"):
        load_checkpoint(foreign)
    torch.save({"weight": torch.ones(2)}, foreign)
    with pytest.raises(CheckpointError, match="is damaged, or no checkpoint"):
        load_checkpoint(foreign)
    with pytest.raises(CheckpointError, match="there is no such file"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_the_one_before_is_named_and_taken_on_request(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step})
    for path in checkpoints(tmp_path)[1:]:
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"step-00000003.*step-00000002.safetensors, can be"):
        load_newest(tmp_path)
    assert load_newest(tmp_path, skip_damaged=True)[1] == {"step": 1}
    checkpoints(tmp_path)[0].write_bytes(b"")
    with pytest.raises(CheckpointError, match="There is none before it"):
        load_newest(tmp_path, skip_damaged=True)


def test_without_a_folder_there_is_no_checkpoint(tmp_path):
    assert load_newest(tmp_path / "none") is None


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file sizes here")
def test_where_there_is_no_room_the_old_one_stays(tmp_path):
    """A limit on the size of files makes writing fail half way, as a full disk does."""
    path = save_checkpoint(tmp_path, 1, {"weight": torch.ones(10)})
    before = path.read_bytes()
    code = f"""
        import resource, torch
        from pathlib import Path
        from happyllm.train.checkpoint import CheckpointError, save_checkpoint
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            save_checkpoint(Path({str(tmp_path)!r}), 2, {{"w": torch.ones(100_000)}}, keep=1)
        except CheckpointError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "step-00000002.safetensors: cannot be written" in done.stdout
    assert "Make room" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(tmp_path / "file", 1, {})


def test_every_source_of_chance_goes_on_where_it_stood():
    def draw():
        return random.random(), np.random.rand(), np.random.randn(), torch.rand(2).tolist()

    np.random.randn()  # leaves half a pair of normal numbers behind
    state = random_state()
    expected = [draw() for _ in range(3)]
    set_random_state(state)
    assert [draw() for _ in range(3)] == expected


def test_the_state_of_chance_survives_a_checkpoint(tmp_path):
    path = save_checkpoint(tmp_path, 1, random_state())
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    set_random_state(load_checkpoint(path))
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected


@pytest.mark.parametrize("keep", [0, -1])
def test_at_least_one_is_kept(tmp_path, keep):
    with pytest.raises(ValueError, match=f"keep={keep}"):
        save_checkpoint(tmp_path, 1, {}, keep=keep)
