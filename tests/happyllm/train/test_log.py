"""The log: a killed run keeps its lines, a resumed one does not have them twice."""

import json
import sys

import pytest

from happyllm.train.log import JsonlLog, TensorBoardLog, read_log


def test_each_record_is_a_line_at_once(tmp_path):
    path = tmp_path / "deep" / "log.jsonl"
    with JsonlLog(path) as log:
        log({"kind": "step", "step": 1, "loss": 2.5})
        assert json.loads(path.read_text()) == {"kind": "step", "step": 1, "loss": 2.5}


def test_a_line_cut_short_and_steps_made_again_are_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\nnull\n{"step": 3}\n{"step": 4, "lo')
    with JsonlLog(path, step=2) as log:
        log({"step": 3, "again": True})
    assert read_log(path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]


def test_tensorboard_gets_the_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    log = TensorBoardLog(tmp_path)
    log({"kind": "step", "step": 3, "loss": 1.25, "path": "x"})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("step/loss")] == [(3, 1.25)]
    assert events.Tags()["scalars"] == ["step/loss"]


def test_without_tensorboard_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'happyllm\[train\]'"):
        TensorBoardLog(tmp_path)
