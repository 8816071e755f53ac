"""The command: what it refuses and what it writes."""

import shutil

import keras
import numpy as np
import pytest

from dim_tf.config import RECIPES
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import CheckpointError, ConfigError, DataError, DivergedError, UsageError
from dim_tf.runs.run import Run
from dim_tf.runtime.scorer import Scorer
from dim_tf.training import start
from dim_tf.training.negative_sampling import NegativeSampler
from dim_tf.training.trainer import Trainer
from tests.run_content import content


def test_without_tensorflow_gensim_and_nltk_it_trains_and_evaluates_on_jax(
    prepared, tiny_command, tiny_options, tmp_path
):
    blocked = {"KERAS_BACKEND": "jax", "BLOCK": "tensorflow,gensim,nltk"}
    folders = ("--prepared", prepared, "--run", tmp_path / "run")
    trained = tiny_command("train", *folders, *tiny_options, **blocked)
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr.count("TensorBoard: left out") == 1
    evaluated = tiny_command("evaluate", *folders, **blocked)
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stdout.splitlines()[-1].startswith("test hits@1 ")


@pytest.mark.parametrize("options", [[], ["--deterministic"]])
def test_training_is_deterministic_if_asked(run_train, monkeypatch, options):
    asked = []
    monkeypatch.setattr(start, "_make_deterministic", asked.append)
    run_train("run", "--max-updates=1", *options)
    assert asked == [bool(options)]


def test_finished_run_resumed_changes_nothing(run_train, capsys):
    run = run_train("run")
    before = content(run)
    said = capsys.readouterr().out
    run_train("run", "--resume")
    assert content(run) == before
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch-size=16"], "batch_size 16 was given, but .* was started with 8"),
        (["--set=dropout=0.5"], r"dropout 0\.5 was given, but .* with 0\.2"),
        (["--persona=their"], "persona their was given, but .* with self"),
        (["--init-from=other"], "--resume and --init-from exclude each other"),
    ],
)
def test_resuming_with_other_settings_is_refused(run_copy, run_train, options, message):
    before = content(run_copy)
    with pytest.raises(UsageError, match=message):
        run_train("run", "--resume", *options)
    assert content(run_copy) == before


def test_resuming_a_missing_or_damaged_run_is_refused(run_copy, run_train):
    with pytest.raises(CheckpointError, match="found no run folder"):
        run_train("nothing", "--resume")
    (run_copy / "latest.npz").write_bytes((run_copy / "latest.npz").read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"latest\.npz: no training state"):
        run_train("run", "--resume")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX always compiles")
def test_compiled_updates_are_the_same_and_can_be_resumed(run_train, monkeypatch):
    from dim_tf.training import trainer

    asked = []

    def step(*arguments, **options):
        asked.append(arguments[-1])
        return TrainingStep(*arguments, **options)

    TrainingStep = trainer.TrainingStep
    monkeypatch.setattr(trainer, "TrainingStep", step)
    # XLA draws other dropout masks.
    options = ["--dropout=0", "--max-updates=20"]
    compiled = run_train("compiled", *options, "--jit-compile")
    plain = run_train("plain", *options)
    run_train("compiled", *options, "--jit-compile", "--resume")
    assert asked == [True, False, True]
    pairs = zip(Run.open(compiled).metrics(), Run.open(plain).metrics(), strict=True)
    for found, expected in pairs:
        assert found["loss"] == pytest.approx(expected["loss"], abs=1e-4)


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="TensorFlow compiles when asked to")
def test_jax_is_not_asked_to_compile(run_train, tmp_path):
    with pytest.raises(UsageError, match="--jit-compile is for TensorFlow: JAX always compiles"):
        run_train("run", "--jit-compile")
    assert not (tmp_path / "run").exists()


# === What a run is ===


def test_run_folder_is_closed(trained, prepared):
    run, data = Run.open(trained), PreparedData.load(prepared)
    assert (run.words, run.characters, run.text) == (data.words, data.characters, data.rules)
    np.testing.assert_array_equal(run.word_vectors, data.word_vectors)
    assert run.prepared["fingerprint"] == data.fingerprint
    assert run.model_config.max_candidates == 6
    assert run.training_config.learning_rate == 0.03
    assert sorted(path.name for path in trained.iterdir()) == [
        *(".lock", "MODEL_CARD.md", "best.weights.h5", "chars.txt", "config.json", "latest.npz"),
        *("metrics.jsonl", "tensorboard", "vectors.npz", "words.txt"),
    ]


