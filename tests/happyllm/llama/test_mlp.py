import pytest
import torch
import torch.nn.functional as F

from happyllm.llama.mlp import MLP


def test_one_projection_gates_the_other():
    mlp = MLP(8, None, 4, 0.0)
    x = torch.randn(2, 3, 8)
    gate, up = x @ mlp.w1.weight.T, x @ mlp.w3.weight.T
    expected = (gate * torch.sigmoid(gate) * up) @ mlp.w2.weight.T
    torch.testing.assert_close(mlp(x), expected)


def test_the_gate_is_w1_and_not_w3():
    mlp = MLP(4, 4, 1, 0.0)
    with torch.no_grad():
        for layer in (mlp.w1, mlp.w2, mlp.w3):
            layer.weight.copy_(torch.eye(4))
        mlp.w1.weight.mul_(-1)
    x = torch.ones(1, 4)
    torch.testing.assert_close(mlp(x), F.silu(-x) * x)


@pytest.mark.parametrize(("hidden_dim", "width"), [(None, 128), (100, 100)])
def test_the_hidden_width_is_chosen_or_given(hidden_dim, width):
    mlp = MLP(48, hidden_dim, 32, 0.0)
    shapes = {name: tuple(p.shape) for name, p in mlp.named_parameters()}
    assert shapes == {"w1.weight": (width, 48), "w2.weight": (48, width), "w3.weight": (width, 48)}


def test_zero_goes_to_zero_because_there_is_no_bias():
    assert torch.equal(MLP(8, None, 4, 0.0)(torch.zeros(2, 8)), torch.zeros(2, 8))


def test_each_token_is_transformed_by_itself():
    mlp, x = MLP(8, None, 4, 0.0), torch.randn(2, 5, 8)
    torch.testing.assert_close(mlp(x)[1, 3], mlp(x[1, 3]))


def test_dropout_works_in_training_and_rests_in_evaluation():
    mlp, x = MLP(64, None, 4, 0.5), torch.randn(1, 64)
    assert (mlp(x) == 0).any()
    assert not (mlp.eval()(x) == 0).any()


def test_half_precision_stays_half_precision():
    mlp = MLP(8, None, 4, 0.0).bfloat16()
    assert mlp(torch.randn(0, 3, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
