"""Rows: what they hold, what is learned of them, and that documents in one row do not meet."""

import numpy as np
import pytest
import torch

from happyllm.data.tokens import TokenFile
from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.pipeline.packed import keeping_apart
from happyllm.pipeline.rows import Mixed, Rows, Stream, alike, fill
from happyllm.pipeline.vocabulary import Encoded
from happyllm.train.batches import Batches, stack

DOCS = [[5, 6, 7], [8, 9], [5, 5, 5, 5, 5, 5], [4]]
MARKS = [[0, 1, 1], [0, 1], [0, 0, 0, 0, 0, 1], [0]]


@pytest.fixture
def encoded(tmp_path):
    """The same documents as text, and as conversations."""
    ids = TokenFile.write(tmp_path / "a.bin", [[0], *DOCS], 10, 0)
    marks = TokenFile.write(tmp_path / "b.bin", [[0], *([*m, 0] for m in MARKS)], 2)
    return Encoded(ids, None), Encoded(ids, marks)


def model(kind=Transformer):
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "vocab_size": 10}
    return kind(ModelConfig(**sizes, max_seq_len=32)).eval()


def test_a_stream_shows_every_id_as_a_target_once(encoded):
    rows = Stream(encoded[0], 0, 4)
    seen = torch.cat([rows[i]["targets"] for i in range(len(rows))]).tolist()
    assert seen == encoded[0].ids.ids[1 : 4 * len(rows) + 1].tolist()


def test_single_rows_hold_a_document_from_its_beginning_to_its_end(encoded):
    rows = Rows(encoded[0], 0, 20, "single")
    assert [rows[i]["tokens"].tolist() for i in range(4)] == [[0, *doc] for doc in DOCS]
    assert [rows[i]["targets"].tolist() for i in range(4)] == [[*doc, 0] for doc in DOCS]


def test_of_a_conversation_only_the_marked_ids_are_learned(encoded):
    rows = Rows(encoded[1], 0, 20, "single")
    assert len(rows) == 3  # the last has nothing to learn
    assert rows[0]["tokens"].tolist() == [5, 6, 7]
    assert rows[0]["targets"].tolist() == [6, 7, -100]


def test_a_conversation_whose_answers_are_cut_away_is_left_out(encoded):
    assert len(Rows(encoded[1], 0, 4, "single")) == 2


def test_whole_documents_lie_side_by_side_and_the_next_is_not_foretold(encoded):
    rows = Rows(encoded[0], 0, 8, "whole", document_mask=True)
    found = [rows[i] for i in range(len(rows))]
    assert sum(int((row["targets"] != -100).sum()) for row in found) == sum(
        len(d) + 1 for d in DOCS
    )
    first = found[0]
    assert first["tokens"].tolist() == [0, 5, 6, 7, 0, 0, 8, 9]
    assert first["targets"].tolist() == [5, 6, 7, 0, -100, 8, 9, 0]
    assert first["attention_mask"].tolist() == [1, 1, 1, 1, 1, 2, 2, 2]


def whole(encoded, *sizes, **options):
    return Rows(encoded, *sizes, "whole", **options)


@pytest.mark.parametrize("kind", [whole, Stream])
def test_documents_of_a_row_do_not_meet(encoded, kind):
    kept = model(keeping_apart(Transformer))
    rows = kind(encoded[0], 0, 11, document_mask=True)
    batch = stack([rows[i] for i in range(len(rows))])
    logits, _ = kept(batch["tokens"], attention_mask=batch["attention_mask"])
    for row in range(len(rows)):
        numbers = batch["attention_mask"][row]
        for number in set(numbers.tolist()) - {0}:
            inside = numbers == number
            alone, _ = model()(batch["tokens"][row][inside][None])
            torch.testing.assert_close(logits[row][inside], alone[0], atol=1e-5, rtol=1e-4)


def test_keeping_documents_apart_needs_a_model_that_can():
    class Other(torch.nn.Module):
        pass

    with pytest.raises(TypeError, match=r"data\.document_mask=false"):
        keeping_apart(Other)


def test_packing_wastes_little():
    sizes = np.random.default_rng(0).integers(20, 200, 2000)
    ends = np.cumsum(sizes)
    documents = [(int(e - s), int(e)) for s, e in zip(sizes, ends, strict=True)]
    rows = fill(documents, 257)
    assert sorted(span for row in rows for span in row) == documents
    assert max(sum(b - a for a, b in row) for row in rows) <= 257
    assert sum(sizes) / (len(rows) * 257) > 0.95


def test_batches_of_alike_rows_are_filled_up_little_in_every_round():
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 300, 1003).tolist()

    class Some:
        def __len__(self):
            return len(lengths)

        def __getitem__(self, index):
            return {"targets": torch.zeros(lengths[index], dtype=torch.int64)}

        def order(self, generator, batch_size, begun):
            order = torch.randperm(len(self), generator=generator).tolist()
            return alike(order, lengths, batch_size, begun)

    batches = Batches(Some(), 16, epochs=3)
    targets = [batch["targets"] for batch in batches]
    real = sum(int((one != -100).sum()) for one in targets)
    assert real == 3 * sum(lengths)
    assert real / sum(one.numel() for one in targets) > 0.9
    widths = [one.shape[1] for one in targets]
    assert np.corrcoef(widths[:-1], widths[1:])[0, 1] < 0.3  # long and short come mixed


def test_a_share_of_the_rows_is_of_the_other_kind(encoded):
    text, talk = (Rows(one, 0, 20, "single") for one in encoded)
    mixed = Mixed(talk, text, 0.6)
    assert len(mixed) == 3 + round(3 * 0.6 / 0.4)
    assert mixed[3]["targets"].tolist() == text[0]["targets"].tolist()
    order = mixed.order(torch.Generator().manual_seed(0), 2)
    assert sorted(order) == list(range(len(mixed)))


def test_too_little_text_is_refused_with_the_fix(encoded):
    with pytest.raises(ValueError, match=r"too few for a row of data\.seq_len=99"):
        Stream(encoded[0], 0, 99)
