"""The learner's own files in place of ours: the same training, on what they wrote.

A workspace holds `ch5/attention.py`, `ch5/model.py` and so on. Whatever is solved there takes the
place of ours; a file that is still a stub, or builds on one, does not, and it is said so.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from happyllm import data, llama
from happyllm.llama.stream import Functions
from happyllm.pipeline.template import Template
from happyllm.pipeline.wanted import GIVES, Wanted, described
from happyllm.tokenizer import learn_merges
from happyllm.train import loss as ours_loss
from happyllm.train import muon, optim, schedule, step
from happyllm.train.batches import Batch, Collate, stack
from happyllm.train.loop import Parts

# What a training run can take from a learner, and what stands in for it.
PIECES: dict[str, Any] = {
    "ModelConfig": llama.ModelConfig,
    "Transformer": llama.Transformer,
    "generate": llama.generate,
    **{one.name: getattr(llama, one.name) for one in fields(Functions)},
    "iter_jsonl": data.iter_jsonl,
    "to_messages": data.to_messages,
    "render_chatml": data.render_chatml,
    "PretrainDataset": data.PretrainDataset,
    "SFTDataset": data.SFTDataset,
    "collate": data.collate,
    "document_ids": data.document_ids,
    "document_positions": data.document_positions,
    "document_mask": data.document_mask,
    "cosine_lr": schedule.cosine_lr,
    "AdamW": optim.AdamW,
    "Muon": muon.Muon,
    "clip_grad_norm": optim.clip_grad_norm,
    "accumulate_gradients": step.accumulate_gradients,
    "train_step": step.train_step,
    "masked_cross_entropy": ours_loss.masked_cross_entropy,
    "learn_merges": learn_merges,
}


class PartsError(Exception):
    """A learner's file cannot be used, or failed; the message names the file and the line."""


@dataclass(frozen=True)
class Pieces:
    """What a run is made of.

    Attributes:
        found: Each piece by its name, the learner's or ours.
        theirs: For each piece of the learner's, the file that it comes from.
        waiting: For each piece that is there and cannot be used, the stub that it waits for.
        digests: For each piece of the learner's, a digest of the files that it is made of.
        root: The workspace; None where all is ours.
    """

    found: dict[str, Any] = field(default_factory=lambda: dict(PIECES))
    theirs: dict[str, Path] = field(default_factory=dict)
    waiting: dict[str, Path] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    root: Path | None = None

    def expect(self, name: str, value: Any, wanted: Wanted) -> Any:
        """Hand on what a piece gave.

        Raises:
            PartsError: It is not what is wanted of that piece.
        """
        if wanted.fits(value):
            return value
        path = self.theirs[name]
        raise PartsError(
            f"{path}: {name} gave {described(value)}, where {wanted.words} is wanted; "
            f"happyllm-grade {path.parent.name}/{path.stem} says what is wrong"
        )

    @property
    def transformer(self) -> type[llama.Transformer]:
        """The class of the model."""
        kind: type[llama.Transformer] = self.found["Transformer"]
        return kind

    def config(self, **sizes: Any) -> llama.ModelConfig:
        """Make the model's configuration."""
        made: llama.ModelConfig = self.found["ModelConfig"](**sizes)
        return made

    def trainer_parts(self) -> Parts:
        """What `Trainer` is assembled from."""
        train_step = self.found["train_step"]
        own = self.theirs.keys() & {"clip_grad_norm", "accumulate_gradients"}
        if own and "train_step" not in self.theirs:  # our step, which calls what they wrote
            names = {**train_step.__globals__, **{name: self.found[name] for name in own}}
            made = types.FunctionType(train_step.__code__, names, train_step.__name__)
            made.__kwdefaults__ = train_step.__kwdefaults__
            train_step = made
        return Parts(self.found["cosine_lr"], self.found["AdamW"], self.found["Muon"], train_step)

    def objective(self) -> Callable[[nn.Module], nn.Module] | None:
        """The learner's masked loss, as a module around the model; None for the model's own."""
        if "masked_cross_entropy" not in self.theirs:
            return None
        return lambda model: MaskedLoss(model, self.found["masked_cross_entropy"])

    def turns(self) -> Callable[..., Iterator[tuple[list[int], list[int]]]]:
        """What `iter_turns` does, in the words of the learner's chat template."""
        if "render_chatml" not in self.theirs:
            return data.iter_turns
        return Template(self.found["render_chatml"]).turns

    def prompt(self) -> Callable[..., list[int]]:
        """What `encode_prompt` does, in the words of the learner's chat template."""
        if "render_chatml" not in self.theirs:
            return data.encode_prompt
        return Template(self.found["render_chatml"]).prompt

    def stack(self) -> Collate:
        """What `stack` does, with the learner's `collate` for the tokens and the targets.

        Its mask of what is real goes nowhere: rows are filled up on the right, and what stands on
        the right no token sees.
        """
        if "collate" not in self.theirs:
            return stack

        def collated(rows: Sequence[Mapping[str, torch.Tensor]]) -> Batch:
            pairs = [(row["tokens"], row["targets"]) for row in rows]
            tokens, targets, _ = self.found["collate"](pairs, 0)
            return {**stack(rows), "tokens": tokens, "targets": targets}

        return collated

    def functions(self) -> Functions:
        """What a text is written with."""
        return Functions(**{one.name: self.found[one.name] for one in fields(Functions)})


OURS = Pieces()


