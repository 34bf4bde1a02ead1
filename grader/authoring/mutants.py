"""Mutants of a solution: the same file with one small mistake in a body that learners write.

A suite that lets a mutant pass would let a learner's mistake pass. The operators are those of
tensor code: dimensions, casts, matmul operands, masks, shortcuts. What they make is deterministic,
so that a mutant has the same id from one run to the next.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import libcst as cst

Operator = Callable[[Any], Iterator[cst.CSTNode]]
"""Gives what may stand in place of a node."""


@dataclass(frozen=True)
class Mutant:
    """A solution with one change.

    Attributes:
        id: the function and the change's number in it, `repeat_kv:3`.
        target: the function that is changed, `repeat_kv` or `RMSNorm.forward`.
        was: the lines of the solution that are changed, without their indentation.
        becomes: what stands in their place.
        diff: the change, with the lines around it.
        text: the whole file.
    """

    id: str
    target: str
    was: str
    becomes: str
    diff: str
    text: str

    @property
    def what(self) -> str:
        """The change in one line."""
        was, becomes = (" ".join(side.split()) for side in (self.was, self.becomes))
        if not was:
            return f"`{becomes}` is put in"
        return f"`{was}` becomes `{becomes}`"


def mutate(text: str, targets: Collection[str], file: str = "solution.py") -> tuple[Mutant, ...]:
    """Make every mutant of the functions that learners write, in the order of the file.

    A change that leaves the same program, or none that Python can read, is left out.

    Args:
        text: a solution.
        targets: the functions to change, `repeat_kv` or `RMSNorm.forward`.
        file: what the diffs call it.
    """
    module = cst.parse_module(text)
    seen = {_meaning(text)}
    mutants = []
    for path, function in _functions(module):
        name = ".".join(part.name.value for part in path)
        if name not in targets:
            continue
        number = 0
        for node, new in _edits(function):
            changed = _with(module, path, function.deep_replace(node, new))
            meaning = _meaning(changed)
            if meaning is None or meaning in seen:
                continue
            seen.add(meaning)
            number += 1
            was, becomes, diff = _compared(text, changed, file)
            mutants.append(Mutant(f"{name}:{number}", name, was, becomes, diff, changed))
    return tuple(mutants)


def _meaning(text: str) -> str | None:
    """The program without its comments and its spaces; None where Python refuses it."""
    try:
        tree = ast.parse(text)
        compile(tree, "<mutant>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return ast.dump(tree)


_Path = tuple[cst.ClassDef | cst.FunctionDef, ...]


def _functions(module: cst.Module) -> Iterator[tuple[_Path, cst.FunctionDef]]:
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef):
            yield (statement,), statement
        elif isinstance(statement, cst.ClassDef):
            for part in statement.body.body:
                if isinstance(part, cst.FunctionDef):
                    yield (statement, part), part


def _with(module: cst.Module, path: _Path, new: Any) -> str:
    """The module's text with another function in the place of one."""
    if len(path) == 2:
        block = path[0].body
        parts = [new if part is path[1] else part for part in block.body]
        new = path[0].with_changes(body=block.with_changes(body=parts))
    return module.with_changes(body=[new if s is path[0] else s for s in module.body]).code


_COMMENT: Final = re.compile(r"\s{2,}#.*$")


def _compared(text: str, changed: str, file: str) -> tuple[str, str, str]:
    """The lines that went, those that came, and both as a diff."""
    old, new = text.splitlines(), changed.splitlines()
    start = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    ends = zip(reversed(old), reversed(new), strict=False)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], ends)
    end = min(sum(1 for _ in same), len(old) - start, len(new) - start)
    gone, come = old[start : len(old) - end], new[start : len(new) - end]
    around = max(0, start - 2), len(old) - end
    diff = [f"@@ {file}:{start + 1} @@"]
    diff += [f" {line}" for line in old[around[0] : start]]
    diff += [f"-{line}" for line in gone] + [f"+{line}" for line in come]
    diff += [f" {line}" for line in old[around[1] : around[1] + 2]]
    was, becomes = ("\n".join(_COMMENT.sub("", line).strip() for line in s) for s in (gone, come))
    return was, becomes, "\n".join(diff)


