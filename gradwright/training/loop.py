"""The loop over epochs: every fit and every resumed fit goes through `Run`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwright import kernels, schedules
from gradwright.backends.interrupts import between_batches
from gradwright.backends.restoring import restore
from gradwright.training import targets as encoding
from gradwright.training.arrays import as_matrix, row_blocks
from gradwright.training.display import display
from gradwright.training.divergence import diverged, first_nonfinite
from gradwright.training.history import History
from gradwright.training.options import Callback, Progress, TrainingOptions, events, schedule
from gradwright.training.scores import evaluator
from gradwright.training.sources import (
    ArraySource,
    BatchSource,
    Chunk,
    Source,
    checked,
    generator,
)  # fmt: skip

if TYPE_CHECKING:
    from gradwright.network import MLP

Array = np.ndarray[Any, np.dtype[Any]]


def train(
    net: MLP, X: Any, y: Any, *, epochs: int, verbose: Any = True, validation_data: Any = None,
    sample_weight: Any = None, callbacks: Sequence[Callback] = (), **options: Any,
) -> History:  # fmt: skip
    """Begin a fit; see `MLP.fit`."""
    if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)):
        raise TypeError(f"epochs is {epochs!r}, expected a whole number")
    if epochs < 0:
        raise ValueError(f"expected epochs >= 0, got {epochs}")
    usual = kernels.face(net.specification.optimizer).hyperparameters["learning_rate"]
    if options.get("learning_rate") is None:
        options["learning_rate"] = usual
    chosen = TrainingOptions.create(options)
    run = Run(net, X, y, chosen, validation_data, sample_weight, callbacks)
    run.complete_schedule(usual, int(epochs))
    step = int(net.backend.state()["step"][0])
    done = net.progress.epoch
    net.progress = Progress(done, done + int(epochs), step, step, options=run.options.to_json())
    net.history.stopped = ""
    return run.go(verbose)


def resume(
    net: MLP, X: Any, y: Any = None, *, learning_rate: Any = None, verbose: Any = True,
    validation_data: Any = None, sample_weight: Any = None, callbacks: Sequence[Callback] = (),
) -> History:  # fmt: skip
    """Finish the fit that was interrupted; see `MLP.resume`."""
    if not net.progress.unfinished:
        raise ValueError(
            f"there is nothing to resume: {net.progress.epoch} of {net.progress.target} epochs are "
            "finished; train on with fit"
        )
    made = int(net.backend.state()["step"][0]) - net.progress.epoch_step - len(net.progress.losses)
    if made > 0:
        raise ValueError(
            f"the network has made {made} steps since the fit was interrupted; train on with fit"
        )
    assert net.progress.options is not None  # noqa: S101
    chosen = TrainingOptions.from_json(net.progress.options, learning_rate)
    net.history.stopped = ""
    return Run(net, X, y, chosen, validation_data, sample_weight, callbacks).go(verbose)


class Run:
    """One fit: its data and the loop. All that changes is kept in the network."""

    def __init__(
        self, net: MLP, X: Any, y: Any, options: TrainingOptions, validation_data: Any,
        sample_weight: Any, callbacks: Sequence[Callback],
    ) -> None:  # fmt: skip
        self._net, self.options, self._callbacks = net, options, tuple(callbacks)
        self._rate = schedule(options.learning_rate)
        self._metrics = [evaluator(net.specification, item) for item in options.metrics]
        self._validation: tuple[Array, Array] | None = None
        self._training: tuple[Array, Array] | None = None
        self._source = self._sources(X, y, validation_data, sample_weight)

    def _sources(self, X: Any, y: Any, validation_data: Any, sample_weight: Any) -> Source:
        net, options = self._net, self.options
        spec = net.specification
        if validation_data is not None:
            if options.validation_split:
                raise ValueError("give validation_data or validation_split, not both")
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
                raise TypeError("validation_data has to be (X, y)")
            self._validation = checked(
                spec, validation_data[0], validation_data[1], options.allow_nan
            )
        if y is None:
            if not hasattr(X, "__iter__") or isinstance(X, np.ndarray):
                raise TypeError("y is missing; without it X has to be an iterable of (X, y)")
            given = [
                name for name, value in (("sample_weight", sample_weight),
                ("class_weight", options.class_weight), ("validation_split",
                options.validation_split or None)) if value is not None
            ]  # fmt: skip
            if given:
                raise ValueError(f"{given[0]} needs arrays X and y, not an iterable of batches")
            return BatchSource(spec, X, options.allow_nan)
        X, y = checked(spec, X, y, options.allow_nan)
        rows = np.arange(len(X))
        if options.validation_split:
            rows, apart = self._split(len(X))
            self._validation = np.asarray(X[apart]), np.asarray(y[apart])
        T = encoding.encode(spec, y) if options.class_weight is not None else None
        weight = encoding.weights(spec, sample_weight, len(X), options.class_weight, T)
        self._training = X, y
        self._require_enough(len(rows))
        return ArraySource(spec, X, y, rows, options.batch_size, options.shuffle, weight)

    def _split(self, count: int) -> tuple[Array, Array]:
        apart = round(count * self.options.validation_split)
        if not 0 < apart < count:
            raise ValueError(
                f"validation_split {self.options.validation_split} of {count} samples leaves "
                "nothing on one side"
            )
        order = generator(self._net.specification.seed, 2).permutation(count)
        return np.sort(order[apart:]), np.sort(order[:apart])

    def _require_enough(self, count: int) -> None:
        size = min(self.options.batch_size or count, count)
        single = size == 1 or count % size == 1
        if single and any(layer.batchnorm for layer in self._net.specification.layers):
            raise ValueError(
                f"batch normalisation needs more than one sample a batch, but {count} samples in "
                f"batches of {size} leave one alone; choose another batch_size"
            )

    def complete_schedule(self, learning_rate: float, epochs: int) -> None:
        """Give a schedule by name the optimizer's usual rate and the steps of this fit."""
        given = self.options.learning_rate
        if callable(given) or not isinstance(given, (str, tuple, list)):
            return
        name, parameters = (given, {}) if isinstance(given, str) else given
        usual = {"learning_rate": learning_rate}
        if self._source.batches:
            usual["steps"] = max(1, self._source.batches * epochs)
        takes = inspect.signature(schedules.SCHEDULES[name]).parameters
        complete = {key: value for key, value in usual.items() if key in takes} | dict(parameters)
        self.options = replace(self.options, learning_rate=(name, complete))
        self._rate = schedule(self.options.learning_rate)

    def go(self, verbose: Any) -> History:
        """All epochs up to the target."""
        net, progress = self._net, self._net.progress
        shown = display(verbose)
        net.backend.trace(False)  # callbacks that need it say so
        self._tell("on_train_begin")
        shown.start(progress.epoch, progress.target, self._source.batches)
        try:
            while progress.epoch < progress.target and not net.history.stopped:
                self._epoch(shown)
        except KeyboardInterrupt:
            net.history.stopped = f"interrupted in epoch {progress.epoch + 1}"
            self._save()
            raise
        finally:
            shown.finish()
            done = self._finished()  # the arrays have room for more
            progress.losses, progress.weights = progress.losses[:done], progress.weights[:done]
        if progress.best:
            restore(net.backend, progress.best)
            progress.best, progress.target = {}, progress.epoch
            self._save()
        self._tell("on_train_end")
        return net.history

    def _epoch(self, shown: Any) -> None:
        net, progress = self._net, self._net.progress
        batches = self._source.batches
        for chunk in self._source.chunks(progress.epoch, self._finished(), self._most(shown)):
            interrupted = self._steps(chunk)
            shown.part(progress.epoch, self._finished(), self._mean_loss())
            more = batches is None or self._finished() < batches
            ended, told_off = self._tell_batch(last=not more)
            if interrupted or told_off:
                raise KeyboardInterrupt
            if ended:
                net.history.stopped = "a callback ended it"
                if more:
                    return
        if self._finished() == 0:
            raise ValueError("the iterable gave no batch in this epoch")
        with between_batches():
            if batches is None:
                self._tell("on_last_batch")
            self._finish_epoch()
        shown.epoch(progress.epoch, net.history)
        if self._tell("on_epoch_end"):
            net.history.stopped = "a callback ended it"
        self._save()

    def _most(self, shown: Any) -> Callable[[int], int]:
        """How many batches may follow so many of an epoch before somebody wants to be told."""
        intervals = [every for every, _ in self._on_batch_end()]
        batches = self._source.batches
        live = max(1, batches // 50) if shown.live and batches else sys.maxsize
        first = self._net.progress.epoch_step
        return lambda done: min([live, *(every - (first + done) % every for every in intervals)])

    def _on_batch_end(self) -> list[tuple[int, Callable[[Any], Any]]]:
        """Who wants to be told of batches, every so many steps; `interval = None` is never."""
        given = [(getattr(item, "interval", 1), item) for item in self._callbacks]
        return [
            (int(every), call)
            for every, item in given
            if every is not None
            for call in events([item], "on_batch_end")
        ]

    def _tell_batch(self, last: bool) -> tuple[bool, bool]:
        """Call the callbacks whose time it is: whether one ends the training, whether Ctrl-C came.

        An interrupt waits for all of them: what they do with the last batch a resumed training
        cannot do, for no file holds what the network knows of it.
        """
        step = self._net.progress.epoch_step + self._finished()
        calls = [call for every, call in self._on_batch_end() if step % every == 0]
        calls += events(self._callbacks, "on_last_batch") if last else []
        ended = interrupted = False
        for call in calls:
            try:
                with between_batches():
                    ended = call(self._net) is True or ended
            except KeyboardInterrupt:
                interrupted = True
        return ended, interrupted

    def _finished(self) -> int:
        """Batches of the current epoch that are done: whatever interrupts, the step count knows."""
        return int(self._net.backend.state()["step"][0]) - self._net.progress.epoch_step

    def _steps(self, chunk: Chunk) -> bool:
        """Train on a chunk; whether Ctrl-C came when all of it was done."""
        net, progress = self._net, self._net.progress
        first = self._finished()
        progress.losses = _grown(progress.losses, first, chunk.batches)
        progress.weights = _grown(progress.weights, first, chunk.batches)
        progress.weights[first : first + chunk.batches] = chunk.batch_weights()
        step = progress.epoch_step + first - progress.first_step
        rates = np.array([self._rate(step + k) for k in range(chunk.batches)])
        try:
            net.backend.epoch(
                chunk.X, chunk.targets, chunk.order, chunk.batch_size, rates, chunk.weight,
                losses=progress.losses[first : first + chunk.batches],
            )  # fmt: skip
        except KeyboardInterrupt:
            # what is due after the last batch needs what the network holds of it: a file does not
            if self._finished() < first + chunk.batches:
                raise
            return True
        except FloatingPointError as error:
            number = self._finished()
            rows = chunk.order[(number - first) * chunk.batch_size :][: chunk.batch_size]
            weight = None if chunk.weight is None else chunk.weight[rows]
            where = first_nonfinite(net, chunk.X[rows], chunk.targets[rows], weight)
            raise diverged(progress.epoch + 1, number + 1, str(error), where) from None
        return False

    def _mean_loss(self) -> float:
        count = self._finished()
        progress = self._net.progress
        weights = progress.weights[:count]
        total = float(weights.sum())
        return float(weights @ progress.losses[:count]) / total if total else 0.0

    def _finish_epoch(self) -> None:
        net, progress, history = self._net, self._net.progress, self._net.history
        history.loss.append(self._mean_loss())
        last = progress.epoch_step + self._finished() - progress.first_step
        history.learning_rate.append(self._rate(last - 1))
        if self._validation is not None:
            history.validation_loss.append(evaluate(net, *self._validation))
        self._measure(history)
        progress.epoch += 1
        progress.epoch_step += self._finished()
        progress.losses = progress.weights = np.empty(0)
        self._watch(history)

    def _measure(self, history: History) -> None:
        data = self._validation or self._training
        if not self._metrics:
            return
        if data is None:
            raise ValueError("metrics need arrays X and y, or validation_data")
        outputs = self._net.outputs(data[0])
        prefix = "validation_" if self._validation is not None else ""
        for name, function in self._metrics:
            history.metrics.setdefault(prefix + name, []).append(function(data[1], outputs))

    def _watch(self, history: History) -> None:
        """Early stopping: keep the best weights, stop when there are no better ones for long."""
        progress, patience = self._net.progress, self.options.patience
        if patience is None:
            return
        loss = (history.validation_loss or history.loss)[-1]
        if loss < progress.best_loss - self.options.min_delta or not progress.best:
            progress.best_loss, progress.best_epoch = loss, progress.epoch
            progress.best = _kept(self._net)
        elif progress.epoch - progress.best_epoch >= patience:
            history.stopped = (
                f"no better loss than {progress.best_loss:.4g} for {patience} epochs; the weights "
                f"of epoch {progress.best_epoch} are restored"
            )

    def _save(self) -> None:
        if self.options.checkpoint is not None:
            self._net.save(self.options.checkpoint)

    def _tell(self, event: str) -> bool:
        """Call the callbacks of an event; whether one of them ends the training."""
        answers = [call(self._net) for call in events(self._callbacks, event)]
        return any(answer is True for answer in answers)


def evaluate(net: MLP, X: Array, y: Array, weight: Array | None = None) -> float:
    """The mean loss of data at inference, block by block."""
    spec = net.specification
    total, value = 0.0, 0.0
    for rows in row_blocks(len(X), max(spec.sizes)):
        part = None if weight is None else weight[rows]
        block = as_matrix("X", np.asarray(X[rows]), spec.sizes[0], spec.dtype)
        T = encoding.encode(spec, np.asarray(y[rows]), rows.start)
        own = float(len(block)) if part is None else float(part.sum(dtype=np.float64))
        value += own * net.backend.evaluate(block, T, part)
        total += own
    return value / total if total else 0.0


def _kept(net: MLP) -> dict[str, Array]:
    """Copies of what inference depends on."""
    statistics = {
        name: array for name, array in net.backend.state().items()
        if name.endswith((".mean", ".variance")) and name.count(".") == 1
    }  # fmt: skip
    return {name: array.copy() for name, array in (net.parameters() | statistics).items()}


def _grown(array: Array, used: int, more: int) -> Array:
    """The array with room for `more` entries behind the `used` ones."""
    if len(array) >= used + more:
        return array
    grown = np.zeros(max(used + more, 2 * used))
    grown[:used] = array[:used]
    return grown
