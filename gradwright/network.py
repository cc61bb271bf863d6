"""The multilayer perceptron: forward, backward, update, fit, predict, over any backend."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwright import backends
from gradwright.backends.composed import Composed
from gradwright.backends.restoring import restore_watched
from gradwright.layer import Layer, initial_arrays, shapes
from gradwright.sparse.supports import from_csr
from gradwright.specification import Named, PerLayer, Specification, choices, specify
from gradwright.training import targets as encoding
from gradwright.training.arrays import as_matrix, row_blocks
from gradwright.training.history import History
from gradwright.training.options import Data, Progress
from gradwright.training.scores import score

if TYPE_CHECKING:
    from gradwright.training.options import Data

Array = np.ndarray[Any, np.dtype[Any]]


class MLP:
    """A multilayer perceptron of generated kernels.

    >>> net = MLP([2, 16, 2], activations=["relu", "softmax"], optimizer="adam", seed=0)
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> history = net.fit(X, [0, 1, 1, 0], epochs=200, learning_rate=0.05, verbose=False)
    >>> net.predict(X)
    array([0, 1, 1, 0])

    Args:
        layer_sizes: widths from input to output, for example [784, 256, 128, 10].
        activations: one for each layer after the input: a name, or (name, {parameter: value}), or
            None for a linear layer. Default: relu, and a linear output.
        init: initialiser of the weights, "he" or (name, {parameter: value}); biases start at 0.
        loss: default: cross entropy behind softmax, binary cross entropy behind sigmoid, else half
            the squared error, averaged over samples.
        optimizer: a name, or (name, {hyperparameter: value}); default gradient descent.
        batchnorm: batch normalisation before the activation of hidden layers, or a list of flags.
        dropout: share of entries dropped behind hidden layers while training, or a list of shares.
        density: share of weights that exist, or a list of shares; below 1 a layer is sparse.
        support: where the weights of sparse layers are: "uniform", "erdos_renyi",
            ("erdos_renyi_kernel", {"kernels": [...]}), ("n_of_m", {"n": 2, "m": 4}), ("blocks",
            {"height": 4, "width": 4}) or a `gradwright.sparse.Support`; or a list, one a layer.
        weight_decay: the factor of L2 decay of the weights (decoupled for adamw).
        clip_norm: largest common Euclidean norm of all gradients of a step, or None.
        label_smoothing: share of a target that is spread over all classes.
        dtype: "float32" or "float64".
        backend: "cpp" or "numpy".
        seed: of weights, dropout and shuffling. None draws one, which `specification` records.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it and what is known.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activations: Sequence[Named] | None = None,
        init: Named = "he",
        *,
        loss: Named = None,
        optimizer: Named = None,
        batchnorm: PerLayer = False,
        dropout: PerLayer = 0.0,
        density: PerLayer = 1.0,
        support: Any = None,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        label_smoothing: float = 0.0,
        dtype: Any = "float32",
        backend: str = "cpp",
        seed: int | None = 0,
    ) -> None:
        described = specify(
            layer_sizes, activations, init=init, loss=loss, optimizer=optimizer,
            batchnorm=batchnorm, dropout=dropout, density=density, support=support,
            weight_decay=weight_decay, clip_norm=clip_norm, label_smoothing=label_smoothing,
            dtype=dtype, seed=secrets.randbits(63) if seed is None else seed,
        )  # fmt: skip
        chosen = enumerate(choices(layer_sizes, density, support), start=1)
        patterns = {number: item.pattern for number, item in chosen if item.pattern is not None}
        self._set_up(described, backend, initial_arrays(described, patterns))

    @classmethod
    def from_specification(
        cls,
        specification: Specification,
        backend: str = "cpp",
        parameters: Mapping[str, Array] | None = None,
    ) -> MLP:
        """The network of a specification; with `parameters`, as another one's `parameters()`."""
        net = cls.__new__(cls)
        if parameters is None:
            arrays = initial_arrays(specification)
        else:
            _require_fitting(specification, parameters)
            arrays = {name: parameters[name].copy() for name in shapes(specification)}
        net._set_up(specification, backend, arrays)
        return net

    def _set_up(
        self, specification: Specification, backend: str, arrays: Mapping[str, Array]
    ) -> None:
        self.backend_name = backend
        self.backend = backends.create(backend, specification, arrays)
        self.history = History()
        self.progress = Progress()
        self._layers: list[Layer] | None = None  # of the engine, once somebody has asked for them

    @property
    def specification(self) -> Specification:
        """What the network is; the densities of its layers change where weights are pruned."""
        return self.backend.specification

    # ---- One step at a time ----------------------------------------------------------------------

    def forward(self, X: Any, training: bool = True) -> Array:
        """The output activations, (N, n_out).

        In training mode, the default, all that `backward` needs is kept, dropout is on and batch
        normalisation uses the batch; `predict` and `training=False` are inference.
        """
        Y = self.backend.forward(self._inputs(X), training)
        self._refresh_layers()
        return Y

    def backward(self, y: Any, sample_weight: Any = None) -> float:
        """The loss of the last `forward(X)`; all gradients are computed and kept."""
        T = encoding.encode(self.specification, y)
        weight = encoding.weights(self.specification, sample_weight, len(T))
        loss = self.backend.backward(T, weight)
        self._refresh_layers()
        return loss

    def update(self, learning_rate: float) -> None:
        """One step of the optimizer with the gradients of the last `backward`."""
        self.backend.update(learning_rate)

    def parameters(self) -> dict[str, Array]:
        """All trained arrays by name ("layer1.W", ...), shared with the network."""
        return self.backend.parameters()

    def gradients(self) -> dict[str, Array]:
        """The gradients of the last `backward`, named as the parameters."""
        return self.backend.gradients()

    # ---- Training --------------------------------------------------------------------------------

    def fit(
        self,
        X: Data,
        y: Any = None,
        epochs: int = 10,
        learning_rate: Any = None,
        batch_size: int | None = 32,
        verbose: Any = True,
        **options: Any,
    ) -> History:
        """Train for `epochs` more passes over the data; returns `history`.

        Args:
            X: samples (N, n_in): an array, a `numpy.memmap`, or an iterable of batches (X, y).
            y: integer labels (N,), one-hot or soft rows (N, K), or regression targets.
            epochs: passes over the data.
            learning_rate: a number, a function of the step (0, 1, ...), or a schedule by name,
                ("cosine", {...}). Default: the optimizer's own.
            batch_size: samples a step; None is the full batch. The last batch may be smaller.
            verbose: False, True, or n to report every n epochs.
            **options: the fields of `gradwright.training.options.TrainingOptions`: shuffle,
                validation_data, validation_split, early_stopping, patience, min_delta,
                sample_weight, class_weight, metrics, callbacks, checkpoint, allow_nan.

        Raises:
            DivergenceError: loss or gradients are not finite; the message names the layer.
            KeyboardInterrupt: Ctrl-C; every finished step is kept.
        """
        from gradwright.training.loop import train

        return train(
            self, X, y, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size,
            verbose=verbose, **options,
        )  # fmt: skip

    def resume(self, X: Data, y: Any = None, **options: Any) -> History:
        """Finish a fit that was interrupted, bit for bit as if it never had been.

        Give the same data; the choices of the fit are remembered. Keywords: learning_rate (only
        where it was a function), validation_data, sample_weight, callbacks, verbose.
        """
        from gradwright.training.loop import resume

        return resume(self, X, y, **options)

    @property
    def loss_history(self) -> list[float]:
        """The mean training loss of every epoch so far."""
        return self.history.loss

    # ---- Use -------------------------------------------------------------------------------------

    def predict(self, X: Any) -> Array:
        """Classes (N,), 0 or 1 for each label (N, K), or the outputs (N, K) of a regression."""
        return encoding.decode(self.specification, self._known(self.outputs(X)))

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, (N, K); for one sigmoid output (N, 2)."""
        return encoding.probabilities(self.specification, self.outputs(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy for classes (all labels right, for several), R^2 for a regression."""
        return score(self.specification, y, self._known(self.outputs(X)), sample_weight)

    def _known(self, outputs: Array) -> Array:
        """The outputs; ValueError for a row of NaN, which is no class and no label."""
        unknown = np.flatnonzero(np.isnan(outputs).any(axis=1))
        if len(unknown) and self.specification.task != "regression":
            row = int(unknown[0])
            raise ValueError(f"the outputs of row {row} are NaN; are X[{row}] and all weights numbers?")
        return outputs

    def outputs(self, X: Any) -> Array:
        """The output activations at inference, in blocks of rows that bound the memory."""
        X = self._inputs(X, convert=False)
        result = np.empty((len(X), self.specification.sizes[-1]), self.specification.dtype)
        for rows in row_blocks(len(X), max(self.specification.sizes)):
            result[rows] = self.backend.forward(self._inputs(X[rows]))
        return result

    # ---- What it is ------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, over the network's own parameters, with the gradients of the last `backward`
        and a_prev, z and a of the last `forward` in training; the C++ engine hands out copies.
        """
        if isinstance(self.backend, Composed):
            return self.backend.layers
        if self._layers is None:
            self._layers = [Layer.__new__(Layer) for _ in self.specification.layers]
        self._refresh_layers()
        return self._layers

    def _refresh_layers(self) -> None:
        """Hand the engine's arrays, gradients and values to the layers, where somebody has asked for those."""
        if self._layers is None:
            return
        named = self.backend.parameters() | self.backend.state()
        gradients = self.backend.gradients()
        for number, (layer, described) in enumerate(
            zip(self._layers, self.specification.layers, strict=True), start=1
        ):
            prefix = f"layer{number}."
            layer.look_at(described, "numpy", named, prefix, self.specification.seed, number)
            layer.gradients = {
                name.removeprefix(prefix): gradient
                for name, gradient in gradients.items()
                if name.startswith(prefix)
            }
            layer.a_prev, layer.z, layer.a = self.backend.values(number)

    def summary(self) -> str:
        """Layers, parameters, loss, optimizer, and what runs them, as text."""
        from gradwright.summary import summary

        return summary(self)

    def __repr__(self) -> str:
        sizes = "-".join(str(size) for size in self.specification.sizes)
        return f"MLP({sizes}, {self.specification.dtype}, backend={self.backend_name!r})"

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything a resumed training needs to one file; see `gradwright.load`."""
        from gradwright.checkpoint import save

        save(self, path)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle of the network holds: arrays and plain values."""
        return {
            "specification": self.specification,
            "backend": self.backend_name,
            "parameters": {name: array.copy() for name, array in self.parameters().items()},
            "state": {name: array.copy() for name, array in self.backend.state().items()},
            "history": self.history,
            "progress": self.progress,
        }

    def __setstate__(self, data: dict[str, Any]) -> None:
        arrays = {name: np.array(array) for name, array in data["parameters"].items()}
        self._set_up(data["specification"], data["backend"], arrays)
        restore_watched(self.backend, data["state"])
        for name, array in self.backend.state().items():
            array[...] = data["state"][name]
        self.history, self.progress = data["history"], data["progress"]

    def _inputs(self, X: Any, convert: bool = True) -> Array:
        width = self.specification.sizes[0]
        return as_matrix("X", X, width, self.specification.dtype if convert else None)


def _require_fitting(specification: Specification, given: Mapping[str, Array]) -> None:
    """Refuse parameters of another network, and patterns of weights that are none."""
    wanted = shapes(specification)
    for name in wanted.keys() | given.keys():
        if name not in given or name not in wanted:
            where = "missing" if name in wanted else "not of this network"
            raise ValueError(f"parameters: {name} is {where}")
        array = given[name]
        dtype = "int32" if name.endswith((".indices", ".indptr")) else specification.dtype
        if array.shape != wanted[name]:
            raise ValueError(
                f"parameters: expected {name} of shape {wanted[name]}, got {array.shape}"
            )
        if array.dtype != dtype:
            raise ValueError(f"parameters: expected {name} of {dtype}, got {array.dtype}")
    for number, layer in enumerate(specification.layers, start=1):
        if layer.sparse:
            own, shape = f"layer{number}.W", (layer.outputs, layer.inputs)
            try:
                support = from_csr(shape, given[f"{own}.indptr"], given[f"{own}.indices"])
            except ValueError as error:
                raise ValueError(f"parameters: {own}: {error}") from None
            if support.indices is not given[f"{own}.indices"]:
                raise ValueError(f"parameters: {own}: expected columns that rise within a row")
