"""How the compiled module reads its arguments and hands out its results."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

softmax = pytest.importorskip("gradwright.generated.cpp.softmax")
batchnorm = pytest.importorskip("gradwright.generated.cpp.batchnorm")

LARGE = (300, 200)  # well above the size from which memory is used again


@pytest.fixture
def Z() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(LARGE).astype(np.float32)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_memory_of_a_dropped_result_is_used_again(Z: np.ndarray) -> None:
    first = softmax.forward(Z)
    place = address(first)
    del first
    assert address(softmax.forward(Z)) == place


def test_memory_of_a_result_in_use_is_left_alone(Z: np.ndarray) -> None:
    results = [softmax.forward(Z) for _ in range(40)]
    assert len({address(result) for result in results}) == len(results)


def test_memory_seen_through_a_view_is_left_alone(Z: np.ndarray) -> None:
    view = softmax.forward(Z)[1:, ::2]
    before = view.copy()
    others = [softmax.forward(-Z) for _ in range(3)]
    assert not any(np.shares_memory(view, other) for other in others)
    np.testing.assert_array_equal(view, before)


def test_memory_kept_by_a_pullback_is_left_alone(Z: np.ndarray) -> None:
    DY = np.flipud(Z).copy()
    expected = softmax.backward(DY, softmax.forward(Z))
    pullback = softmax.vjp(Z)[1]
    softmax.forward(-Z)
    np.testing.assert_array_equal(pullback(DY), expected)


def test_result_changed_by_its_owner_is_not_handed_out(Z: np.ndarray) -> None:
    result = softmax.forward(Z)
    result.flags.writeable = False
    del result
    assert softmax.forward(Z).flags.writeable


def test_large_results_start_on_a_cache_line(Z: np.ndarray) -> None:
    assert address(softmax.forward(Z)) % 64 == 0


def test_padded_rows_are_read_in_place_and_written_in_place(Z: np.ndarray) -> None:
    wide = np.full((LARGE[0], LARGE[1] + 7), 9, np.float32)
    view = wide[:, : LARGE[1]]
    assert softmax.forward(Z, out=view) is view
    np.testing.assert_array_equal(view, softmax.forward(Z))
    assert (wide[:, LARGE[1] :] == 9).all()


def test_buffers_that_overlap_each_other_are_refused(Z: np.ndarray) -> None:
    ones = np.ones(LARGE[1], np.float32)
    forward = batchnorm.forward(Z, ones, ones)
    both = np.empty(LARGE[1], np.float32)
    with pytest.raises(ValueError, match="overlap each other"):
        batchnorm.backward(Z, Z, ones, forward.inv_std, forward.mu, out=(None, both, both))


def test_threads_may_call_at_once(Z: np.ndarray) -> None:
    expected = softmax.forward(Z)

    def right(_: int) -> bool:
        return all(np.array_equal(softmax.forward(Z), expected) for _ in range(30))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(right, range(4)))
