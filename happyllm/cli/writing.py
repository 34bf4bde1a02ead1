"""`happyllm generate` and `happyllm chat`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from .options import model_options, model_path, parts_option
from .words import tell

HELP = "/reset begins anew, /system LINE gives another system line, /quit ends (so does Ctrl-D)."


def sampling_options(temperature: float, tokens: int) -> Any:
    """How the next token is drawn."""

    def decorate(function: Any) -> Any:
        for one in (
            click.option(
                "--max-tokens",
                type=click.IntRange(min=1),
                default=tokens,
                help="Most tokens to write.",
            ),
            click.option("--seed", type=int, help="The same seed writes the same."),
            click.option(
                "--repetition-penalty",
                type=click.FloatRange(min=0, min_open=True),
                default=1.0,
                help="Above 1, what stands there already becomes less likely.",
                show_default="1",
            ),
            click.option(
                "--min-p",
                type=click.FloatRange(0, 1),
                default=0.0,
                help="Draw only what is at least so many times as probable as the likeliest.",
                show_default="0",
            ),
            click.option(
                "--top-p",
                type=click.FloatRange(0, 1, min_open=True),
                default=0.95,
                help="Draw from the most probable tokens that make up so much.",
                show_default="0.95",
            ),
            click.option(
                "--top-k",
                type=click.IntRange(min=0),
                default=0,
                help="Draw from so many tokens.",
                show_default="all",
            ),
            click.option(
                "--temperature",
                type=click.FloatRange(min=0),
                default=temperature,
                help="0 takes the likeliest token, 1 draws as the model says.",
                show_default=str(temperature),
            ),
        ):
            function = one(function)
        return function

    return decorate


@click.command()
@model_options
@click.option("--prompt", "-p", help="What to write on from; `-` reads standard input.")
@click.option("--n", "count", type=click.IntRange(min=1), default=1, help="How many texts.")
@sampling_options(0.8, 200)
@parts_option
def generate(
    model: Path | None,
    stage: str | None,
    lang: str | None,
    device: str,
    prompt: str | None,
    count: int,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    seed: int | None,
    max_tokens: int,
    parts: Path | None,
) -> None:
    """Let a model write on from a prompt, or from nothing."""
    from happyllm.pipeline.assemble import find_run
    from happyllm.pipeline.parts import OURS, load_parts, theirs
    from happyllm.pipeline.speak import Sampling, Speaker

    if prompt == "-" or (prompt is None and not sys.stdin.isatty()):
        prompt = sys.stdin.read().rstrip("\n")
    run = find_run(model_path(model, lang), stage)
    pieces = load_parts(parts) if parts else OURS
    with theirs(pieces):
        speaker = Speaker.load(run, device=device, pieces=pieces)
        how = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens)
        generator = how.generator(speaker.device)
        ids = speaker.text_prompt(prompt or "")
        for number in range(count):
            if number:
                click.echo("\n---")
            click.echo(prompt or "", nl=False)
            for piece in speaker.stream(ids, how, generator):
                click.echo(piece, nl=False)
                sys.stdout.flush()
        click.echo()


@click.command()
@model_options
@click.option("--system", help="The system line.", show_default="one that it was trained with")
@sampling_options(0.0, 200)
@parts_option
def chat(
    model: Path | None,
    stage: str | None,
    lang: str | None,
    device: str,
    system: str | None,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    repetition_penalty: float,
    seed: int | None,
    max_tokens: int,
    parts: Path | None,
) -> None:
    """Talk to a model.

    Ctrl-C stops an answer; Ctrl-D ends. In a pipe each line is a question, and each answer a line.
    """
    from happyllm.pipeline.assemble import find_run
    from happyllm.pipeline.corpus import meta_of
    from happyllm.pipeline.parts import OURS, load_parts, theirs
    from happyllm.pipeline.speak import Sampling, Speaker, system_line

    run = find_run(model_path(model, lang), stage)
    folder = run.parent if run.is_file() else run
    if folder.name == "pretrain":
        tell(f"{run} has not learned to answer yet: happyllm sft teaches it.", err=True)
    meta = meta_of(folder.parent / "corpus") or {}
    if system is None:
        system = system_line(meta["lang"]) if "lang" in meta else ""
    pieces = load_parts(parts) if parts else OURS
    with theirs(pieces):
        speaker = Speaker.load(run, device=device, pieces=pieces)
        how = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens)
        Talk(speaker, how, system, sys.stdin.isatty() and sys.stdout.isatty()).run(str(run))


class Talk:
    """A conversation at a terminal.

    Args:
        speaker: Who answers.
        how: How tokens are drawn.
        system: The system line; "" has none.
        terminal: Whether somebody sits there, or lines come from a pipe.
    """

    def __init__(self, speaker: Any, how: Any, system: str, terminal: bool) -> None:
        self.speaker, self.how, self.system, self.terminal = speaker, how, system, terminal
        self.generator = how.generator(speaker.device)
        self.reset()

    def reset(self) -> None:
        """Forget what was said."""
        self.messages = [{"role": "system", "content": self.system}] if self.system else []

    def run(self, name: str) -> None:
        """Ask and answer until there are no more questions."""
        if self.terminal:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - gives input() a history and arrow keys
            click.echo(name)
            tell(HELP)
            if self.system:
                tell(f"System: {self.system}")
        while (line := self.ask()) is not None:
            line = line.strip()
            if line in ("/quit", "/exit"):
                return
            if line == "/reset":
                self.reset()
                self.say("Forgotten.")
            elif line.partition(" ")[0] == "/system":
                self.system = line.partition(" ")[2].strip()
                self.reset()
                self.say(f"System: {self.system}" if self.system else "No system line.")
            elif line.startswith("/"):
                self.say(f"There is no {line.split()[0]}. {HELP}")
            elif line:
                self.answer(line)

    def ask(self) -> str | None:
        """Read a line; None at the end."""
        if not self.terminal:
            return sys.stdin.readline() or None
        while True:
            try:
                return input("\n> ")
            except EOFError:
                click.echo()
                return None
            except KeyboardInterrupt:
                tell("\n(Ctrl-D ends)")

    def say(self, text: str) -> None:
        """Say something that is no answer."""
        tell(text, err=not self.terminal)

    def answer(self, question: str) -> None:
        """Answer, and remember it; an answer that was stopped is kept as far as it came."""
        from happyllm.pipeline.folder import FolderError
        from happyllm.pipeline.speak import fit_turns

        asked = [*self.messages, {"role": "user", "content": question}]
        self.messages, dropped = fit_turns(self.speaker, asked, reserve=32)
        if dropped:
            self.say(f"(forgot the first {dropped} messages: the model has no room for them)")
        said = ""
        try:
            ids = self.speaker.chat_prompt(self.messages)
            for piece in self.speaker.stream(ids, self.how, self.generator):
                said += piece
                click.echo(piece, nl=False)
                sys.stdout.flush()
        except KeyboardInterrupt:
            click.echo(" …", nl=False)
        except FolderError as error:
            self.messages.pop()
            self.say(f"{error}")
            return
        click.echo()
        self.messages.append({"role": "assistant", "content": said})
