"""What runs a network: the protocol that every backend keeps, and the choice of one.

Conventions that all backends share, so that they agree to rounding:

* A layer is linear, then batch normalisation (if asked for), activation, dropout. The linear layer
  keeps its bias under batch normalisation. The output layer has neither normalisation nor dropout.
* Batch normalisation in training uses the biased variance of the batch and epsilon 1e-5; running
  statistics are `0.9 * running + 0.1 * batch`, with the biased variance too, and start at 0 and 1.
* Dropout keeps entry e (row-major, in the batch) of layer l (1, 2, ...) at step t (updates made so
  far) when 32 random bits, read as an integer, are at least `floor(rate * 2**32)`; kept entries are
  multiplied by 1 / (1 - rate). The bits come from Philox4x64-10 with key (seed, l): word e // 2 of
  its output, low half first; the four words of block b have the counter (b + 1, t, 0, 0).
* The loss kernel is `Specification.loss_kernel`; where `loss_on_logits`, it gets what the output
  activation would get. With sample weights w the loss is sum(w_i l_i) / sum(w), for losses that are
  sums sum(w_i l_i); a batch of zero weights has loss 0 and gradients 0.
* A step adds `weight_decay * theta` to the gradients of the weights W, unless the optimizer has a
  hyperparameter of that name, which then applies to W alone; before that, gradients are scaled by
  `clip_norm / norm` where their common Euclidean norm is larger than `clip_norm`.
* A step with an infinite or NaN gradient is refused with FloatingPointError, nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from gradwright.sparse.moves import Move
    from gradwright.sparse.supports import Support
    from gradwright.specification import Specification

    Array = np.ndarray[Any, np.dtype[Any]]
else:
    Array = Any

NAMES = ("cpp", "numpy")
BATCHNORM_EPSILON = 1e-5
BATCHNORM_MOMENTUM = 0.9


class Backend(Protocol):
    """Runs the network of a specification. Not safe for use from several threads at once."""

    specification: Specification

    def describe(self) -> str:
        """One line that says what runs, for `MLP.summary()`."""

    def parameters(self) -> dict[str, Array]:
        """The trained arrays, shared with the backend: writing into them changes the network.

        "layer1.W" (K, D), "layer1.b" (K,), "layer1.gamma" and "layer1.beta" (K,), in the order of
        the layers; sparse layers have "layer1.W.values", "layer1.W.indices" and "layer1.W.indptr"
        (CSR, int32; indices may be copies, and neither is to be written into: `replace` is).
        """

    def state(self) -> dict[str, Array]:
        """The other arrays a resumed training needs, shared with the backend.

        "step", shape (1,), int64: updates made; "layer1.W.m": an optimizer's state m of layer1.W;
        "layer1.mean" and "layer1.variance": running statistics.
        """

    def forward(self, X: Array, training: bool = False) -> Array:
        """(N, D) -> (N, K): the output after the last activation.

        With `training`, batch statistics and dropout are used and what `backward` needs is kept.
        """

    def values(self, number: int) -> tuple[Array | None, Array | None, Array | None]:
        """Input, linear map and output of layer 1, 2, ... for the last such batch, or copies of them.

        None where the network may have computed something else since.
        """

    def backward(self, targets: Array, sample_weight: Array | None = None) -> float:
        """The loss of the last `forward(..., training=True)`; the gradients are kept.

        targets: (N, K) of the network's dtype, or integer labels (N,). sample_weight: (N,), same
        dtype. Raises RuntimeError without such a forward pass.
        """

    def evaluate(self, X: Array, targets: Array, sample_weight: Array | None = None) -> float:
        """The loss at inference, computed as in training: on logits where `loss_on_logits`."""

    def gradients(self) -> dict[str, Array]:
        """The gradients of the last `backward`, named as the parameters."""

    def update(self, learning_rate: float) -> None:
        """One step of the optimizer with the kept gradients."""

    def support(self, number: int) -> Support:
        """Where the weights of a sparse layer, 1, 2, ..., are."""

    def rewire(self, move: Move) -> None:
        """Give up weights and begin others at 0; what stays keeps its value and states.

        Arrays of layers whose number of weights changes are new ones, and so is `specification`.
        """

    def replace(self, number: int, support: Support, values: Array) -> None:
        """Other weights for a sparse layer; where there was one already, states are kept."""

    def trace(self, on: bool) -> None:
        """Whether to keep what gradients of absent weights are made of, from now on."""

    def weight_gradient(self, number: int, first: int, last: int) -> Array:
        """Rows of the dense gradient of W of the last step. RuntimeError if there was none."""

    def watch(self, number: int, count: int, beta: float) -> None:
        """Average the gradients of so many places without a weight, at random, from now on."""

    def restore_watched(
        self, number: int, indptr: Array, indices: Array, momentum: Array, beta: float
    ) -> None:
        """Average the gradients of these places from now on."""

    def epoch(
        self,
        X: Array,
        targets: Array,
        order: Array,
        batch_size: int,
        learning_rates: Array,
        sample_weight: Array | None = None,
        losses: Array | None = None,
    ) -> Array:
        """Train on all batches of `order` and return their losses (float64).

        X and targets: the whole data, (M, D) and (M, K) or (M,), of the network's dtype. order: the
        indices of samples, int64; batch i is order[i * batch_size : (i + 1) * batch_size], the last
        may be smaller. learning_rates: one a batch, float64. losses: the array to return, filled
        batch by batch, so that those of finished batches are there after an interrupt.

        Raises KeyboardInterrupt, but only between two batches: `state()["step"]` says how many were
        finished. Raises FloatingPointError if a loss or gradient is not finite, before that step
        changes anything.
        """


def create(name: str, specification: Specification, arrays: Mapping[str, Array]) -> Backend:
    """The backend of this name with these initial parameters, which are its own from now on.

    Raises ValueError for a name that is not in `NAMES` or a network the backend cannot run.
    """
    if name == "numpy":
        from gradwright.backends.composed import Composed

        return Composed("numpy", specification, arrays, copy=False)
    if name == "cpp":
        if find_spec("gradwright._engine") is not None:
            from gradwright.backends import cpp

            if cpp.runs(specification):
                return cpp.Engine(specification, arrays, copy=False)
        from gradwright.backends.composed import Composed

        return Composed("cpp", specification, arrays, copy=False)
    from gradwright.kernels import unknown

    raise ValueError(unknown("backend", name, NAMES))
