"""The schedule against the one of transformers, whose floor is 0."""

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

from happyllm.train.schedule import cosine_lr


@pytest.mark.parametrize(("warmup", "total"), [(0, 1), (0, 30), (1, 2), (7, 50), (29, 30)])
def test_the_rates_are_those_of_transformers(warmup, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    scheduler = get_cosine_schedule_with_warmup(optimizer, warmup, total)
    for step in range(total + 1):
        ours = cosine_lr(step, max_lr=3e-4, min_lr=0.0, warmup_steps=warmup, total_steps=total)
        assert ours == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12, abs=1e-18)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("floor", [0.1, 0.5])
def test_the_floor_is_that_of_transformers_with_a_least_rate(floor):
    from transformers import get_cosine_with_min_lr_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = get_cosine_with_min_lr_schedule_with_warmup(optimizer, 4, 20, min_lr_rate=floor)
    for step in range(21):
        ours = cosine_lr(step, max_lr=1e-3, min_lr=1e-3 * floor, warmup_steps=4, total_steps=20)
        assert ours == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()
