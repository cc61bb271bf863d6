"""Checkpoints: one file with everything a resumed training needs, safe to load from a stranger.

The file is a ZIP archive without compression: `header.json`, `header.sha256`, and one `.npy` member
for each array. The header holds the specification, the history, the position of training (epoch,
step, options; the order of samples and dropout masks follow from seed and position) and shape,
dtype and SHA-256 of every array. Nothing in it is code, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

import gradwright
from gradwright.backends.restoring import restore_watched, support_of
from gradwright.files import write_atomically
from gradwright.kernels import check_number, whole
from gradwright.specification import Specification
from gradwright.training.history import History
from gradwright.training.options import Progress, TrainingOptions

if TYPE_CHECKING:
    from gradwright.network import MLP

Array = np.ndarray[Any, np.dtype[Any]]
_FORMAT, _VERSION = "gradwright checkpoint", 1
_HEADER, _CHECKSUM = "header.json", "header.sha256"
_DTYPES = ("float32", "float64", "int32", "int64")
_SCALARS = ("epoch", "target", "first_step", "epoch_step", "best_loss", "best_epoch")


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or does not fit together."""


def save(net: MLP, path: str | PathLike[str]) -> None:
    """Write a checkpoint; whatever happens, there is the previous file or the new one.

    Raises OSError if it cannot be written.
    """
    progress = net.progress
    arrays = {f"parameters/{name}": array for name, array in net.parameters().items()}
    arrays |= {f"state/{name}": array for name, array in net.backend.state().items()}
    arrays |= {f"best/{name}": array for name, array in progress.best.items()}
    done = int(net.backend.state()["step"][0]) - progress.epoch_step
    done = min(max(done, 0), len(progress.losses))
    arrays["progress/losses"] = progress.losses[:done]
    arrays["progress/weights"] = progress.weights[:done]
    members = {f"{name}.npy": _npy(array) for name, array in arrays.items()}
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "gradwright": gradwright.__version__,
        "specification": net.specification.to_json(),
        "history": net.history.to_json(),
        "progress": {name: _finite(getattr(progress, name)) for name in _SCALARS}
        | {"options": progress.options},
        "arrays": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in members.items()
        },
    }
    text = json.dumps(header, indent=1, allow_nan=True).encode()
    members = {_HEADER: text, _CHECKSUM: hashlib.sha256(text).hexdigest().encode(), **members}

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, data in members.items():
                # a fixed date: the same network gives the same bytes
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    write_atomically(Path(path), write)


def load(path: str | PathLike[str], backend: str = "cpp") -> MLP:
    """The network of a checkpoint, ready to predict, to train on, or to `resume`.

    Raises FileNotFoundError, or CheckpointError that says what is wrong with the file.
    """
    members = _members(Path(path))
    try:
        return _network(members, backend)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: the header does not fit: {error}") from None