def _edits(function: cst.FunctionDef) -> list[tuple[cst.CSTNode, cst.CSTNode]]:
    """Every change of a function's body: a node, and what takes its place."""
    edits: list[tuple[cst.CSTNode, cst.CSTNode]] = []
    body = function.body
    if not isinstance(body, cst.IndentedBlock):
        return edits
    statements = list(body.body)
    if function.get_docstring(clean=False) is not None:
        statements = statements[1:]
    about = _About(function)
    edits.extend(_early_return(about, statements))
    walk = _Walk(about)
    for statement in statements:
        statement.visit(walk)
    return edits + walk.edits


class _About:
    """What the operators must know of the function around them."""

    def __init__(self, function: cst.FunctionDef):
        self.parameters = [p.name.value for p in function.params.params]
        self.first = next((name for name in self.parameters if name != "self"), None)
        returns = "" if function.returns is None else _code(function.returns.annotation)
        decorators = " ".join(_code(one.decorator) for one in function.decorators)
        self.gives_tensors = function.returns is None or "Tensor" in returns
        self.learns = "no_grad" not in decorators and "inference_mode" not in decorators
        everything = function.params.kwonly_params, function.params.posonly_params
        self.known = {*self.parameters, *(p.name.value for group in everything for p in group)}
        last = function.body.body[-1]
        self.last = last.body[-1] if isinstance(last, cst.SimpleStatementLine) else None


def _early_return(
    about: _About, statements: Sequence[cst.BaseStatement]
) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    """Hand the first argument back at once."""
    if about.first is None or not about.gives_tensors or not statements:
        return
    stop = cst.parse_statement(f"return {about.first}")
    yield statements[0], cst.FlattenSentinel([stop, statements[0]])  # type: ignore[misc]


