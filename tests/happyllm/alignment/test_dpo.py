"""The loss of preferences, against what can be said about it on paper."""

import math

import pytest
import torch

from happyllm.alignment import dpo_loss, sequence_log_probs
from happyllm.pipeline.preference import Preference, lay_over


def pair(*values):
    return [torch.tensor([value], dtype=torch.float64) for value in values]


def test_the_loss_of_a_pair_is_the_logarithm_of_a_sigmoid():
    chosen, rejected, liked, disliked = pair(-4.0, -7.0, -5.0, -6.5)
    loss, better, worse = dpo_loss(chosen, rejected, liked, disliked, beta=0.3)
    margin = 0.3 * ((-4.0 + 5.0) - (-7.0 + 6.5))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-margin)))
    assert (float(better), float(worse)) == pytest.approx((0.3, -0.15))


def test_the_gradient_is_the_mistake_times_beta():
    chosen, rejected, liked, disliked = pair(-4.0, -7.0, -5.0, -6.5)
    chosen.requires_grad_()
    rejected.requires_grad_()
    loss, *_ = dpo_loss(chosen, rejected, liked, disliked, beta=0.3)
    loss.backward()
    wrong = 1 / (1 + math.exp(0.45))
    assert float(chosen.grad) == pytest.approx(-0.3 * wrong)
    assert float(rejected.grad) == pytest.approx(0.3 * wrong)


def test_a_model_that_is_its_reference_loses_ln_2():
    some = torch.randn(5)
    assert float(dpo_loss(some, some - 1, some, some - 1)[0]) == pytest.approx(math.log(2))


def test_far_off_pairs_stay_finite_and_the_reference_has_no_gradient():
    far = torch.tensor([-1e5], requires_grad=True)
    loss, *_ = dpo_loss(far, torch.zeros(1), far, torch.zeros(1), beta=0.1)
    loss.backward()
    assert math.isfinite(loss.item())
    assert float(far.grad) == pytest.approx(-0.05)  # by the model's side alone
    loss, *_ = dpo_loss(torch.tensor([-1e5]), *[torch.zeros(1)] * 3, beta=0.1)
    assert float(loss) == pytest.approx(1e4)


def test_wrong_arguments_are_refused():
    one = torch.zeros(1)
    with pytest.raises(ValueError, match="beta=0"):
        dpo_loss(one, one, one, one, beta=0.0)
    with pytest.raises(ValueError, match="shapes"):
        dpo_loss(one, one, torch.zeros(2), one)


def test_the_probability_of_an_answer_is_the_product_over_its_tokens():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 4, 6), torch.randint(6, (2, 4))
    targets[0, :2] = targets[1] = -100
    probs = logits.softmax(-1)
    expected = math.log(probs[0, 2, targets[0, 2]] * probs[0, 3, targets[0, 3]])
    found = sequence_log_probs(logits, targets)
    assert found.tolist() == pytest.approx([expected, 0.0], rel=1e-5)
    with pytest.raises(ValueError, match="do not fit"):
        sequence_log_probs(logits, targets[:, 1:])


class Favourite(torch.nn.Module):
    """A model that says the same everywhere."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(9))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, tokens):
        return self.logits.expand(*tokens.shape, 9), None


def test_the_module_lifts_the_better_answer_and_leaves_the_reference_alone():
    module = Preference(Favourite(), beta=1.0)
    rows = [
        {
            "chosen tokens": torch.tensor([1, 2]),
            "chosen targets": torch.tensor([-100, 3]),
            "rejected tokens": torch.tensor([1, 2, 2]),
            "rejected targets": torch.tensor([-100, 4, 4]),
        }
    ]
    batch = lay_over(rows)
    assert batch["targets"].shape == (1, 1)
    optimizer = torch.optim.SGD(module.model.parameters(), lr=1.0)
    losses = []
    for _ in range(5):
        module.train()
        assert not module.reference.training
        _, loss = module(**batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(2))
    assert losses[-1] < losses[0] / 2
    assert module.model.logits[3].item() > 0 > module.model.logits[4].item()
    assert module.reference.logits.abs().max() == 0
    assert module.right == 1.0
