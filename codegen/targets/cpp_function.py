"""A C++ kernel function: its parameters by role, and its body."""

from __future__ import annotations

from dataclasses import dataclass

from ..expression import Shape
from ..schedule import width


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel. `role`: argument, labels, pattern, result or scratch."""

    name: str
    identifier: str
    shape: Shape
    type: str
    role: str

    @property
    def declaration(self) -> str:
        return f"{self.cpp_type} {self.identifier}"

    @property
    def cpp_type(self) -> str:
        """By value; a 1 x 1 result by reference."""
        if self.role == "labels":
            return "Target"
        if self.role == "pattern":
            return "Pattern"
        if not width(self.shape):
            return f"{self.type}&" if self.role == "result" else self.type
        view = "Matrix" if width(self.shape) == 2 else "Vector"
        return f"{view}<{'const ' if self.role == 'argument' else ''}{self.type}>"


@dataclass(frozen=True)
class Function:
    """A kernel function: `body` are the lines between the braces."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[str, ...]

    @property
    def labels(self) -> str | None:
        """The target that may be given as labels."""
        return next((p.name for p in self.parameters if p.role == "labels"), None)

    @property
    def template(self) -> str:
        return "template <class Real, class Target>" if self.labels else "template <class Real>"

    def of_role(self, *roles: str) -> list[Parameter]:
        return [p for p in self.parameters if p.role in roles]