def test_rows_of_metrics(trained):
    rows = Run.open(trained).metrics()
    assert [(row["kind"], row["update"]) for row in rows] == [
        (kind, update) for update in (10, 20, 30, 40) for kind in ("train", "valid")
    ]
    assert set(rows[0]) == {
        *("kind", "update", "epoch", "loss", "accuracy", "learning_rate", "turns_per_s", "time_s")
    }
    assert {"loss", "hits@1", "hits@2", "hits@5", "hits@10", "MRR", "turns"} <= set(rows[1])
    assert [row["epoch"] for row in rows[::2]] == [2, 3, 5, 6]  # 7 updates an epoch
    assert rows[-2]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--persona=none"], {"use_persona": False, "max_profiles": 5}),
        (["--persona=both", "--version=revised"], {"use_persona": True, "max_profiles": 10}),
        (["--no-context", "--set=max_utterances=3"], {"use_context": False, "max_utterances": 3}),
    ],
)
def test_settings_become_the_models_sizes(run_train, options, expected):
    run = Run.open(run_train("run", "--max-updates=1", *options))
    found = run.model_config.to_dict()
    assert {name: found[name] for name in expected} == expected


def test_validation_of_a_sample_is_said(run_train, capsys):
    run = run_train("run", "--valid-turns=5", "--max-updates=1")
    sample = "valid_self_original: a fixed sample of 5 of 14 turns (seed 2019)"
    assert sample in capsys.readouterr().err
    assert Run.open(run).metrics()[-1]["turns"] == 5


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(run_train):
    runs = [run_train(f"run{n}", "--max-updates=3", f"--seed={n // 2}") for n in range(3)]
    first, same, other = [(run / "best.weights.h5").read_bytes() for run in runs]
    assert first == same
    assert first != other


def test_epochs_and_patience_end_the_training(run_train, monkeypatch):
    run = run_train("epochs", "--epochs=2", "--eval-every=100")
    assert [row["update"] for row in Run.open(run).metrics()] == [10, 14]

    from dim_tf.evaluation import evaluator

    rising, saved, save = iter([0.2, 0.5, 0.5, 0.4, 0.9]), [], Run.save_best

    def watched(self, model):
        saved.append(len(self.metrics()))  # the validations before this one
        save(self, model)

    monkeypatch.setattr(Run, "save_best", watched)
    summary = evaluator.Result.summary
    monkeypatch.setattr(
        evaluator.Result, "summary", lambda self: {**summary(self), "MRR": next(rising)}
    )
    run = run_train("patience", "--patience=2", "--eval-every=2")
    valid = [row["MRR"] for row in Run.open(run).metrics() if row["kind"] == "valid"]
    assert valid == [0.2, 0.5, 0.5, 0.4]  # an equal MRR is no gain
    assert saved == [0, 1]


@pytest.mark.parametrize("given", [[], ["--negatives=4"], ["--set", "negatives=4"]])
def test_negatives_take_the_place_of_a_systems_own(run_train, given):
    options = ["--model=starspace", "--max-updates=1", *given]
    config = Run.open(run_train("run", *options)).training_config
    expected = ("listed", "4") if given else ("batch", None)
    assert (config.negatives_from, config.negatives) == expected


def test_a_recipe_is_recorded_and_single_options_win_over_it(run_train):
    options = ["--recipe=fast", "--input-scale=1", "--max-updates=1"]
    config = Run.open(run_train("run", *options)).training_config
    assert config.negatives == RECIPES["fast"]["negatives"]
    assert (config.input_scale, config.recipe) == (1.0, "fast")
    run_train("run", *options, "--resume")  # the same options again are fine


def test_a_fraction_of_the_dialogues_is_recorded(run_train):
    run = Run.open(run_train("run", "--train-dialogues=0.4", "--epochs=1", "--eval-every=100"))
    assert run.prepared["training_turns"] == 20
    assert run.best_update() == 3


def test_an_update_sees_the_negatives_of_the_schedule(run_train, monkeypatch):
    shapes, draw = [], NegativeSampler.draw

    def watched(*arguments):
        turns = draw(*arguments)
        shapes.append(turns.candidates.shape[1])
        return turns

    monkeypatch.setattr(NegativeSampler, "draw", watched)
    run_train("run", "--negatives", "2:3", "4:5", "19", "--max-updates=7")
    if keras.backend.backend() == "tensorflow":  # JAX draws samples first
        assert shapes == [3, 3, 3, 5, 5, 6, 6]
    assert shapes[-7:] == [3, 3, 3, 5, 5, 6, 6]


