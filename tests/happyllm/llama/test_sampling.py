import pytest
import torch

from happyllm.llama.sampling import (
    apply_min_p,
    apply_repetition_penalty,
    apply_temperature,
    apply_top_k,
    apply_top_p,
    distribution,
    sample,
)

INF = float("inf")


def kept(logits):
    return (logits > -INF).nonzero().flatten().tolist()


def logits_of(*probabilities):
    return torch.tensor(probabilities).log()


def test_a_low_temperature_sharpens_and_a_high_one_flattens():
    logits = torch.tensor([0.0, 1.0])
    cold, hot = (apply_temperature(logits, t).softmax(-1)[1] for t in (0.5, 2.0))
    assert cold > logits.softmax(-1)[1] > hot


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), INF])
def test_a_temperature_that_cannot_divide_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature="):
        apply_temperature(torch.zeros(3), temperature)


def test_top_k_keeps_the_k_largest_as_they_are():
    logits = torch.tensor([0.1, 3.0, -1.0, 2.0])
    filtered = apply_top_k(logits, 2)
    assert kept(filtered) == [1, 3]
    assert torch.equal(filtered[[1, 3]], logits[[1, 3]])


@pytest.mark.parametrize("k", [4, 5, 100])
def test_top_k_of_all_or_more_keeps_all(k):
    logits = torch.randn(2, 4)
    assert torch.equal(apply_top_k(logits, k), logits)


def test_top_k_keeps_all_that_tie_with_the_last():
    assert kept(apply_top_k(torch.tensor([1.0, 2.0, 1.0, 0.0]), 2)) == [0, 1, 2]


@pytest.mark.parametrize("k", [0, -1])
def test_top_k_below_one_is_refused(k):
    with pytest.raises(ValueError, match=f"top_k={k}"):
        apply_top_k(torch.zeros(3), k)


def test_top_p_keeps_the_token_that_crosses_p():
    assert kept(apply_top_p(logits_of(0.5, 0.3, 0.2), 0.6)) == [0, 1]


def test_top_p_keeps_no_more_once_p_is_reached():
    assert kept(apply_top_p(logits_of(0.5, 0.25, 0.25), 0.5)) == [0]


@pytest.mark.parametrize("p", [1e-9, 0.01])
def test_top_p_keeps_at_least_the_most_probable(p):
    assert kept(apply_top_p(logits_of(0.2, 0.2, 0.6), p)) == [2]


def test_top_p_of_one_keeps_even_the_least_probable():
    logits = torch.tensor([40.0, 0.0, -40.0])
    assert torch.equal(apply_top_p(logits, 1.0), logits)


def test_top_p_filters_each_row_by_itself_and_in_place_of_the_tokens():
    logits = torch.stack([logits_of(0.1, 0.6, 0.3), logits_of(0.45, 0.1, 0.45)])
    filtered = apply_top_p(logits, 0.8)
    assert [kept(row) for row in filtered] == [[1, 2], [0, 2]]


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, float("nan")])
def test_top_p_outside_zero_to_one_is_refused(p):
    with pytest.raises(ValueError, match="top_p="):
        apply_top_p(torch.zeros(3), p)


@pytest.mark.parametrize(
    "filter_logits",
    [
        lambda x: apply_temperature(x, 0.7),
        lambda x: apply_top_k(x, 2),
        lambda x: apply_top_p(x, 0.5),
    ],
    ids=["temperature", "top_k", "top_p"],
)
def test_a_filter_keeps_shape_and_dtype_and_leaves_its_input_as_it_was(filter_logits):
    logits = torch.randn(2, 3, 5, dtype=torch.bfloat16)
    before = logits.clone()
    filtered = filter_logits(logits)
    assert (filtered.shape, filtered.dtype) == ((2, 3, 5), torch.bfloat16)
    assert torch.equal(logits, before)


def test_what_is_ruled_out_stays_ruled_out():
    logits = torch.tensor([1.0, -INF, 0.5, -INF])
    assert kept(apply_top_p(apply_top_k(logits, 3), 0.99)) == [0, 2]


def test_temperature_zero_takes_the_most_probable_every_time():
    logits = torch.randn(4, 50)
    for _ in range(5):
        assert torch.equal(sample(logits, temperature=0), logits.argmax(-1))


