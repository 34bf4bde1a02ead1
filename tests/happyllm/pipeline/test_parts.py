"""A learner's parts in a run: with all of them solved the batches and the losses are ours."""

import pytest
import torch

from happyllm.pipeline.assemble import assemble, prepare
from happyllm.pipeline.folder import Folder
from happyllm.pipeline.parts import OURS, load_parts
from happyllm.pipeline.vocabulary import encode
from happyllm.train.config import load_config

SMALL = [
    "corpus.pretrain=120",
    "corpus.sft=80",
    "corpus.eval_text=10",
    "corpus.eval_questions=6",
    "data.batch_size=4",
    "run.device=cpu",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a corpus, a tokenizer and ids, and nothing trained."""
    made = Folder(tmp_path_factory.mktemp("tales"))
    for stage in ("pretrain", "sft"):
        prepare(made, load_config(preset="tiny", settings=SMALL, stage=stage), stage, print)
    return made


def trained(folder, stage, pieces, settings=()):
    """The first batches of a run, and the losses on them."""
    settings = [*SMALL, *(f"data.{one}" for one in settings)]
    trainer = assemble(
        stage, folder, load_config(preset="tiny", settings=settings, stage=stage), pieces=pieces
    )
    batches, losses = [], []
    for _ in range(6):
        batches.append(next(trainer.batches))
        trainer.update([batches[-1]])
        losses.append(trainer.loss)
    return [*batches, *trainer.evaluation()], losses


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ("pretrain", ["packing=stream"]),
        ("pretrain", ["packing=stream", "document_mask=true", "other_share=0.3"]),
        ("pretrain", ["packing=whole", "document_mask=true"]),
        ("pretrain", ["packing=single"]),
        ("sft", ["packing=stream", "seq_len=64"]),
        ("sft", ["packing=whole", "document_mask=true"]),
        ("dpo", []),
    ],
)
def test_solved_parts_make_the_batches_and_the_losses_that_ours_make(
    folder, workspace, stage, settings
):
    ours, losses = trained(folder, stage, OURS, settings)
    theirs, found = trained(folder, stage, load_parts(workspace), settings)
    assert found == pytest.approx(losses, rel=1e-5)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "settings", [[], ["document_mask=true"], ["other_share=0.3"], ["seq_len=90"]]
)
def test_rows_of_a_solved_data_set_lack_a_last_token_that_teaches_nothing(
    folder, workspace, settings
):
    ours, losses = trained(folder, "sft", OURS, settings)
    theirs, found = trained(folder, "sft", load_parts(workspace), settings)
    assert found == pytest.approx(losses, rel=1e-5)
    for one, other in zip(ours, theirs, strict=True):
        T = other["targets"].size(1)
        learned = other["targets"] != -100
        assert torch.equal(one["targets"][:, :T], other["targets"])
        assert torch.all(one["targets"][:, T:] == -100)
        ahead = learned.flip(1).cumsum(dim=1).flip(1) > 0  # what a target still follows on
        assert torch.equal(one["tokens"][:, :T][ahead], other["tokens"][ahead])


def test_ids_are_made_anew_where_what_makes_them_changes(folder, workspace):
    place, tokenizer = folder.corpus / "sft.jsonl", folder.tokenizer
    template = workspace / "ch5" / "chat_template.py"
    template.write_text(template.read_text().replace("{IM_END}\\n", "{IM_END}"))
    changed = load_parts(workspace)

    def ids(pieces):
        return encode(folder, place, tokenizer, chat=True, pieces=pieces).ids.ids.tolist()

    ours, theirs = ids(OURS), ids(changed)
    assert len(theirs) < len(ours)
    note = (folder.tokens / "sft.bin").stat().st_mtime_ns
    assert ids(changed) == theirs
    assert (folder.tokens / "sft.bin").stat().st_mtime_ns == note
    assert ids(OURS) == ours