class _Walk(cst.CSTVisitor):
    """Walks through a body and collects what the operators make of each node."""

    def __init__(self, about: _About):
        self.about = about
        self.known = set(about.known)
        self.covered: set[cst.CSTNode] = set()  # the condition around them is forced already
        self.edits: list[tuple[cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.FormattedString | cst.BaseString):
            return False
        if isinstance(node, cst.If) and node.orelse is None and len(node.body.body) == 1:
            self.covered.add(node.body.body[0])
        if isinstance(node, cst.SimpleStatementLine) and node not in self.covered:
            self.edits.extend((node, new) for new in self.without(node))
        if isinstance(node, cst.Raise):  # its words are nobody's business
            return False
        if isinstance(node, cst.Return):
            self.edits.extend((node, new) for new in self.cut_off(node))
        for kind, operator in _OPERATORS:
            if isinstance(node, kind):
                self.edits.extend((node, new) for new in operator(node))
        # A number with its sign is one constant.
        return not (isinstance(node, cst.UnaryOperation) and _number(node) is not None)

    def without(self, line: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
        """Leave a statement out, where what follows can run without it."""
        idle = line.with_changes(body=[cst.Pass()])
        small = line.body[0]
        if (
            (isinstance(small, cst.Expr) and not isinstance(small.value, cst.BaseString))
            or isinstance(small, cst.AugAssign | cst.Raise | cst.Break | cst.Continue)
            or (isinstance(small, cst.Return) and small is not self.about.last)
        ):
            yield idle
        elif isinstance(small, cst.Assign):
            names = [name for target in small.targets for name in _names(target.target)]
            if all(name is None or name in self.known for name in names):
                yield idle
            self.known |= {name for name in names if name is not None}

    def cut_off(self, node: cst.Return) -> Iterator[cst.CSTNode]:
        """Cut an answer off from the graph, or exchange the parts of a pair."""
        value = node.value
        if value is None:
            return
        if isinstance(value, cst.Tuple):
            for index, element in enumerate(value.elements):
                if self.about.gives_tensors and self.about.learns:
                    cut = _method(element.value, "detach")
                    elements = list(value.elements)
                    elements[index] = element.with_changes(value=cut)
                    yield node.with_changes(value=value.with_changes(elements=elements))
            for index in range(len(value.elements) - 1):
                elements = list(value.elements)
                one, other = elements[index], elements[index + 1]
                elements[index] = one.with_changes(value=other.value)
                elements[index + 1] = other.with_changes(value=one.value)
                yield node.with_changes(value=value.with_changes(elements=elements))
        elif self.about.gives_tensors and self.about.learns:
            yield node.with_changes(value=_method(value, "detach"))


def _names(target: cst.BaseExpression) -> Iterator[str | None]:
    """The names that an assignment binds; None for an attribute or an item."""
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _names(element.value)
    else:
        yield target.value if isinstance(target, cst.Name) else None


# ---- the operators


def _compare(node: cst.Comparison) -> Iterator[cst.CSTNode]:
    for index, target in enumerate(node.comparisons):
        other = _FLIPPED.get(type(target.operator))
        if other is not None:
            comparisons = list(node.comparisons)
            comparisons[index] = target.with_changes(operator=other())
            yield node.with_changes(comparisons=comparisons)


def _arithmetic(node: cst.BinaryOperation) -> Iterator[cst.CSTNode]:
    other = _EXCHANGED.get(type(node.operator))
    if other is not None:
        yield node.with_changes(operator=other())
    if isinstance(node.operator, cst.MatrixMultiply):
        yield node.with_changes(left=node.right, right=node.left)
        yield node.with_changes(right=cst.Attribute(_firm(node.right), cst.Name("mT")))
    if isinstance(node.operator, cst.Multiply | cst.Divide):
        yield _as(node, node.left)


def _augmented(node: cst.AugAssign) -> Iterator[cst.CSTNode]:
    other = _AUGMENTED.get(type(node.operator))
    if other is not None:
        yield node.with_changes(operator=other())


def _sign(node: cst.UnaryOperation) -> Iterator[cst.CSTNode]:
    if _number(node) is None and not isinstance(node.operator, cst.Plus):
        yield _as(node, node.expression)


def _either(node: cst.BooleanOperation) -> Iterator[cst.CSTNode]:
    other = cst.Or if isinstance(node.operator, cst.And) else cst.And
    yield node.with_changes(operator=other())
    yield _as(node, node.left)
    yield _as(node, node.right)


def _constant(node: cst.BaseExpression) -> Iterator[cst.CSTNode]:
    value = _number(node)
    if value is None:
        return
    if isinstance(value, int):
        others: list[float] = [value + 1, value - 1, *([-value] if value < 0 else [])]
    else:
        others = [value / 2, value + 1] if value else [1.0]
    for other in others:
        yield cst.parse_expression(repr(other))


def _truth(node: cst.Name) -> Iterator[cst.CSTNode]:
    if node.value in ("True", "False"):
        yield cst.Name("False" if node.value == "True" else "True")


def _call(node: cst.Call) -> Iterator[cst.CSTNode]:
    name = _last_name(node.func)
    if name in _TWINS:
        twin = cst.Name(_TWINS[name])
        func = node.func
        yield node.with_changes(
            func=func.with_changes(attr=twin) if isinstance(func, cst.Attribute) else twin
        )
    yield from _skipped(node, name)
    yield from _other_arguments(node, name)


def _skipped(node: cst.Call, name: str) -> Iterator[cst.CSTNode]:
    """Hand on what goes into a call: `x.float()`, `F.silu(x)`, `self.norm(x)` become `x`."""
    owner = node.func.value if isinstance(node.func, cst.Attribute) else None
    first = next((a.value for a in node.args if a.keyword is None and not a.star), None)
    through = isinstance(owner, cst.Name) and owner.value in ("F", "math", "self")
    through = through or (isinstance(owner, cst.Name) and name in _TORCH_FUNCTIONS)
    through = through or (owner is None and name.islower() and name not in _BUILTINS)
    if through:
        if first is not None:
            yield _as(node, _firm(first))
    elif owner is not None and _code(owner) not in _MODULES and not _is_super(owner):
        yield _as(node, owner)


def _other_arguments(node: cst.Call, name: str) -> Iterator[cst.CSTNode]:
    for index, argument in enumerate(node.args):
        if argument.keyword is not None and argument.keyword.value != "device":
            rest = [*node.args[:index], *node.args[index + 1 :]]
            if rest:
                rest[-1] = rest[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            yield node.with_changes(args=rest)
    if name in _SYMMETRIC:
        return
    for index in range(len(node.args) - 1):
        one, other = node.args[index], node.args[index + 1]
        if any(a.keyword is not None or a.star for a in (one, other)):
            continue
        if _code(one.value) != _code(other.value):
            args = list(node.args)
            args[index] = one.with_changes(value=other.value)
            args[index + 1] = other.with_changes(value=one.value)
            yield node.with_changes(args=args)
    if name == "range" and node.args:
        at = min(1, len(node.args) - 1)
        for operator in (cst.Subtract(), cst.Add()):
            bound = cst.BinaryOperation(_firm(node.args[at].value), operator, cst.Integer("1"))
            args = list(node.args)
            args[at] = args[at].with_changes(value=bound)
            yield node.with_changes(args=args)


def _condition(node: cst.If) -> Iterator[cst.CSTNode]:
    for truth in ("True", "False"):
        yield node.with_changes(
            test=cst.Name(truth), whitespace_before_test=cst.SimpleWhitespace(" ")
        )


def _never(node: cst.While) -> Iterator[cst.CSTNode]:
    yield node.with_changes(test=cst.Name("False"))


def _branch(node: cst.IfExp) -> Iterator[cst.CSTNode]:
    yield _as(node, node.body)
    yield _as(node, node.orelse)


def _filter(node: cst.CompIf) -> Iterator[cst.CSTNode]:
    yield node.with_changes(test=cst.Name("True"))


def _slice(node: cst.Slice) -> Iterator[cst.CSTNode]:
    if node.lower is not None:
        yield node.with_changes(lower=None)
    if node.upper is not None:
        yield node.with_changes(upper=None)
    if node.step is not None:
        yield node.with_changes(step=None, second_colon=cst.MaybeSentinel.DEFAULT)


def _precision(node: cst.Attribute) -> Iterator[cst.CSTNode]:
    if _code(node) == "torch.float32":
        yield node.with_changes(attr=cst.Name("float16"))


_OPERATORS: Final[
    tuple[tuple[type[cst.CSTNode] | tuple[type[cst.CSTNode], ...], Operator], ...]
] = (
    (cst.Comparison, _compare),
    (cst.BinaryOperation, _arithmetic),
    (cst.AugAssign, _augmented),
    (cst.UnaryOperation, _sign),
    (cst.BooleanOperation, _either),
    ((cst.Integer, cst.Float, cst.UnaryOperation), _constant),
    (cst.Name, _truth),
    (cst.Call, _call),
    (cst.If, _condition),
    (cst.While, _never),
    (cst.IfExp, _branch),
    (cst.CompIf, _filter),
    (cst.Slice, _slice),
    (cst.Attribute, _precision),
)

_FLIPPED: Final[dict[type, type[cst.BaseCompOp]]] = {
    cst.Equal: cst.NotEqual,
    cst.NotEqual: cst.Equal,
    cst.LessThan: cst.LessThanEqual,
    cst.LessThanEqual: cst.LessThan,
    cst.GreaterThan: cst.GreaterThanEqual,
    cst.GreaterThanEqual: cst.GreaterThan,
    cst.Is: cst.IsNot,
    cst.IsNot: cst.Is,
    cst.In: cst.NotIn,
    cst.NotIn: cst.In,
}

_EXCHANGED: Final[dict[type, type[cst.BaseBinaryOp]]] = {
    cst.Add: cst.Subtract,
    cst.Subtract: cst.Add,
    cst.Multiply: cst.Divide,
    cst.Divide: cst.Multiply,
    cst.FloorDivide: cst.Multiply,
    cst.Modulo: cst.FloorDivide,
    cst.Power: cst.Multiply,
    cst.BitAnd: cst.BitOr,
    cst.BitOr: cst.BitAnd,
}

_AUGMENTED: Final[dict[type, type[cst.BaseAugOp]]] = {
    cst.AddAssign: cst.SubtractAssign,
    cst.SubtractAssign: cst.AddAssign,
    cst.MultiplyAssign: cst.DivideAssign,
    cst.DivideAssign: cst.MultiplyAssign,
    cst.BitAndAssign: cst.BitOrAssign,
    cst.BitOrAssign: cst.BitAndAssign,
}

_PAIRS: Final = (
    *(("max", "min"), ("amax", "amin"), ("maximum", "minimum"), ("argmax", "argmin")),
    *(("ones", "zeros"), ("ones_like", "zeros_like"), ("ones_", "zeros_"), ("triu", "tril")),
    *(("cos", "sin"), ("floor", "ceil"), ("any", "all"), ("mean", "sum"), ("sqrt", "rsqrt")),
    *(("stack", "cat"), ("softmax", "log_softmax"), ("silu", "gelu"), ("cumsum", "cumprod")),
    *(("rand", "randn"), ("logical_and", "logical_or"), ("clamp_min", "clamp_max")),
)
_TWINS: Final = dict(_PAIRS) | {b: a for a, b in _PAIRS}

_TORCH_FUNCTIONS: Final = frozenset(
    {"sqrt", "rsqrt", "exp", "log", "sigmoid", "softmax", "relu", "tanh", "abs", "square"}
    | {"cumsum", "triu", "tril", "flip", "sort", "transpose", "permute", "repeat_interleave"}
)
_MODULES: Final = frozenset({"torch", "F", "nn", "math", "torch.nn", "nn.init", "nn.functional"})
_BUILTINS: Final = frozenset({"len", "range", "isinstance", "super", "print", "zip", "enumerate"})
_SYMMETRIC: Final = frozenset(
    {"transpose", "swapaxes", "isinstance", "max", "min", "maximum", "minimum", "setattr"}
)


# ---- small parts


def _code(node: cst.CSTNode) -> str:
    return cst.Module(body=()).code_for_node(node)


def _number(node: cst.CSTNode) -> int | float | None:
    """The value of a number, with its sign."""
    if isinstance(node, cst.Integer | cst.Float):
        return node.evaluated_value
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
        value = _number(node.expression)
        return None if value is None else -value
    return None


def _last_name(func: cst.BaseExpression) -> str:
    if isinstance(func, cst.Attribute):
        return func.attr.value
    return func.value if isinstance(func, cst.Name) else ""


def _is_super(owner: cst.BaseExpression) -> bool:
    return isinstance(owner, cst.Call) and _last_name(owner.func) == "super"


def _firm(node: cst.BaseExpression) -> cst.BaseExpression:
    """An expression that keeps together wherever it is put."""
    loose = cst.BinaryOperation | cst.UnaryOperation | cst.Comparison | cst.BooleanOperation
    if isinstance(node, loose | cst.IfExp | cst.Lambda | cst.Tuple) and not node.lpar:
        return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return node


def _as(node: cst.BaseExpression, new: cst.BaseExpression) -> cst.BaseExpression:
    """An expression in the place, and in the parentheses, of the one around it."""
    if node.lpar and not new.lpar:
        return new.with_changes(lpar=node.lpar, rpar=node.rpar)
    return new


def _method(value: cst.BaseExpression, name: str) -> cst.BaseExpression:
    return cst.Call(cst.Attribute(_firm(value), cst.Name(name)))