def test_the_draws_follow_the_probabilities():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    generator = torch.Generator().manual_seed(0)
    draws = sample(probabilities.log().expand(20000, 4), generator=generator)
    frequencies = draws.bincount(minlength=4) / 20000
    torch.testing.assert_close(frequencies, probabilities, rtol=0, atol=0.015)


def test_top_p_judges_what_the_temperature_made():
    logits = logits_of(0.6, 0.4).expand(500, 2)
    draws = sample(logits, temperature=0.1, top_p=0.9)  # 0.6 and 0.4 become 0.98 and 0.02
    assert (draws == 0).all()


def test_top_p_judges_what_top_k_left():
    logits = logits_of(0.4, 0.3, 0.3).expand(500, 3)
    # After top-k the first has 0.4 / 0.7 = 0.57 of what is left (here with no tie to 0.3).
    logits = logits + torch.tensor([0.0, 0.0, -1e-3])
    assert (sample(logits, top_k=2, top_p=0.5) == 0).all()


def test_a_generator_makes_draws_repeatable():
    logits = torch.randn(30, 100)
    first, second = (sample(logits, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "bad", [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 2.0}], ids=str
)
def test_a_bad_argument_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
        sample(torch.zeros(1, 3), **bad)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_draw_is_one_integer_a_row(temperature):
    tokens = sample(torch.randn(6, 9, dtype=torch.bfloat16), temperature)
    assert (tokens.shape, tokens.dtype) == ((6,), torch.int64)


def test_min_p_follows_how_sure_the_model_is():
    logits = torch.stack([logits_of(0.9, 0.06, 0.04), logits_of(0.4, 0.35, 0.25)])
    assert apply_min_p(logits, 0.1).isfinite().sum(-1).tolist() == [1, 3]


def test_min_p_keeps_ties_with_the_best_at_one_and_all_at_zero():
    logits = torch.tensor([[1.0, 1.0, 0.0, -200.0]])
    assert apply_min_p(logits, 1.0).isfinite().tolist() == [[True, True, False, False]]
    assert torch.equal(apply_min_p(logits, 0.0), logits)


@pytest.mark.parametrize("min_p", [-0.1, 1.1, float("nan")])
def test_min_p_outside_its_range_is_refused(min_p):
    with pytest.raises(ValueError, match="min_p"):
        apply_min_p(torch.zeros(1, 3), min_p)


def test_a_penalty_lowers_scores_on_both_sides_of_zero_once():
    logits = torch.tensor([[2.0, -2.0, 2.0]])
    got = apply_repetition_penalty(logits, torch.tensor([[0, 1, 0]]), 4.0)
    assert got.tolist() == [[0.5, -8.0, 2.0]]
    assert logits.tolist() == [[2.0, -2.0, 2.0]]


def test_an_id_that_is_padding_and_text_is_penalised_as_text():
    tokens, mask = torch.tensor([[0, 0, 1], [0, 1, 0]]), torch.tensor([[0, 0, 1], [0, 1, 1]])
    got = apply_repetition_penalty(torch.ones(2, 3), tokens, 2.0, mask)
    assert got.tolist() == [[1.0, 0.5, 1.0], [0.5, 0.5, 1.0]]


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("inf"), float("nan")])
def test_a_penalty_outside_its_range_is_refused(penalty):
    with pytest.raises(ValueError, match="repetition_penalty"):
        apply_repetition_penalty(torch.zeros(1, 3), torch.tensor([[0]]), penalty)


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"top_p": 0.6}, {"top_k": 4, "top_p": 0.9}])
@pytest.mark.parametrize("temperature", [0, 0.7, 2.0])
def test_sample_draws_from_the_distribution(temperature, options):
    logits = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    probs = distribution(logits, temperature, **options)
    torch.testing.assert_close(probs.sum(-1), torch.ones(1))
    drawn = sample(
        logits.expand(20_000, 6),
        temperature,
        **options,
        generator=torch.Generator().manual_seed(1),
    )
    rates = torch.bincount(drawn, minlength=6) / 20_000
    assert (rates - probs[0]).abs().max() < 0.015  # over four standard deviations
    assert not rates[probs[0] == 0].any()
