"""`happyllm evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from .options import model_options, model_path, parts_option
from .words import tell


@click.command()
@model_options
@parts_option
@click.option(
    "--questions",
    type=click.IntRange(min=0),
    default=0,
    help="Most questions to ask.",
    show_default="all",
)
@click.option("--show-wrong", is_flag=True, help="List some answers that are not right.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def evaluate(
    model: Path | None,
    stage: str | None,
    lang: str | None,
    device: str,
    parts: Path | None,
    questions: int,
    show_wrong: bool,
    as_json: bool,
) -> None:
    """Evaluate a model on held-out text and held-out questions.

    Loss in nats a token, perplexity, and bits a byte; the share of exact answers, by kind of
    question and by level of story.
    """
    from happyllm.pipeline.assemble import find_run, tokenizer_of
    from happyllm.pipeline.evaluate import report, stories_of
    from happyllm.pipeline.folder import Folder, FolderError
    from happyllm.pipeline.parts import OURS, load_parts, theirs
    from happyllm.pipeline.speak import Speaker
    from happyllm.pipeline.vocabulary import Encoded, encode

    pieces = load_parts(parts) if parts else OURS
    run = find_run(model_path(model, lang), stage)
    folder = Folder((run.parent if run.is_file() else run).parent)
    chat = (run.parent if run.is_file() else run).name != "pretrain"
    with theirs(pieces):
        speaker = Speaker.load(run, device=device, pieces=pieces)
        vocabulary = tokenizer_of(run)
        text, talks = folder.corpus / "eval_text.jsonl", folder.corpus / "eval_sft.jsonl"
        if not talks.exists():
            talks = folder.corpus / "eval_questions.jsonl"
        if not text.exists() and not talks.exists():
            raise FolderError(
                f"{folder.corpus}: there is nothing held out to evaluate on; make a corpus by "
                "happyllm data"
            )

        def encoded(path: Path, chat: bool) -> Encoded | None:
            if not path.exists():
                return None
            return encode(folder, path, vocabulary, chat=chat, pieces=pieces)

        found = report(
            speaker,
            encoded(text, False),
            encoded(talks, True) if chat else None,
            stories_of(folder.corpus) if chat else (),
            questions,
        )
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    click.echo(f"{run}:")
    for line in lines_of(found):
        tell(line)
    if show_wrong:
        for one in found.get("questions", {}).get("wrong", ()):
            tell(f"  {one['question']}  {one['answer']!r}, not {one['expected']!r}")


def lines_of(found: dict[str, Any]) -> Iterator[str]:
    """A report as lines."""
    for name, said in (("text", "held-out text"), ("answers", "held-out answers")):
        if name in found:
            one = found[name]
            yield (
                f"{said}: loss {one['loss']:.3f}, perplexity {one['perplexity']:.2f}, "
                f"{one['bits_per_byte']:.3f} bits a byte ({one['tokens']:,} tokens)"
            )
    if "preferred" in found:
        yield f"right answers preferred: {found['preferred']:.1%} of held-out pairs"
    if "questions" in found:
        one = found["questions"]
        yield f"exact answers: {one['share']:.1%} ({one['right']} of {one['asked']} questions)"
        for level, (right, asked) in one["by_level"].items():
            yield f"  level {level}: {right / asked:.1%} of {asked}"
        kinds = sorted(one["by_kind"].items(), key=lambda entry: entry[1][0] / entry[1][1])
        width = max((len(kind) for kind, _ in kinds), default=0)
        for kind, (right, asked) in kinds:
            yield f"  {kind:{width}} {right / asked:6.1%} of {asked}"