@pytest.mark.parametrize("stop", [3, 4])
def test_resuming_next_to_a_step_of_the_schedule_is_exact(run_train, monkeypatch, stop):
    options = ["--negatives", "2:4", "3", "--negatives-from=split", "--train-dialogues=0.8"]
    whole = run_train("whole", *options, "--max-updates=8")
    update = Trainer._update

    def stopping(self, *batch):
        update(self, *batch)
        self._stop = self.state.update == stop

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", stopping)
        stopped = run_train("stopped", *options, "--max-updates=8")
    assert Run.open(stopped).best_update() is None  # not validated yet
    assert content(run_train("stopped", "--resume", "--max-updates=8")) == content(whole)


# === What it refuses, leaving nothing behind ===


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--set=learning_rate=1" + "0" * 400], ConfigError, "learning_rate: found"),
        (["--set=learning_rate=" + "9" * 5000], ConfigError, "learning_rate: found"),
        (["--rnn-units", "9" * 12], ConfigError, "rnn_units: found"),
        (["--set=dropout"], UsageError, "found 'dropout', expected NAME=VALUE"),
        (["--set=dropout=much"], ConfigError, "dropout: found 'much'"),
        (["--set=precision=float16"], ConfigError, "found 'float16', .* did you mean bfloat16"),
        (["--set=use_persona=false"], UsageError, "use_persona follows from --persona"),
        (["--model=imn", "--persona=self"], UsageError, "imn reads no persona"),
        (["--set=word_dim=7"], ConfigError, "word_dim follows from the prepared folder"),
        (["--set=max_utterances=16"], ConfigError, "max_utterances: found 16, expected at most 15"),
        (["--batch-size=0"], UsageError, "found 0, expected a whole number of at least 1"),
        (["--negatives", "4:10"], ConfigError, "negatives: found '4:10', expected K"),
        (["--negatives-from=split"], ConfigError, "negatives_from: split needs negatives"),
        (["--model=dmi"], ConfigError, "unknown model 'dmi'.*did you mean dim"),
        (["--persona=none", "--no-context"], ConfigError, "nothing is left to match"),
    ],
)
def test_bad_options(run_train, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        run_train("run", *options)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_refused_before_anything_is_read(run_copy, run_train):
    before = content(run_copy)
    with pytest.raises(UsageError, match=r"exists; give another folder, .*--resume"):
        run_train("run", prepared="nowhere")
    assert content(run_copy) == before


def test_a_place_below_a_file_is_refused(run_train, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/run cannot be made: .*file is a file"):
        run_train("file/run")


@pytest.mark.parametrize("name", ["manifest.json", "words.txt", "turns/train_self_original.npz"])
def test_a_damaged_prepared_folder_is_named(prepared, run_train, tmp_path, name):
    folder = shutil.copytree(prepared, tmp_path / "damaged")
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    with pytest.raises(DataError, match="damaged/"):
        run_train("run", prepared=folder)
    assert not (tmp_path / "run").exists()


def test_what_is_no_prepared_folder_says_how_to_make_one(run_train, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(DataError, match=f"{path}: .*python -m data_prep"):
            run_train("run", prepared=path)
    assert not (tmp_path / "run").exists()


def test_prepared_folder_without_a_validation_split(prepared, run_train, tmp_path):
    folder = shutil.copytree(prepared, tmp_path / "prepared")
    for path in (folder / "turns").glob("valid_*"):
        path.unlink()
    with pytest.raises(DataError, match=r"no turns of valid_self_original.*it has: train_self_"):
        run_train("run", prepared=folder)
    assert not (tmp_path / "run").exists()


def test_divergence_names_the_update_and_keeps_the_last_good_checkpoint(run_train, tmp_path):
    with pytest.raises(DivergedError, match=r"the loss of update \d+ is (nan|inf)"):
        run_train("run", "--learning-rate=1e38")
    with np.load(tmp_path / "run" / "latest.npz") as arrays:
        for name in arrays.files:
            assert name == "state" or np.isfinite(arrays[name]).all()


def test_a_validation_with_scores_that_are_not_finite_is_named(run_train, monkeypatch, tmp_path):
    def broken(scorer, inputs):
        return np.full(inputs["responses_len"].shape, np.nan, "float32")

    monkeypatch.setattr(Scorer, "__call__", broken)
    with pytest.raises(DivergedError, match="validation after update 4"):
        run_train("run", "--eval-every=4")
    assert Run.open(tmp_path / "run").best() is None


# === Starting from another run ===


def test_a_run_without_a_state_cannot_be_resumed(run_copy, run_train):
    (run_copy / "latest.npz").unlink()
    with pytest.raises(
        UsageError, match=r"no training checkpoint .*; start a new run with --init-from"
    ):
        run_train("run", "--resume")
