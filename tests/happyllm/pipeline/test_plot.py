"""The picture of the losses, read back from its file."""

import math
import xml.etree.ElementTree as ET

from happyllm.pipeline.plot import plot_losses


def points(root, kind):
    lines = [one for one in root.iter() if one.get("class") == kind]
    longest = max(lines, key=lambda one: len(one.get("points")))
    return [tuple(map(float, p.split(","))) for p in longest.get("points").split()]


def test_losses_lie_where_they_belong(tmp_path):
    records = [{"kind": "step", "step": i, "loss": 6.0 - i / 20} for i in range(1, 101)]
    records += [{"kind": "eval", "step": i, "loss": 2.0} for i in (50, 100)]
    assert plot_losses(records, tmp_path / "loss.svg", "tom & jerry")
    root = ET.parse(tmp_path / "loss.svg").getroot()
    each = points(root, "each")
    assert len(each) == 100
    assert [x for x, _ in each] == sorted(x for x, _ in each)
    assert [y for _, y in each] == sorted(y for _, y in each)  # a loss that falls goes down
    held = points(root, "held")
    assert held[0][1] == held[1][1]
    assert abs(held[1][0] - each[-1][0]) < 0.2
    width, height = map(float, root.get("viewBox").split()[2:])
    assert all(0 <= x <= width and 0 <= y <= height for x, y in each + held)
    assert "tom & jerry" in ET.tostring(root, encoding="unicode", method="text")


def test_what_is_not_finite_is_left_out_and_nothing_is_drawn_of_nothing(tmp_path):
    records = [{"kind": "step", "step": 1, "loss": math.nan}]
    assert not plot_losses(records, tmp_path / "loss.svg")
    assert not (tmp_path / "loss.svg").exists()
    records += [{"kind": "step", "step": 2, "loss": 3.0}]
    assert plot_losses(records, tmp_path / "loss.svg")
    assert "nan" not in (tmp_path / "loss.svg").read_text()
