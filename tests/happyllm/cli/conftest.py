"""A folder in which everything has been done once, in seconds, by the commands themselves."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from happyllm.cli.command import command
from happyllm.cli.errors import status

# A dozen updates of a model of a few thousand parameters.
SMALL = (
    "--preset=tiny",
    "--steps=12",
    "--batch-size=4",
    "--set=model.dim=16",
    "--set=model.n_heads=2",
    "--set=model.n_kv_heads=1",
    "--set=model.n_layers=1",
    "--set=run.eval_every=6",
    "--set=run.save_every=4",
    "--set=run.questions=12",
    "--set=corpus.pretrain=150",
    "--set=corpus.sft=80",
    "--set=corpus.eval_text=10",
    "--set=corpus.eval_questions=6",
    "--set=preference.pairs=40",
)
LATER = tuple(one for one in SMALL if not one.startswith("--set=model"))


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


def happyllm(*words: object, text: str = "") -> Ran:
    """Run the command line in this process, as `main` does."""
    runner, said = CliRunner(), io.StringIO()
    result = runner.invoke(command, [str(w) for w in words], input=text, standalone_mode=False)
    code = result.return_value or 0
    if result.exception is not None:
        with contextlib.redirect_stderr(said):
            code = status(result.exception)
    return Ran(int(code), result.stdout, result.stderr + said.getvalue())


def done(ran: Ran) -> Ran:
    """The command, which must have succeeded."""
    assert ran.code == 0, ran
    return ran


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> tuple[Path, dict[str, Ran]]:
    """A working folder after pretrain, sft and dpo, and what each of them said."""
    root = tmp_path_factory.mktemp("whole") / "tales"
    said = {}
    for stage, settings in (("pretrain", SMALL), ("sft", LATER), ("dpo", LATER)):
        said[stage] = done(happyllm(stage, *settings, "--out", root))
    return root, said


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """A copy of the working folder, to be spoiled."""
    import shutil

    return Path(shutil.copytree(whole[0], tmp_path / "tales"))
