"""The statements of one block of rows, and which memory each of its values uses.

Input: a pass. Output: its lines. A value that is done lends its memory to the next one; a value
that a later pass needs again waits in the array of that pass's result, if it fits there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import expression as ex
from ..routine import Statement
from ..schedule import Pass, Step, width
from .numpy_printer import NumpyPrinter
from .numpy_steps import named, operations_of, reads_late, stored


@dataclass(frozen=True)
class Loan:
    """`value` waits in the array of `result`, which a later pass computes from it."""

    value: str
    result: str


class Block:
    """Lines of one block. `left` is to wait for a later pass, `found` waits from an earlier one."""

    def __init__(
        self, step: Pass, printer: NumpyPrinter, is_cast: Callable[[Statement], bool],
        left: Loan | None = None, found: Loan | None = None,
    ) -> None:  # fmt: skip
        self._step, self._printer, self._is_cast = step, printer, is_cast
        self._left, self._found = left, found
        self._suffix = "" if step.whole else "[rows]"
        self._body = _needed(step, found)
        self._steps = {
            s.name: operations_of(printer, s.expr) for s in self._body if width(s.shape) == 2
        }
        self._place = {s.name: i for i, s in enumerate(self._body)}
        self._last_use = _last_uses(self._body, step)
        # Who holds the memory of a result that is still to come, and of each temporary array.
        self._holders: dict[str, str | None] = {n: None for n in self._steps if n in step.stored}
        self._temporary: dict[str, str] = {}
        if left is not None:
            end = len(self._body) + len(step.accumulated)
            self._holders[left.result], self._steps[left.result] = None, []
            self._place[left.result] = self._last_use[left.value] = end

    def lines(self) -> list[str]:
        lines: list[str] = []
        for statement in self._body:
            name = statement.name
            if self._found is not None and name == self._found.value:
                self._holders[self._found.result] = name
                lines.append(f"{name} = {self._found.result}{self._suffix}")
            elif width(statement.shape) < 2:
                lines.append(self._vector(statement))
            elif name in self._step.stored:
                lines += stored(self._steps[name], name + self._suffix)
            else:
                lines += self._named(name)
        if self._left is not None and self._holders[self._left.result] != self._left.value:
            lines.append(f"{self._left.result}{self._suffix} = {self._left.value}")
        return lines

    def _vector(self, statement: Statement) -> str:
        text = self._printer.show(statement.expr)
        if statement.name in self._step.stored:
            return f"{statement.name}{self._suffix or '[:]'} = {text}"
        if self._is_cast(statement):
            text = f"({text}).astype(dtype, copy=False)"
        return f"{statement.name} = {text}"

    def _named(self, name: str) -> list[str]:
        steps = self._steps[name]
        result = next((r for r in self._holders if self._can_use_result(name, r)), None)
        if result is not None:
            self._holders[result] = name
            return named(steps, name, result + self._suffix)
        owner = next((t for t, holder in self._temporary.items()
                      if steps[0].function and self._is_done(holder, name)), None)  # fmt: skip
        if owner is not None:
            storage = self._temporary.pop(owner)
            self._temporary[name] = name
            return named(steps, name, storage)
        if steps[0].function:
            self._temporary[name] = name
        return named(steps, name, None)

    def _can_use_result(self, name: str, result: str) -> bool:
        """The result is computed later, no sooner than the last use of this value."""
        place, last = self._place[result], self._last_use[name]
        if not self._steps[name][0].function or place <= self._place[name] or last > place:
            return False
        if last == place and reads_late(self._steps[result], name):
            return False
        holder = self._holders[result]
        return holder is None or self._is_done(holder, name)

    def _is_done(self, holder: str, name: str) -> bool:
        """Whether a value is read for the last time before, or in the first step of, another."""
        last, now = self._last_use[holder], self._place[name]
        return last < now or (last == now and not reads_late(self._steps[name], holder))


def _last_uses(body: Sequence[Statement], step: Pass) -> dict[str, int]:
    """The place of the last statement that reads each value; -1 if none does."""
    readers = [set(ex.symbols_of(s.expr)) for s in (*body, *step.accumulated)]
    return {
        s.name: max((i for i, read in enumerate(readers) if s.name in read), default=-1)
        for s in body
    }


def _needed(step: Pass, found: Loan | None) -> tuple[Statement, ...]:
    """The body without what only the found value was computed from."""
    if found is None:
        return step.body
    wanted = {n for s in step.accumulated for n in ex.symbols_of(s.expr)}
    kept: list[Statement] = []
    for statement in reversed(step.body):
        if statement.name in wanted or statement.name in step.stored:
            kept.append(statement)
            if statement.name != found.value:
                wanted |= set(ex.symbols_of(statement.expr))
    return tuple(reversed(kept))


def loans(
    steps: Sequence[Step], printer: NumpyPrinter
) -> tuple[dict[int, Loan], dict[int, Loan]]:
    """Values to leave, and to find, by the place of the pass: each saves computing it again."""
    left: dict[int, Loan] = {}
    found: dict[int, Loan] = {}
    for later, step in enumerate(steps):
        for earlier in reversed(range(later)):
            before = steps[earlier]
            if not isinstance(step, Pass) or not isinstance(before, Pass) or earlier in left:
                continue
            loan = _loan(before, step, printer)
            if loan is not None and later not in found:
                left[earlier], found[later] = loan, loan
    return left, found


def _loan(before: Pass, step: Pass, printer: NumpyPrinter) -> Loan | None:
    results = [s for s in step.body if s.name in step.stored and width(s.shape) == 2]
    if before.whole or step.whole or before.space != step.space or not results:
        return None
    place = {s.name: i for i, s in enumerate(step.body)}
    last_use = _last_uses(step.body, step)
    for value in reversed([s for s in step.body if s in before.body and width(s.shape) == 2]):
        if value.name in (*before.stored, *step.stored):
            continue
        if not operations_of(printer, value.expr)[0].function:
            continue
        result, last = results[0], last_use[value.name]
        late = reads_late(operations_of(printer, result.expr), value.name)
        if last < place[result.name] or (last == place[result.name] and not late):
            return Loan(value.name, result.name)
    return None
