"""Dynamic sparse training: callbacks of `MLP.fit` that move the weights of sparse layers.

Sources: Zhu and Gupta (2018) for gradual pruning, Mocanu et al. (2018) for SET, Mostafa and Wang
(2019) for sharing weights among layers, Evci et al. (2020) for growth by gradient (RigL) and the
cosine schedule of the share that moves, Dettmers and Zettlemoyer (2019) for growth by momentum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from gradwright.kernels import check_number, whole
from gradwright.sparse.moves import Grow, Move, Prune, among

Scope = Literal["layer", "global"]


@dataclass(frozen=True)
class Rewiring:
    """A callback of `MLP.fit` that gives up weights of sparse layers and begins as many others at 0.

    >>> Rewiring(share=0.3, grow="gradient", interval=100, steps=1000).share_at(500)
    0.15

    Args:
        share: of the weights that move at the first time, in [0, 1].
        prune: "magnitude": those nearest to zero; "set": the smallest positive and the largest
            negative ones, each in proportion; "threshold": all of magnitude below `threshold`,
            whatever the share.
        grow: "random"; "gradient": where the gradient of the last batch is largest; "momentum":
            where its average over the steps since the last move is largest, among watched places.
        steps: number of steps over which the share falls to 0 as a cosine; None keeps it.
        interval: steps from one move to the next; None moves after the last batch of every epoch.
        scope: "layer": every layer keeps its number of weights; "global": the network does. The
            least of all layers end then, and new ones begin in the layers where gradient or
            momentum is largest; at random, in proportion to the weights that stayed.
        threshold: for prune="threshold".
        momentum: of the average for grow="momentum", in [0, 1).
        watched: places watched for a weight of the layer, for grow="momentum". They are drawn at
            random after every move, one in each of as many equal stretches of the places without a
            weight, and their gradients are computed in every step, like those of weights. As many
            as there are places without a weight make the method exact, and dense.

    States of the optimizer of weights that stay are kept, those of new weights are 0. What moves
    depends on the network, its seed and its step alone, so a resumed training continues bit for
    bit.
    """

    share: float = 0.3
    prune: Prune = "magnitude"
    grow: Grow = "random"
    steps: int | None = None
    interval: int | None = None
    scope: Scope = "layer"
    threshold: float = 0.0
    momentum: float = 0.9
    watched: float = 1.0

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 1)
        among("prune", self.prune, Prune)
        among("grow", self.grow, Grow)
        among("scope", self.scope, Scope)
        for name in ("steps", "interval"):
            if getattr(self, name) is not None:
                _steps(name, getattr(self, name))
        for name in ("threshold", "momentum", "watched"):
            check_number(name, getattr(self, name), 0)
        if self.momentum >= 1:
            raise ValueError(f"expected momentum in [0, 1), got {self.momentum}")
        if self.watched == 0:
            raise ValueError("expected watched > 0, got 0")

    def share_at(self, step: int) -> float:
        """The share that moves at a step: share (1 + cos(pi step / steps)) / 2."""
        if self.steps is None:
            return self.share
        return self.share * (1 + math.cos(math.pi * min(step / self.steps, 1))) / 2

    def on_train_begin(self, net: Any) -> None:
        """Begin to watch, unless a resumed training does already."""
        _require_sparse(net.backend)
        if self.grow == "gradient":
            net.backend.trace(True)
        if self.grow == "momentum":
            watched = net.backend.state()
            self._watch(
                net.backend,
                (n for n in _sparse(net.backend) if f"layer{n}.W.watched.momentum" not in watched),
            )

    def on_batch_end(self, net: Any) -> None:
        """Move weights if it is time to."""
        if self.interval is not None and _step(net.backend) % self.interval == 0:
            self.apply(net.backend)

    def on_last_batch(self, net: Any) -> None:
        """Move weights after an epoch."""
        if self.interval is None:
            self.apply(net.backend)

    def apply(self, backend: Any) -> None:
        """Move weights of all sparse layers."""
        layers = tuple(_sparse(backend))
        groups = [layers] if self.scope == "global" else [(number,) for number in layers]
        share = self.share_at(_step(backend))
        for group in groups:
            counts = [backend.specification.layers[number - 1].count for number in group]
            lost = round(share * sum(counts))
            backend.rewire(Move(group, lost, self.prune, self.threshold, None, self.grow))
        if self.grow == "momentum":
            self._watch(backend, layers)

    def _watch(self, backend: Any, layers: Any) -> None:
        for number in layers:
            count = backend.specification.layers[number - 1].count
            backend.watch(number, round(self.watched * count), self.momentum)


@dataclass(frozen=True)
class GradualPruning:
    """A callback of `MLP.fit` that gives up the smallest weights until a density is reached.

    >>> GradualPruning(density=0.1, steps=100).density_at(50)
    0.2125

    Args:
        density: at the end, in [0, 1].
        steps: number of steps over which the density falls.
        initial: density at the beginning; layers below what the schedule asks for are left alone.
        begin: the step when it begins.
        interval: steps from one move to the next.
        scope: "layer": every layer has the density; "global": the network has.

    Only sparse layers lose weights: `MLP(..., density=1.0, support="uniform")` begins with all.
    """

    density: float
    steps: int
    initial: float = 1.0
    begin: int = 0
    interval: int = 100
    scope: Scope = "layer"

    def __post_init__(self) -> None:
        for name in ("density", "initial"):
            check_number(name, getattr(self, name), 0, 1)
        if self.density > self.initial:
            raise ValueError(f"expected density <= initial, got {self.density} and {self.initial}")
        for name in ("steps", "interval"):
            _steps(name, getattr(self, name))
        if not whole(self.begin) or self.begin < 0:
            raise ValueError(f"expected begin >= 0, got {self.begin}")
        among("scope", self.scope, Scope)

    def density_at(self, step: int) -> float:
        """density + (initial - density) (1 - (step - begin) / steps)^3."""
        left = 1 - min(max((step - self.begin) / self.steps, 0), 1)
        return self.density + (self.initial - self.density) * left**3

    def on_train_begin(self, net: Any) -> None:
        """Refuse a network that has nothing to give up."""
        _require_sparse(net.backend)

    def on_batch_end(self, net: Any) -> None:
        """Give up weights if it is time to."""
        step = _step(net.backend)
        if step >= self.begin and step % self.interval == 0:
            self.apply(net.backend)

    def apply(self, backend: Any) -> None:
        """Give up weights of all sparse layers."""
        layers = tuple(_sparse(backend))
        density = self.density_at(_step(backend))
        for group in [layers] if self.scope == "global" else [(number,) for number in layers]:
            described = [backend.specification.layers[number - 1] for number in group]
            whole_matrix = sum(layer.inputs * layer.outputs for layer in described)
            lost = sum(layer.count for layer in described) - round(density * whole_matrix)
            if lost > 0:
                backend.rewire(Move(group, lost, grown=0))


def _sparse(backend: Any) -> Iterator[int]:
    """The sparse layers of a network: 1, 2, ..."""
    layers = enumerate(backend.specification.layers, start=1)
    return (number for number, layer in layers if layer.sparse)


def _require_sparse(backend: Any) -> None:
    if not any(_sparse(backend)):
        raise ValueError(
            "no layer of this network is sparse, so that no weight can move; give MLP a density "
            'below 1, or support="uniform" to begin with all weights'
        )


def _step(backend: Any) -> int:
    return int(backend.state()["step"][0])


def _steps(name: str, value: object) -> None:
    if not whole(value) or int(value) < 1:  # type: ignore[call-overload]
        raise ValueError(f"expected {name} >= 1, got {value!r}")
