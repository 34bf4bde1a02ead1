"""How good a model is on what it has never seen: surprise a token and a byte, exact answers."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from happyllm.data.tinytales import is_exact
from happyllm.pipeline.rows import Rows
from happyllm.pipeline.speak import Speaker
from happyllm.pipeline.vocabulary import Encoded
from happyllm.tokenizer import BPETokenizer
from happyllm.train.batches import Batches


@dataclass(frozen=True)
class Surprise:
    """How well a model predicts held-out text.

    Attributes:
        loss: Mean cross entropy, nats a token.
        perplexity: Its exponential.
        bits_per_byte: The same information over the bytes of the text, which does not depend on
            the tokenizer.
        tokens: How many tokens were predicted.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    tokens: int


@dataclass(frozen=True)
class Answers:
    """How many questions were answered exactly.

    Attributes:
        right: Answers that are exact.
        asked: Questions.
        by_kind: For each kind of question (right, asked).
        by_level: For each level of story (right, asked).
        wrong: Some answers that are not: question, expected, answer.
    """

    right: int
    asked: int
    by_kind: dict[str, tuple[int, int]]
    by_level: dict[int, tuple[int, int]]
    wrong: list[dict[str, str]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of exact answers."""
        return self.right / max(1, self.asked)

    def as_dict(self) -> dict[str, Any]:
        """For a report in JSON."""
        return {**asdict(self), "share": self.share}


@torch.no_grad()
def surprise(speaker: Speaker, encoded: Encoded, batch_size: int = 32) -> Surprise:
    """Measure how well a model predicts documents, each by itself.

    Args:
        speaker: The model.
        encoded: Documents, or conversations of which the answers count.
        batch_size: Documents at a time.
    """
    model = speaker.model.eval()
    rows = Rows(encoded, speaker.end, model.args.max_seq_len, "single")
    total, count, n_bytes = 0.0, 0, 0
    lengths = bytes_of(speaker.tokenizer)
    for batch in Batches(InOrder(rows), batch_size, seed=None, epochs=1):
        targets = batch["targets"]
        counted = targets[targets != -100]
        loss = model(batch["tokens"].to(speaker.device), targets=targets.to(speaker.device))[1]
        total += float(loss) * len(counted)
        count += len(counted)
        n_bytes += int(lengths[counted].sum())
    loss_per_token = total / max(1, count)
    return Surprise(
        loss_per_token,
        math.exp(min(loss_per_token, 700.0)),
        total / math.log(2) / max(1, n_bytes),
        count,
    )


class InOrder:
    """Rows by their length, so that little is filled up."""

    def __init__(self, rows: Rows) -> None:
        lengths = rows.lengths()
        self.rows, self.places = rows, sorted(range(len(rows)), key=lengths.__getitem__)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.rows[self.places[index]]


def bytes_of(tokenizer: BPETokenizer) -> torch.Tensor:
    """How many bytes each token stands for; special ones stand for none."""
    special = set(tokenizer.special_tokens.values())
    known = set(tokenizer.vocab.values())
    return torch.tensor(
        [
            len(tokenizer.token(i)) if i in known and i not in special else 0
            for i in range(tokenizer.vocab_size)
        ]
    )


def exact_answers(
    speaker: Speaker,
    stories: Sequence[Mapping[str, Any]],
    limit: int = 0,
    notify: Callable[[int, int], None] = lambda done, of: None,
) -> Answers:
    """Ask held-out questions about held-out stories, each in a conversation of its own.

    Args:
        speaker: The model; it answers greedily.
        stories: With "system", "story", "level" and "questions", as TinyTales writes them.
        limit: Most questions, drawn from all stories alike; 0 asks all.
        notify: Told how many are done of how many.
    """
    asked = [(story, question) for story in stories for question in story["questions"]]
    if limit and limit < len(asked):
        asked = random.Random(0).sample(asked, limit)
    prompts = [
        speaker.chat_prompt(
            [
                {"role": "system", "content": story["system"]},
                {"role": "user", "content": f"{story['story']}\n{question['question']}"},
            ]
        )
        for story, question in asked
    ]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    given = [""] * len(asked)
    for begin in range(0, len(order), 256):
        some = order[begin : begin + 256]
        for i, answer in zip(some, speaker.answers([prompts[i] for i in some]), strict=True):
            given[i] = answer
        notify(min(begin + 256, len(order)), len(order))
    kinds: defaultdict[str, list[bool]] = defaultdict(list)
    levels: defaultdict[int, list[bool]] = defaultdict(list)
    wrong: list[dict[str, str]] = []
    for (story, question), answer in zip(asked, given, strict=True):
        right = is_exact(answer, question["answer"])
        kinds[question["kind"]].append(right)
        levels[story["level"]].append(right)
        if not right and len(wrong) < 20:
            wrong.append(
                {
                    "question": question["question"],
                    "expected": question["answer"],
                    "answer": answer,
                }
            )
    return Answers(
        sum(map(sum, kinds.values())),
        len(asked),
        {kind: (sum(found), len(found)) for kind, found in sorted(kinds.items())},
        {level: (sum(found), len(found)) for level, found in sorted(levels.items())},
        wrong,
    )


def report(
    speaker: Speaker,
    text: Encoded | None,
    talks: Encoded | None,
    stories: Sequence[Mapping[str, Any]] = (),
    limit: int = 0,
    notify: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Evaluate a model on all that there is to evaluate it on, as a report in JSON has it."""
    found: dict[str, Any] = {}
    if text is not None:
        found["text"] = asdict(surprise(speaker, text))
    if talks is not None:
        found["answers"] = asdict(surprise(speaker, talks))
    if stories:
        found["questions"] = exact_answers(speaker, stories, limit, notify).as_dict()
    return found


def stories_of(corpus_folder: Path) -> list[dict[str, Any]]:
    """Read the held-out stories of a corpus; none where it has none."""
    from happyllm.pipeline.corpus import questions

    path = corpus_folder / "eval_questions.jsonl"
    return questions(path) if path.exists() else []