class MaskedLoss(nn.Module):
    """A model with another loss than its own.

    Args:
        model: Gives `(logits, loss)`.
        loss: Called as `loss(logits, targets)`.
    """

    def __init__(self, model: nn.Module, loss: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, targets: torch.Tensor, **batch: torch.Tensor) -> Any:
        """Call the model without targets, and the loss on its logits."""
        logits, _ = self.model(**batch)
        return logits, self.loss(logits, targets)


def load_parts(root: Path) -> Pieces:
    """Take from a workspace what is solved.

    Args:
        root: Its folders `ch5`, ... hold the exercises; it is put at the front of `sys.path`.

    Raises:
        PartsError: There is no such folder, nothing of it is of use here, or a file cannot be
            imported.
    """
    files = {f"{path.parent.name}.{path.stem}": path for path in sorted(root.glob("ch*/*.py"))}
    if not files:
        raise PartsError(
            f"{root}: there is no ch5/*.py in it; name the workspace that happyllm-grade init made"
        )
    trees = {name: _parse(path) for name, path in files.items()}
    stubs = {name for name, tree in trees.items() if _holds_a_stub(tree)}
    pieces = Pieces(root=root)
    for name, module in sorted(_homes(trees, files).items()):
        blocked = sorted(_needs(module, trees) & stubs, key=lambda one: (one != module, one))
        if blocked:
            pieces.waiting[name] = files[blocked[0]]
        else:
            pieces.theirs[name] = files[module]
    if not pieces.theirs:
        stub = next(iter(pieces.waiting.values()), None)
        why = f"{stub} is still a stub (NotImplementedError)" if stub else "it holds none of them"
        raise PartsError(
            f"{root}: nothing there can be trained with yet: {why}. A run takes "
            f"{', '.join(PIECES)} from it, each as soon as its file is solved."
        )
    sys.path.insert(0, str(root.resolve()))
    for name, path in pieces.theirs.items():
        module = f"{path.parent.name}.{path.stem}"
        made_of = "".join(ast.unparse(trees[one]) for one in sorted(_needs(module, trees)))
        pieces.digests[name] = hashlib.sha256(made_of.encode()).hexdigest()
        with theirs(pieces):
            found = getattr(importlib.import_module(module), name)
        pieces.found[name] = _checked(pieces, name, found) if name in GIVES else found
    return pieces


def _homes(trees: dict[str, ast.Module], files: dict[str, Path]) -> dict[str, str]:
    """Which module each piece stands in."""
    homes: dict[str, str] = {}
    for module, tree in trees.items():
        for one in tree.body:
            if not (isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name in PIECES):
                continue
            before = homes.setdefault(one.name, module)
            if before != module:
                raise PartsError(
                    f"{files[before]} and {files[module]} both define {one.name}; rename one of "
                    "them, so that it is known which is meant"
                )
    return homes


def _checked(pieces: Pieces, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A learner's function, of which nothing is handed on but what is wanted of it."""

    @functools.wraps(function)
    def call(first: Any, *more: Any, **named: Any) -> Any:
        return pieces.expect(name, function(first, *more, **named), GIVES[name](first))

    return call


class theirs:
    """Turn an exception that comes from a learner's file into one that names its line.

    Args:
        pieces: Whose files are meant.
    """

    def __init__(self, pieces: Pieces) -> None:
        self.root = None if pieces.root is None else pieces.root.resolve()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.root is None or not isinstance(error, Exception) or isinstance(error, PartsError):
            return
        if isinstance(error, SyntaxError) and error.filename:
            raise PartsError(f"{error.filename}:{error.lineno}: {error.msg}") from error
        frames = traceback.extract_tb(trace)
        mine = [one for one in frames if Path(one.filename).resolve().is_relative_to(self.root)]
        if mine:
            last = mine[-1]
            raise PartsError(
                f"{last.filename}:{last.lineno}: in {last.name}: {type(error).__name__}: {error}"
            ) from error


# ---- what is a stub, and what builds on it


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise PartsError(f"{path}:{error.lineno}: {error.msg}") from error
    except (OSError, ValueError) as error:
        raise PartsError(f"{path}: cannot be read ({error})") from error


def _holds_a_stub(tree: ast.Module) -> bool:
    """Whether there is something left to write; what a class leaves to those below it is not."""
    classes = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef)]
    below = {base.id for one in classes for base in one.bases if isinstance(base, ast.Name)}
    written = {
        method.name
        for one in classes
        for method in one.body
        if isinstance(method, ast.FunctionDef) and not _is_stub(method)
    }
    left = {
        id(method)
        for one in classes
        for method in one.body
        if one.name in below and isinstance(method, ast.FunctionDef) and method.name in written
    }
    functions = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef))
    return any(_is_stub(one) and id(one) not in left for one in functions)


def _is_stub(function: ast.FunctionDef) -> bool:
    """Whether a function does nothing but raise NotImplementedError."""
    body = function.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    if len(body) != 1 or not isinstance(body[0], ast.Raise):
        return False
    raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _needs(module: str, trees: dict[str, ast.Module]) -> set[str]:
    """A module and all that it imports of the workspace, but for what only the types ask for."""
    found, left = set[str](), [module]
    while left:
        name = left.pop()
        if name in found or name not in trees:
            continue
        found.add(name)
        for one in _run(trees[name].body):
            if isinstance(one, ast.ImportFrom) and one.module:
                left.append(one.module)
            elif isinstance(one, ast.Import):
                left += [alias.name for alias in one.names]
    return found


def _run(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield from ast.walk(statement)
