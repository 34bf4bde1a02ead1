import math

import pytest
import torch
import torch.nn.functional as F

from happyllm.llama.cache import new_cache
from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer

SIZES = {
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "vocab_size": 50,
    "multiple_of": 16,
    "max_seq_len": 16,
}
BOTH_PATHS = pytest.mark.parametrize("flash", [True, False], ids=["fused", "explicit"])


def make(**changes):
    """A small model whose weights are large enough that its logits tell inputs apart."""
    torch.manual_seed(0)
    model = Transformer(ModelConfig(**(SIZES | changes))).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(5) if p.dim() == 2 else p.uniform_(0.5, 1.5)
    return model


def draw(B=2, T=7):
    return torch.randint(50, (B, T))


def test_there_is_a_score_for_every_next_token_at_every_position():
    logits, loss = make()(draw())
    assert logits.shape == (2, 7, 50)
    assert loss is None


@BOTH_PATHS
def test_the_logits_do_not_depend_on_the_future(flash):
    model, tokens = make(flash_attn=flash), draw()
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 50
    torch.testing.assert_close(model(tokens)[0][:, :5], model(changed)[0][:, :5])


def test_the_loss_is_the_mean_over_the_counted_targets():
    model, tokens, targets = make(), draw(), draw()
    targets[0, :4] = -100
    logits, loss = model(tokens, targets)
    counted = targets != -100
    torch.testing.assert_close(loss, F.cross_entropy(logits[counted], targets[counted]))


def test_an_untrained_model_is_as_uncertain_as_a_fair_die():
    torch.manual_seed(0)
    _, loss = Transformer(ModelConfig(**SIZES))(draw(8, 16), draw(8, 16))
    assert abs(loss.item() - math.log(50)) < 0.1


def test_without_a_counted_target_the_loss_is_zero_and_not_nan():
    model = make()
    _, loss = model(draw(), torch.full((2, 7), -100))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_the_loss_of_a_half_precision_model_is_float32():
    logits, loss = make().bfloat16()(draw(), draw())
    assert logits.dtype == torch.bfloat16
    assert loss.dtype == torch.float32


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"targets \(2, 6\)"):
        make()(draw(), draw(T=6))


def test_two_calls_share_nothing():
    model, tokens = make(), draw()
    first, _ = model(tokens)
    before = first.clone()
    model((tokens + 1) % 50)
    assert torch.equal(first, before)


def test_keeping_the_last_logits_is_cutting_them_off():
    model, tokens = make(), draw()
    torch.testing.assert_close(model(tokens, logits_to_keep=3)[0], model(tokens)[0][:, -3:])


def test_keeping_no_logits_is_refused():
    with pytest.raises(ValueError, match="logits_to_keep=0"):
        make()(draw(), logits_to_keep=0)


def test_targets_need_all_logits():
    with pytest.raises(ValueError, match="without targets"):
        make()(draw(), draw(), logits_to_keep=1)


def test_a_sequence_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="17 tokens is longer than max_seq_len=16"):
        make()(draw(T=17))


def test_the_tokens_in_the_cache_count_towards_the_length():
    model = make()
    cache = new_cache(model.args, batch_size=2, max_seq_len=30)
    with torch.no_grad():
        model(draw(T=10), cache=cache)
        with pytest.raises(ValueError, match="20 tokens"):
            model(draw(T=10), cache=cache)


def test_a_cache_for_another_number_of_layers_is_refused():
    model = make()
    with pytest.raises(ValueError, match="cache has 1 layers, the model 2"):
        model(draw(), cache=new_cache(model.args, 2)[:1])


# Padding


def pad(tokens, T, side):
    """Pad rows of tokens to T columns; returns tokens and attention_mask."""
    rows, masks = [], []
    for row in tokens:
        fill = [0] * (T - len(row))
        ones = [1] * len(row)
        rows.append(fill + row if side == "left" else row + fill)
        masks.append(fill + ones if side == "left" else ones + fill)
    return torch.tensor(rows), torch.tensor(masks)


ROWS = [[7, 3, 9], [4], [1, 2, 3, 4, 5, 6]]


@BOTH_PATHS
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_change_a_real_token(flash, side):
    model = make(flash_attn=flash)
    tokens, mask = pad(ROWS, 8, side)
    logits, _ = model(tokens, attention_mask=mask)
    for i, row in enumerate(ROWS):
        alone, _ = model(torch.tensor([row]))
        torch.testing.assert_close(logits[i][mask[i].bool()], alone[0])


@BOTH_PATHS
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_gives_finite_logits_and_gradients(flash, side):
    model = make(flash_attn=flash)
    tokens, mask = pad(ROWS, 8, side)
    logits, _ = model(tokens, attention_mask=mask)
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_row_of_nothing_but_padding_is_finite():
    logits, _ = make()(draw(), attention_mask=torch.zeros(2, 7))
    assert logits.isfinite().all()


