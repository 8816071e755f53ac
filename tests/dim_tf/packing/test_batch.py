"""Packed batches: nothing is lost, and all forms of a model give the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dim_tf.models.dim import HALVES
from dim_tf.models.inputs import KINDS
from dim_tf.models.tf1 import load_tf1_variables, tf1_name
from dim_tf.packing import batch as batch_module
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT, Sizes
from dim_tf.packing.packed_sequence import pack_rows
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from tests.authors_numbers import TRUE_ZEROS
from tests.gradients import value_and_gradients
from tests.random_model import CONFIG, random_inputs, random_variables, room_for, word_table

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def there_of(inputs, kind):
    """Which places hold words, [B, N, T]."""
    return np.arange(inputs[kind].shape[2]) < inputs[f"{kind}_len"][..., None]


def unpacked(batch, places):
    """Ids and characters of encoded words."""
    words = batch["encoder"]["words"][places]
    return batch["words"][words], batch["words_char"][words]


@pytest.mark.parametrize("fill", [False, True], ids=["exact", "filled"])
def test_every_word_is_listed_once_and_none_is_lost(fill):
    inputs = random_inputs(np.random.default_rng(1))
    for kind in KINDS:  # the same word in all of them
        inputs[kind][0, 0, 0] = 5
        inputs[f"{kind}_char"][0, 0, 0] = 2
        inputs[f"{kind}_len"][0, 0] = 2
    batch = pack(inputs, sizes=room_for(inputs) if fill else None)
    for kind in KINDS:
        plan, there = batch[kind], there_of(inputs, kind)
        words, characters = unpacked(batch, plan["grid"])
        mask = plan["mask"] > 0
        assert np.array_equal(words[mask], inputs[kind][there])
        assert np.array_equal(characters[mask], inputs[f"{kind}_char"][there])
        assert plan["mask"].dtype == np.float32
    used = np.unique(batch["encoder"]["words"][batch["encoder"]["there"] > 0])
    listed = np.concatenate([batch["words"][:, None], batch["words_char"]], axis=1)[used]
    assert len(np.unique(listed, axis=0)) == len(listed)
    assert sum(np.array_equal(row, [5, *[2] * CONFIG.max_word_len]) for row in listed) == 1


@pytest.mark.parametrize("fill", [False, True], ids=["exact", "filled"])
def test_words_are_packed_for_matching_in_the_order_of_their_plan(fill):
    inputs = random_inputs(np.random.default_rng(2))
    sizes = room_for(inputs) if fill else EXACT
    batch = pack(inputs, sizes=sizes)
    for kind in KINDS:
        plan, (_, count, steps) = batch[kind], inputs[kind].shape
        lengths = inputs[f"{kind}_len"].ravel()
        rows = pack_rows(lengths, np.full(lengths.size, steps), steps, getattr(sizes, kind))
        for name in ("live", "there", "ends", "padded"):
            assert np.array_equal(plan[name], rows[name])
        assert np.array_equal(plan["ranks"], rows["ranks"].reshape(-1, count))
        there = plan["there"] > 0
        words, _ = unpacked(batch, plan["grid"].ravel()[plan["places"]])
        assert np.array_equal(words[there], inputs[kind].ravel()[rows["places"]][there])
        inverse = plan["inverse"].ravel()[plan["places"]]
        assert np.array_equal(inverse[there], np.flatnonzero(there))
    number, limit = inputs["utterances_num"], inputs["utterances"].shape[1]
    contexts = pack_rows(number, np.full(len(number), limit), limit, sizes.contexts)
    assert all(np.array_equal(batch["contexts"][name], contexts[name]) for name in contexts)


def test_what_lies_past_the_lengths_is_not_listed():
    inputs = random_inputs(np.random.default_rng(3))
    expected = pack(inputs)
    for kind in KINDS:
        past = ~there_of(inputs, kind)
        inputs[kind][past] = 8
        inputs[f"{kind}_char"][past] = 1
    found = pack(inputs)
    assert np.array_equal(found["words"], expected["words"])
    assert np.array_equal(found["words_char"], expected["words_char"])


def test_words_that_differ_in_one_character_stay_apart():
    inputs = {kind: np.full((1, 1, 2), 7) for kind in KINDS}
    inputs |= {f"{kind}_char": np.zeros((1, 1, 2, 5), int) for kind in KINDS}
    inputs |= {f"{kind}_len": np.array([[2]]) for kind in KINDS}
    inputs |= {f"{half}_num": np.array([1]) for half in HALVES}
    inputs["personas_char"][0, 0, 1, 4] = 1
    batch = pack(inputs)
    assert len(batch["words"]) == 2
    words = batch["encoder"]["words"]
    first, second = batch["personas"]["grid"][0]
    assert words[first] != words[second]
    assert words[first] == words[batch["responses"]["grid"][0, 0, 1]]


def test_words_may_be_long():
    sizes = CONFIG.replace(max_word_len=150)
    inputs = random_inputs(np.random.default_rng(2), sizes)
    batch = pack(inputs)
    assert batch["words_char"].shape == (len(batch["words"]), 150)
    short = pack({n: v[..., :6] if n.endswith("_char") else v for n, v in inputs.items()})
    assert len(short["words"]) <= len(batch["words"])


def test_a_collision_of_hashes_is_noticed(monkeypatch):
    inputs = random_inputs(np.random.default_rng(2))
    expected = pack(inputs)
    monkeypatch.setattr(batch_module, "_multipliers", lambda count: np.zeros(count, np.uint64))
    found = pack(inputs)
    assert len(found["words"]) == len(expected["words"])
    for kind in KINDS:
        pairs = zip(
            unpacked(found, found[kind]["grid"]),
            unpacked(expected, expected[kind]["grid"]),
            strict=True,
        )
        assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_batch_is_filled_up_to_its_sizes():
    inputs = random_inputs(np.random.default_rng(3))
    exact, sizes = pack(inputs), room_for(inputs)
    filled = pack(inputs, sizes=sizes)
    assert sizes.hold(Sizes.of(exact))
    assert Sizes.of(filled) == sizes
    assert len(filled["words_char"]) == len(filled["words"])
    assert set(filled) == set(exact)
    for kind in ("encoder", *KINDS, "contexts"):
        assert filled[kind]["there"].sum() == exact[kind]["there"].sum()
        assert filled[kind].keys() == exact[kind].keys()


@pytest.mark.parametrize("halves", [["utterances"], ["personas"]])
def test_a_half_that_is_left_out_is_not_in_the_batch(halves):
    inputs = random_inputs(np.random.default_rng(4))
    batch = pack(inputs, halves)
    kinds = ("responses", *halves)
    assert set(KINDS) & set(batch) == set(kinds)
    assert ("contexts" in batch) == ("utterances" in halves)
    assert batch["encoder"]["there"].sum() == sum(inputs[f"{kind}_len"].sum() for kind in kinds)


def build(config, rng):
    model = build_model("dim", config, word_table())
    # Logits so large that all counts, so small that float32 holds them to 1e-6.
    variables = random_variables(rng, model, 0.25)
    if config.use_persona:  # not all scores are to fall to the ReLU
        variables["aggregation_layer/pers_b"] = np.ones(1)
    load_tf1_variables(model, variables)
    return model


def padded(model):
    """The same model, called padded whatever its inputs are."""
    return keras.Model(model.inputs, model.output)


@pytest.fixture(scope="module")
def model():
    return build(CONFIG, np.random.default_rng(4))


@pytest.mark.backend
def test_all_forms_give_the_same_logits(model):
    """Of a public call; packed exactly, or to sizes of a ladder; padded, as traced programs are."""
    rng = np.random.default_rng(5)
    inputs, *others = (random_inputs(rng) for _ in range(4))
    logits = {"public": np.asarray(model(inputs, training=False)), "scorer": Scorer(model)(inputs)}
    if ON_TENSORFLOW:
        import tensorflow as tf

        for name, sizes in (("exact", EXACT), ("fixed", room_for(inputs))):
            logits[name] = model.packed(pack(inputs, sizes=sizes), sizes)
        logits["traced"] = tf.function(model)(
            {name: tf.constant(value) for name, value in inputs.items()}
        )
    else:
        logits["level"] = Scorer(model, samples=[inputs, *others])(inputs)
    assert np.ptp(logits["public"]) > 0.1
    for name, found in logits.items():
        np.testing.assert_allclose(
            np.asarray(found), logits["public"], rtol=0, atol=1e-6, err_msg=name
        )


@pytest.mark.skipif(not ON_TENSORFLOW, reason="nothing that depends on the backend")
@pytest.mark.parametrize("ablation", ["use_persona", "use_context"])
def test_all_forms_of_a_half_give_the_same_logits(ablation):
    rng = np.random.default_rng(6)
    model = build(CONFIG.replace(**{ablation: False}), rng)
    inputs = random_inputs(rng)
    logits = np.asarray(model(inputs))
    np.testing.assert_allclose(padded(model)(inputs), logits, rtol=0, atol=1e-6)
    sizes = room_for(inputs, model.halves)
    found = model.packed(pack(inputs, model.halves, sizes), sizes)
    np.testing.assert_allclose(found, logits, rtol=0, atol=1e-6)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="exact packings are TensorFlow's")
def test_all_forms_give_the_same_gradients(model):
    """Those of exact packings are written by hand; on JAX see `test_golden`."""
    rng = np.random.default_rng(7)
    inputs, target = random_inputs(rng), np.ones(4, "int32")
    inputs["responses_len"][:, 1] = 3
    loss, gradients = value_and_gradients(model, inputs, target)
    other = padded(model)
    padded_loss, expected = value_and_gradients(other, inputs, target)
    assert padded_loss == pytest.approx(loss, abs=1e-6)
    found = {v.path: g for v, g in zip(model.trainable_variables, gradients, strict=True)}
    assert len(found) == 24
    for variable, wanted in zip(other.trainable_variables, expected, strict=True):
        gradient = found.pop(variable.path)
        if tf1_name(variable) not in TRUE_ZEROS:
            bound = 1e-4 * np.abs(wanted).max()
            assert bound > 0
            np.testing.assert_allclose(gradient, wanted, rtol=0, atol=bound, err_msg=variable.path)
