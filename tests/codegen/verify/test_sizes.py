"""The small-model theorem's sizes: room for every index, enough values for every coefficient."""

from gradwright.codegen.differentiate import reverse_sweep
from gradwright.codegen.notation import K, Matrix, N, layer, rows_sum
from gradwright.codegen.verify import sizes as theorem
from gradwright.codegen.verify.sizes import small_model_sizes


def test_there_is_room_for_every_index_of_the_widest_term(swept):
    # A softmax gradient has three indices over the classes: k, the sum's and the normaliser's.
    sizes = list(small_model_sizes(*swept("softmax")))
    assert sizes[0]["K"] >= 3
    sizes = list(small_model_sizes(*swept("batchnorm")))
    assert sizes[0]["N"] >= 4


def test_every_size_is_once_one(layer_name, swept):
    program, gradients = swept(layer_name)
    found = list(small_model_sizes(program, gradients))
    for dim in program.sizes:
        assert any(sizes[dim] == 1 for sizes in found)
        assert any(sizes[dim] > 1 for sizes in found)


def test_the_layers_in_use_get_the_whole_grid(layer_name, swept):
    assert small_model_sizes(*swept(layer_name)).complete


def test_a_wrong_power_of_a_size_asks_for_more_sizes(swept):
    program, gradients = swept("layernorm")
    plain = small_model_sizes(program, gradients)
    wrong = [(name, (1 + K * K) * gradient) for name, gradient in gradients]
    assert len(small_model_sizes(program, wrong).sizes) > len(plain.sizes)


def test_a_grid_that_was_cut_says_so(swept, monkeypatch):
    monkeypatch.setattr(theorem, "LARGEST_SIZE", 2)
    cut = small_model_sizes(*swept("softmax"))
    assert not cut.complete
    assert str(cut).endswith("(a part of the small-model grid)")
    assert max(n for found in cut for n in found.values()) == 2


def test_the_power_of_a_sum_has_as_many_indices_as_its_exponent():
    @layer
    def cubed(X: Matrix[N, K]):
        return rows_sum(X) ** 4

    program = cubed.program()
    assert next(iter(small_model_sizes(program, reverse_sweep(program).gradients)))["K"] >= 3


def test_different_dimensions_get_different_sizes(swept):
    first = next(iter(small_model_sizes(*swept("linear"))))
    assert len(set(first.values())) == len(first)