def _members(path: Path) -> dict[str, bytes]:
    """The members of the archive, none of which is larger than the file."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
            names = [item.filename for item in found]
            if _HEADER not in names or _CHECKSUM not in names:
                raise CheckpointError(f"{path} is a ZIP archive, but no Gradwright checkpoint")
            if len(set(names)) < len(names):
                raise CheckpointError(f"{path}: a name occurs twice in the archive")
            if any(item.compress_type != zipfile.ZIP_STORED for item in found):
                raise CheckpointError(f"{path}: members are compressed; checkpoints never are")
            if sum(item.file_size for item in found) > size:
                raise CheckpointError(f"{path}: its members claim to be larger than the file")
            return {item.filename: archive.read(item) for item in found}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CheckpointError(
            f"{path} is no checkpoint, or damaged or cut short: {error}"
        ) from None


def _network(members: dict[str, bytes], backend: str) -> MLP:
    header = _header(members)
    arrays = {}
    for name, entry in header["arrays"].items():
        if name not in members:
            raise CheckpointError(f"{name} is missing")
        if hashlib.sha256(members[name]).hexdigest() != entry["sha256"]:
            raise CheckpointError(f"the checksum of {name} is wrong: the file is damaged")
        arrays[name.removesuffix(".npy")] = _array(name, members[name])
    foreign = members.keys() - header["arrays"].keys() - {_HEADER, _CHECKSUM}
    if foreign:
        raise CheckpointError(f"{min(foreign)} does not belong into a checkpoint")
    specification = Specification.from_json(header["specification"])

    from gradwright.network import MLP

    net = MLP.from_specification(specification, backend, _part(arrays, "parameters"))
    state = _part(arrays, "state")
    restore_watched(net.backend, state)
    _fill(net.backend.state(), state, "state")
    net.history = History.from_json(header["history"])
    net.progress = _progress(net, header["progress"], arrays)
    return net


def _header(members: dict[str, bytes]) -> dict[str, Any]:
    text = members[_HEADER]
    if hashlib.sha256(text).hexdigest().encode() != members[_CHECKSUM]:
        raise CheckpointError("the checksum of the header is wrong: the file is damaged")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header is no JSON: {error}") from None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError("this is no Gradwright checkpoint")
    if header.get("version") != _VERSION:
        raise CheckpointError(
            f"its version is {header.get('version')!r}, this Gradwright reads {_VERSION}; "
            f"it was written by Gradwright {header.get('gradwright')!r}"
        )
    return header


def _progress(net: MLP, data: Mapping[str, Any], arrays: Mapping[str, Array]) -> Progress:
    numbers = {name: data[name] for name in _SCALARS}
    for name, value in numbers.items():
        if name != "best_loss" and (not whole(value) or value < 0):
            raise CheckpointError(f"progress: {name} is {value!r}, expected a whole number >= 0")
    step = int(net.backend.state()["step"][0])
    if numbers["epoch_step"] > step:
        raise CheckpointError(f"progress: epoch_step is {numbers['epoch_step']}, after step {step}")
    if numbers["best_loss"] is None:
        numbers["best_loss"] = math.inf
    else:
        check_number("best_loss", numbers["best_loss"], -math.inf)
    options = data["options"]
    if options is not None:  # a learning rate that was a function is given again
        TrainingOptions.from_json(options, 0.1 if options["learning_rate"] is None else None)
    best = _part(arrays, "best")
    _fill({name: np.empty_like(a) for name, a in best.items()}, best, "best")
    known = net.parameters() | net.backend.state()
    for name, array in best.items():
        moves = name.endswith((".W.indices", ".W.values"))
        if name not in known or (known[name].shape != array.shape and not moves):
            raise CheckpointError(f"best/{name} does not fit the network")
        if name.endswith(".W.indices"):
            layer = name.removesuffix(".W.indices")
            support_of(net.backend, int(layer.removeprefix("layer")), best)
            if best[f"{layer}.W.values"].shape != array.shape:
                raise CheckpointError(f"best/{layer}.W.values does not fit its places")
    losses, weights = arrays["progress/losses"], arrays["progress/weights"]
    if losses.ndim != 1 or losses.shape != weights.shape:
        raise CheckpointError(f"progress: {losses.shape} losses and {weights.shape} weights")
    if numbers["epoch_step"] + len(losses) > step:
        raise CheckpointError(
            f"progress: {len(losses)} losses since step {numbers['epoch_step']}, but it is at step {step}"
        )
    return Progress(**numbers, losses=losses, weights=weights, options=options, best=best)


def _part(arrays: Mapping[str, Array], part: str) -> dict[str, Array]:
    prefix = f"{part}/"
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _fill(own: Mapping[str, Array], given: Mapping[str, Array], part: str) -> None:
    for name in own.keys() | given.keys():
        if name not in given or name not in own:
            what = "is missing" if name in own else "is not of this network"
            raise CheckpointError(f"{part}/{name} {what}")
        if own[name].shape != given[name].shape or own[name].dtype != given[name].dtype:
            raise CheckpointError(
                f"{part}/{name} is {given[name].dtype} {given[name].shape}, expected "
                f"{own[name].dtype} {own[name].shape}"
            )
        own[name][...] = given[name]


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def _array(name: str, data: bytes) -> Array:
    """The array in a .npy member, which has to be as long as its own header says."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
        if dtype.hasobject or dtype.name not in _DTYPES:
            raise ValueError(f"its dtype is {dtype}")
        if math.prod(shape) * dtype.itemsize != len(data) - file.tell():
            raise ValueError("it is not as long as its header says")
        file.seek(0)
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
        raise CheckpointError(f"{name} is no array: {error}") from None
    return array.astype(dtype.newbyteorder("="), copy=False)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
