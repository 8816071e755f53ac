import numpy as np
import pytest

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.io import atomic
from dim_tf.runs.run import Run
from dim_tf.training.state import epoch_order
from dim_tf.training.trainer import Trainer

pytestmark = pytest.mark.backend


@pytest.fixture
def training(run_copy, prepared):
    run = Run.open(run_copy)
    return Trainer(run, PreparedData.load(prepared), run.build_model())


def test_an_epoch_sees_each_turn_once_in_an_order_of_its_own():
    orders = [epoch_order(1, epoch, 100) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(100))
    assert (orders[0] != orders[1]).any()
    assert (orders[0] != epoch_order(2, 0, 100)).any()
    np.testing.assert_array_equal(orders[0], epoch_order(1, 0, 100))


def test_batches_resume_within_an_epoch_and_end_it_with_a_smaller_one(training):
    first = training._batches()
    whole = [next(first) for _ in range(9)]
    assert [len(target) for _, target in whole] == [8, 8, 8, 8, 8, 8, 2, 8, 8]
    assert [training._turns_after(update) for update in range(10)] == [*range(0, 49, 8), 50, 58, 66]
    training.state.update = 5
    later = training._batches()
    for inputs, target in whole[5:]:
        found, found_target = next(later)
        np.testing.assert_array_equal(found_target, target)
        for name, array in inputs.items():
            np.testing.assert_array_equal(found[name], array)


def test_restoring_drops_the_rows_after_the_checkpoint_and_half_written_files(training):
    training.restore()
    training.state.update, training.state.validated = 25, 20
    training.save()
    for name in ("best.weights.h5", "MODEL_CARD.md"):
        leftover = training.run.path / f".{name}.tmp-12345678"
        leftover.mkdir()
        (leftover / name).touch()
    with (training.run.path / "metrics.jsonl").open("a") as handle:
        handle.write('{"kind": "tra')
    training.restore()
    assert training.state.update == 25
    rows = [(row["kind"], row["update"]) for row in training.run.metrics()]
    assert rows == [("train", 10), ("valid", 10), ("train", 20), ("valid", 20)]
    assert not list(training.run.path.glob(".*.tmp*"))
    assert (training.run.path / "metrics.jsonl").read_text().endswith("}\n")


def test_two_processes_do_not_train_one_run(training):
    with (
        atomic.locking(training.run.path, ""),
        pytest.raises(UsageError, match="another process is training"),
    ):
        training.restore()
    training.restore()
    with (
        atomic.locking(training.run.path, ""),
        pytest.raises(UsageError, match="another process is training"),
    ):
        training.train()


def test_a_validation_row_after_a_stop_before_its_validation_is_dropped(training):
    # Stopped within the validation after update 20, resumed, killed once the row was written.
    training.restore()
    training.state.update, training.state.validated = 20, 10
    training.save()
    training.restore()
    assert training.run.metrics()[-1]["kind"] == "train"
    assert not training.finished
