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
from .numpy_printer import NumpyPrinter, rows_of
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
        accumulate: Callable[[NumpyPrinter, Statement], str],
        left: Loan | None = None, found: Loan | None = None,
    ) -> None:  # fmt: skip
        self._step, self._printer, self._is_cast = step, printer, is_cast
        self._accumulate = accumulate
        self._left, self._found = left, found
        body = _needed(step, found)
        self._order = _in_order(body, step)
        self._steps = {s.name: operations_of(printer, s.expr) for s in body if width(s.shape) == 2}
        self._place = {s.name: i for i, s in enumerate(self._order)}
        self._last_use = _last_uses(self._order)
        # Who holds the memory of a result that is still to come, and of each temporary array.
        self._holders: dict[str, str | None] = {n: None for n in self._steps if n in step.stored}
        self._temporary: dict[str, str] = {}
        if left is not None:
            end = len(self._order)
            self._holders[left.result], self._steps[left.result] = None, []
            self._place[left.result] = self._last_use[left.value] = end

    def lines(self) -> list[str]:
        lines: list[str] = []
        for statement in self._order:
            name = statement.name
            if statement in self._step.accumulated:
                lines.append(self._accumulate(self._printer, statement))
            elif self._found is not None and name == self._found.value:
                self._holders[self._found.result] = name
                lines.append(f"{name} = {self._rows(self._found.result)}")
            elif width(statement.shape) < 2:
                lines.append(self._vector(statement))
            elif name in self._step.stored:
                lines += stored(self._steps[name], self._rows(name))
            else:
                lines += self._named(name)
        if self._left is not None and self._holders[self._left.result] != self._left.value:
            lines.append(f"{self._rows(self._left.result)}[...] = {self._left.value}")
        return lines

    def _rows(self, name: str) -> str:
        return name if self._step.whole else rows_of(name)

    def _vector(self, statement: Statement) -> str:
        text = self._printer.show(statement.expr)
        if statement.name in self._step.stored:
            return f"{self._rows(statement.name)}[...] = {text}"
        if self._is_cast(statement):
            text = f"({text}).astype(dtype, copy=False)"
        return f"{statement.name} = {text}"

    def _named(self, name: str) -> list[str]:
        steps = self._steps[name]
        result = next((r for r in self._holders if self._can_use_result(name, r)), None)
        if result is not None:
            self._holders[result] = name
            return named(steps, name, self._rows(result))
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


def _in_order(body: Sequence[Statement], step: Pass) -> list[Statement]:
    """The body, and sums over rows as soon as what they read is there. Results that nothing else
    in the pass reads come last: until then their arrays hold other values."""
    read = {n for s in (*body, *step.accumulated) for n in ex.symbols_of(s.expr)}
    final = [s for s in body if s.name in step.stored and width(s.shape) == 2 and s.name not in read]
    body = [s for s in body if s not in final]
    order: list[Statement] = []
    waiting = {s: set(ex.symbols_of(s.expr)) & {b.name for b in body} for s in step.accumulated}
    for statement in body:
        order.append(statement)
        known = {o.name for o in order}
        ready = [s for s, names in waiting.items() if names and names <= known]
        order += ready
        for found in ready:
            del waiting[found]
    return [*order, *waiting, *final]


def _last_uses(order: Sequence[Statement]) -> dict[str, int]:
    """The place of the last statement that reads each value; -1 if none does."""
    readers = [set(ex.symbols_of(s.expr)) for s in order]
    return {
        s.name: max((i for i, read in enumerate(readers) if s.name in read), default=-1)
        for s in order
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
    for later, step in reversed(list(enumerate(steps))):
        for earlier in reversed(range(later)):
            before = steps[earlier]
            if not isinstance(step, Pass) or not isinstance(before, Pass) or earlier in left:
                continue
            loan = _loan(before, step, printer, left.get(later))
            if loan is not None and later not in found:
                left[earlier], found[later] = loan, loan
    return left, found


def _loan(before: Pass, step: Pass, printer: NumpyPrinter, left: Loan | None) -> Loan | None:
    """What may wait in a result of the later pass, or in what that pass leaves for the next."""
    results = [s for s in step.body if s.name in step.stored and width(s.shape) == 2]
    if before.whole or step.whole or before.space != step.space or not (results or left):
        return None
    order = _in_order(step.body, step)
    place = {s.name: i for i, s in enumerate(order)}
    last_use = _last_uses(order)
    for value in reversed([s for s in step.body if s in before.body and width(s.shape) == 2]):
        if value.name in (*before.stored, *step.stored):
            continue
        if not operations_of(printer, value.expr)[0].function:
            continue
        if not results:
            return Loan(value.name, left.result) if left else None
        result, last = results[0], last_use[value.name]
        late = reads_late(operations_of(printer, result.expr), value.name)
        if last < place[result.name] or (last == place[result.name] and not late):
            return Loan(value.name, result.name)
    return None
