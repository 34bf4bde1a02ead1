"""A trained model and its tokenizer, to write on from a prompt or to answer in a conversation."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from happyllm.data.chat import IM_END, IM_START
from happyllm.llama.fast import FastDecoder
from happyllm.llama.model import Transformer
from happyllm.llama.stream import stream
from happyllm.pipeline.assemble import find_run, load_model, tokenizer_of
from happyllm.pipeline.folder import FolderError
from happyllm.pipeline.parts import OURS, Pieces
from happyllm.pipeline.vocabulary import END, load_tokenizer
from happyllm.tokenizer import BPETokenizer
from happyllm.train.hardware import choose_device

AT_ONCE = 64  # prompts in a batch


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; see `happyllm.llama.distribution`.

    Attributes:
        temperature: 0 takes the likeliest.
        top_k: Draw from so many; 0 draws from all.
        top_p: Draw from the nucleus; 1 draws from all.
        min_p: Draw what is at least so many times as probable as the likeliest; 0 draws from all.
        repetition_penalty: Makes less likely what has been written already; 1 does not.
        seed: Of the draw; None draws anew each time.
        max_new_tokens: Most tokens to write.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 200

    def generator(self, device: torch.device) -> torch.Generator:
        """Make the source of randomness."""
        made = torch.Generator(device)
        if self.seed is None:
            made.seed()
        else:
            made.manual_seed(self.seed)
        return made


class Speaker:
    """A model with its tokenizer.

    Args:
        model: In evaluation mode.
        tokenizer: Its own.
        pieces: Whose functions write, and whose chat template prompts get.
    """

    def __init__(self, model: Transformer, tokenizer: BPETokenizer, pieces: Pieces = OURS) -> None:
        self.model = FastDecoder(model) if type(model) is Transformer else model
        self.tokenizer = tokenizer
        self.write, self.functions = pieces.found["generate"], pieces.functions()
        self.prompt = pieces.prompt()
        special = tokenizer.special_tokens
        self.end, self.im_start, self.im_end = special[END], special[IM_START], special[IM_END]

    @classmethod
    def load(
        cls, path: Path, *, stage: str | None = None, device: str = "cpu", pieces: Pieces = OURS
    ) -> Speaker:
        """Load the model of a working folder, of a run, or of a checkpoint.

        Raises:
            FolderError: There is none.
            CheckpointError: It cannot be read.
        """
        run = find_run(path, stage)
        tokenizer = load_tokenizer(tokenizer_of(run))
        model = load_model(run, pieces).to(choose_device(device))
        return cls(model, tokenizer, pieces)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.tok_embeddings.weight.device

    def room(self, ids: Sequence[int], wanted: int) -> int:
        """How many tokens can be written after these: as many as wanted, or as fit.

        Raises:
            FolderError: None fit.
        """
        most = self.model.args.max_seq_len
        if len(ids) >= most:
            raise FolderError(
                f"the prompt has {len(ids)} tokens, and the model takes {most} with its answer; "
                "shorten it"
            )
        return min(wanted, most - len(ids))

    def text_prompt(self, prompt: str) -> list[int]:
        """The ids of a text that the model shall write on: a document begins with an end token."""
        return [self.end, *self.tokenizer.encode(prompt)]

    def chat_prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The ids of a conversation that the model shall answer."""
        return self.prompt(messages, self.tokenizer, self.im_start, self.im_end)

    def stream_ids(
        self, ids: Sequence[int], how: Sampling, generator: torch.Generator | None = None
    ) -> Iterator[int]:
        """Write on token by token, until one that ends a turn or a document."""
        stops = (self.end, self.im_start, self.im_end)
        written = stream(
            self.model,
            torch.tensor([list(ids)], device=self.device),
            self.room(ids, how.max_new_tokens),
            temperature=how.temperature,
            top_k=how.top_k or None,
            top_p=how.top_p if how.top_p < 1 else None,
            min_p=how.min_p or None,
            repetition_penalty=how.repetition_penalty,
            stop_tokens=stops,
            generator=generator or how.generator(self.device),
            functions=self.functions,
        )
        for chosen in written:
            token = int(chosen)
            if token in stops:
                return
            yield token

    def stream(
        self, ids: Sequence[int], how: Sampling, generator: torch.Generator | None = None
    ) -> Iterator[str]:
        """Write on piece by piece; a character comes as soon as all of its bytes are there."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in self.stream_ids(ids, how, generator):
            if token in self.tokenizer.special_tokens.values() or not self.knows(token):
                continue
            piece = decoder.decode(self.tokenizer.token(token))
            if piece:
                yield piece
        if rest := decoder.decode(b"", final=True):
            yield rest

    def knows(self, token: int) -> bool:
        """Whether the tokenizer has this id; a model may have room for more than it learned."""
        return token < self.tokenizer.vocab_size

    def answers(self, prompts: Sequence[Sequence[int]], max_new_tokens: int = 32) -> list[str]:
        """Answer many prompts greedily, in batches of about one length.

        A prompt that leaves no room for an answer gets "".
        """
        most = self.model.args.max_seq_len
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        order = [i for i in order if len(prompts[i]) < most]
        written = [""] * len(prompts)
        for begin in range(0, len(order), AT_ONCE):
            batch = order[begin : begin + AT_ONCE]
            T = max(len(prompts[i]) for i in batch)
            tokens = torch.full((len(batch), T), self.end)
            real = torch.zeros(len(batch), T, dtype=torch.int64)
            for row, i in enumerate(batch):
                tokens[row, T - len(prompts[i]) :] = torch.tensor(list(prompts[i]))
                real[row, T - len(prompts[i]) :] = 1
            out = self.write(
                self.model,
                tokens.to(self.device),
                min(max_new_tokens, most - T),
                stop_tokens=(self.im_end, self.end, self.im_start),
                pad_id=self.end,
                attention_mask=real.to(self.device),
            )
            for row, i in enumerate(batch):
                written[i] = self.until_stop(out[row, T:].tolist())
        return written

    def until_stop(self, ids: Sequence[int]) -> str:
        """The text of ids up to the first that ends a turn or a document."""
        stops = (self.end, self.im_start, self.im_end)
        place = next((i for i, token in enumerate(ids) if token in stops), len(ids))
        return self.tokenizer.decode([i for i in ids[:place] if self.knows(i)])


def fit_turns(
    speaker: Speaker, messages: list[dict[str, str]], reserve: int
) -> tuple[list[dict[str, str]], int]:
    """Leave out the oldest turns of a conversation until there is room for an answer.

    Args:
        speaker: Whose model answers.
        messages: The system line stays, and so does the last question.
        reserve: Tokens to keep free for the answer.

    Returns:
        What is left, and how many messages were left out.
    """
    most = speaker.model.args.max_seq_len
    system = [one for one in messages[:1] if one["role"] == "system"]
    turns = messages[len(system) :]
    dropped = 0
    while len(turns) > 2 and len(speaker.chat_prompt([*system, *turns])) + reserve > most:
        turns = turns[2:]
        dropped += 2
    return [*system, *turns], dropped


def system_line(lang: str) -> str:
    """A system line as the conversations of TinyTales have them."""
    from happyllm.data.tinytales.story import language

    return language(lang).systems[0]


def sample_prompt(stage: str, question: Mapping[str, Any] | None) -> list[dict[str, str]] | None:
    """What a model is asked now and then in training: a held-out question, None for free text."""
    if stage == "pretrain" or question is None:
        return None
    asked = question["questions"][0]["question"]
    return [
        {"role": "system", "content": question["system"]},
        {"role": "user", "content": f"{question['story']}\n{asked}"},
    ]
