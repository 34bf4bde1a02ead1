"""Import lines, sorted and grouped as ruff's isort rules leave them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 100


@dataclass(frozen=True)
class Import:
    """One name that an import binds: `import module`, or `from module import name`.

    Attributes:
        module: the absolute name of the module.
        name: what is taken from it; None for `import module`.
        alias: what follows `as`.
        type_only: stands under `if TYPE_CHECKING:`.
    """

    module: str
    name: str | None = None
    alias: str | None = None
    type_only: bool = False

    @property
    def bound(self) -> str:
        """The name that the file then knows, `nn` for `from torch import nn`."""
        return self.alias or self.name or self.module.split(".")[0]

    @property
    def origin(self) -> str:
        """What the name stands for, equal for two imports of one thing."""
        if self.name is not None:
            return f"{self.module}.{self.name}"
        return self.module if self.alias else self.module.split(".")[0]


def render(imports: Iterable[Import], indent: int = 0) -> str:
    """Write import statements, a blank line between the groups; no newline at the end."""
    groups: dict[int, list[Import]] = {}
    for one in sorted(set(imports), key=lambda i: (i.module, i.name or "", i.alias or "")):
        groups.setdefault(_group(one.module), []).append(one)
    return "\n\n".join("\n".join(_statements(groups[key], indent)) for key in sorted(groups))


def _group(module: str) -> int:
    """0 standard library, 1 installed packages, 2 the learner's own chapters."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names:
        return 0
    return 2 if re.fullmatch(r"ch\d+", top) else 1


def _statements(group: list[Import], indent: int) -> list[str]:
    """The lines of one group: every `import x` first, then every `from x import …`."""
    pad = " " * indent
    plain = sorted((i for i in group if i.name is None), key=lambda i: _natural(i.module))
    lines = [f"{pad}import {i.module}" + (f" as {i.alias}" if i.alias else "") for i in plain]
    together: dict[tuple[str, str], list[str]] = {}  # an aliased name has a statement of its own
    for one in group:
        if one.name is not None:
            alone = f"{one.name} as {one.alias}" if one.alias else ""
            together.setdefault((one.module, alone), []).append(alone or one.name)
    statements = sorted(
        ((module, sorted(names, key=_member)) for (module, _), names in together.items()),
        key=lambda statement: (_natural(statement[0]), _member(statement[1][0])),
    )
    for module, names in statements:
        line = f"{pad}from {module} import {', '.join(names)}"
        if len(line) > WIDTH:
            inner = "".join(f"{pad}    {name},\n" for name in names)
            line = f"{pad}from {module} import (\n{inner}{pad})"
        lines.append(line)
    return lines


def _natural(text: str) -> tuple[list[str | int], str]:
    """A sorting key that ignores case and puts `ch5` before `ch10`."""
    parts = re.split(r"(\d+)", text.lower())
    return [int(part) if part.isdigit() else part for part in parts], text


def _member(name: str) -> tuple[int, tuple[list[str | int], str]]:
    """A sorting key for what is imported: CONSTANTS, then Classes, then the rest."""
    bare = name.split(" ")[0]
    kind = 0 if len(bare) > 1 and bare.isupper() else 1 if bare[0].isupper() else 2
    return kind, _natural(name)
