import numpy as np

from dim_tf.evaluation import results
from tests.scored import read_scores, scored


def test_scores_file_has_the_authors_format(tmp_path):
    results.write_scores(tmp_path / "out.txt", scored([[0.0, 0.0, 5.0]], [0], [[1, 1, 0]]))
    assert (tmp_path / "out.txt").read_text() == (
        "query_id\tdocument_id\tscore\trank\trelevance\n7\t1\t0.5\t1\t0.0\n7\t0\t0.5\t2\t1.0\n"
    )


def test_recall_read_off_the_file_is_ours_with_ties_everywhere(tmp_path):
    rng = np.random.default_rng(0)
    present = rng.random((300, 20)) > 0.2
    target = rng.integers(0, 20, 300)
    present[np.arange(300), target] = True
    # Few distinct logits, and some so far apart that probabilities are equal to the last digit.
    some = scored(rng.integers(0, 4, (300, 20)) * 60.0, target, present)
    results.write_scores(tmp_path / "out.txt", some)
    rows = read_scores(tmp_path / "out.txt")
    assert len(rows) == present.sum()
    gold = np.array([int(row["rank"]) for row in rows if row["relevance"] == "1.0"])
    assert len(gold) == 300
    for k in (1, 2, 5, 10):
        assert np.mean(gold <= k) == some.summary()[f"hits@{k}"]