def test_what_the_padding_holds_does_not_matter():
    model = make()
    tokens, mask = pad(ROWS, 8, "left")
    other = torch.where(mask.bool(), tokens, 33)
    real = mask.bool()
    torch.testing.assert_close(
        model(tokens, attention_mask=mask)[0][real], model(other, attention_mask=mask)[0][real]
    )


def test_positions_count_from_the_first_real_token_of_each_row():
    model = make()
    tokens, mask = pad(ROWS, 8, "left")
    freqs_cos, freqs_sin, _ = model.positions_and_mask(tokens, mask, None)
    positions = torch.tensor([[0] * 6 + [1, 2], [0] * 8, [0] * 3 + [1, 2, 3, 4, 5]])
    assert torch.equal(freqs_cos, model.freqs_cos[positions])
    assert torch.equal(freqs_sin, model.freqs_sin[positions])


def test_a_padded_query_sees_itself_and_no_other_padding():
    tokens, attention_mask = pad([[7, 3]], 4, "left")
    _, _, mask = make().positions_and_mask(tokens, attention_mask, None)
    assert mask[0, 0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_a_mask_may_cover_as_many_tokens_as_the_model_can_take():
    model, tokens = make(), draw(T=16)
    torch.testing.assert_close(model(tokens, attention_mask=torch.ones(2, 16))[0], model(tokens)[0])


def test_a_mask_of_ones_changes_nothing():
    model, tokens = make(), draw()
    torch.testing.assert_close(model(tokens, attention_mask=torch.ones(2, 7))[0], model(tokens)[0])


def test_a_mask_must_cover_the_tokens_in_the_cache():
    model = make()
    cache = new_cache(model.args, batch_size=2)
    with torch.no_grad():
        model(draw(T=3), cache=cache)
        with pytest.raises(ValueError, match=r"attention_mask \(2, 1\) must be \(2, 4\)"):
            model(draw(T=1), attention_mask=torch.ones(2, 1), cache=cache)


@BOTH_PATHS
@pytest.mark.parametrize("pieces", [[8], [1] * 8, [5, 3], [3, 1, 4]], ids=str)
@pytest.mark.parametrize("padded", [False, True])
def test_a_text_in_pieces_with_a_cache_is_the_text_at_once(flash, pieces, padded):
    model = make(flash_attn=flash)
    tokens, mask = pad(ROWS, 8, "left")
    mask = mask if padded else None
    cache, logits, end = new_cache(model.args, batch_size=3), [], 0
    with torch.no_grad():
        for piece in tokens.split(pieces, dim=1):
            end += piece.size(1)
            seen = None if mask is None else mask[:, :end]
            logits.append(model(piece, attention_mask=seen, cache=cache)[0])
        torch.testing.assert_close(torch.cat(logits, 1), model(tokens, attention_mask=mask)[0])


# Weights


def test_matrices_start_at_two_hundredths_and_those_into_the_stream_smaller():
    torch.manual_seed(0)
    sizes = {"dim": 128, "n_layers": 8, "n_heads": 4, "n_kv_heads": 4, "vocab_size": 500}
    model = Transformer(ModelConfig(**sizes))
    small = 0.02 / math.sqrt(2 * 8)
    for name, p in model.named_parameters():
        if p.dim() == 2:
            part = name.split(".")[-2]
            expected = small if part in ("wo", "w2") else 0.02
            assert abs(p.std().item() / expected - 1) < 0.05, name
            assert abs(p.mean().item()) < expected / 20, name


def test_norms_start_at_ones():
    model = Transformer(ModelConfig(**SIZES))
    assert all((p == 1).all() for p in model.parameters() if p.dim() == 1)


def test_a_tied_weight_is_one_parameter_that_counts_once():
    tied = Transformer(ModelConfig(**SIZES))
    untied = Transformer(ModelConfig(**SIZES, tie_word_embeddings=False))
    assert tied.output.weight is tied.tok_embeddings.weight
    assert untied.output.weight is not untied.tok_embeddings.weight
    assert untied.num_params() - tied.num_params() == 50 * 32


def test_a_tied_weight_stays_tied_when_weights_are_loaded():
    model = Transformer(ModelConfig(**SIZES))
    model.load_state_dict(make().state_dict())
    assert model.output.weight is model.tok_embeddings.weight


def test_the_rotary_tables_are_not_saved():
    assert not [name for name in make().state_dict() if "freqs" in name]


def test_dropout_works_in_training_and_rests_in_evaluation():
    model, tokens = make(dropout=0.3), draw()
    assert torch.equal(model(tokens)[0], model(tokens)[0])
    model.train()
    assert not torch.equal(model(tokens)[0], model(tokens)[0])


def test_a_single_token_and_an_empty_batch_will_do():
    model = make()
    assert model(draw(T=1))[0].shape == (2, 1, 50)
    assert model(torch.zeros(0, 5, dtype=torch.int64))[0].shape == (0, 5, 50)


def test_a_model_learns_a_short_text_by_heart():
    torch.manual_seed(0)
    model = Transformer(ModelConfig(**SIZES))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    tokens = draw(2, 13)
    for _ in range(80):
        _, loss = model(tokens[:, :-1], tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
