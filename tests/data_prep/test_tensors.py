import dataclasses

import numpy as np

from data_prep.dialogues import Table, Turn
from data_prep.tensors import Sentences, SentenceStore, TableBuilder
from dim_tf.data.text import TextRules
from tests.tiny_corpus import tables


def build(*built: Table, seed: int = 1):
    sentences = Sentences()
    builder = TableBuilder(sentences, TextRules(), seed)
    return sentences, [builder.build(table) for table in built]


def table_of(*turns: Turn, **fields) -> Table:
    table = Table("train", "self", "original", "f.txt", lambda: iter(turns))
    return dataclasses.replace(table, **fields)


def sentences_of(store: SentenceStore, rows) -> list[str]:
    lines = [" ".join(tokens) for tokens in store.sentences()]
    return ["" if row == -1 else lines[row] for row in rows]


def test_a_sentence_is_stored_once_and_padded():
    forms: dict[str, int] = {}
    store = SentenceStore(forms)
    assert [store.add(["a", "b", "a"]), store.add(["b"]), store.add(["a", "b", "a"])] == [0, 1, 0]
    assert len(store) == 2
    rows, lengths = store.padded(np.array([7, 9]), 2)
    np.testing.assert_array_equal(rows, [[7, 9], [9, 0]])
    np.testing.assert_array_equal(lengths, [2, 1])
    np.testing.assert_array_equal(
        store.padded(np.array([7, 9]), 4)[0], [[7, 9, 7, 0], [9, 0, 0, 0]]
    )


def test_counts_are_of_distinct_whole_sentences_by_split():
    store = SentenceStore({})
    rows = [store.add(["a"] * 30), store.add(["b", "a"])]
    store.mark("train", np.array([[rows[1], -1]]))
    store.mark("train", np.array([rows[1]]))
    store.mark("test", np.array(rows))
    np.testing.assert_array_equal(store.counts(), [31, 1])
    np.testing.assert_array_equal(store.counts("train"), [1, 1])
    np.testing.assert_array_equal(store.counts("valid"), [0, 0])
    np.testing.assert_array_equal(store.rows_of("test"), [0, 1])


def test_context_is_left_aligned_tokenised_by_speaker_and_keeps_the_last_fifteen():
    long = tuple(f"it's {number}" for number in range(17))
    sentences, [(arrays, counts)] = build(
        table_of(
            Turn(("it's b",), ("x",), 0, (), (), 0, 1),
            Turn(long, ("x",), 0, (), (), 0, 2),
        )
    )
    utterances = sentences_of(sentences.stores["utterance"], arrays["context"][0])
    assert utterances == ["it ' s b _eos_"] + [""] * 14
    utterances = sentences_of(sentences.stores["utterance"], arrays["context"][1])
    assert utterances[:2] == ["it ' s 2 _eos_", "it's 3 _eos_"]
    assert utterances[14] == "it ' s 16 _eos_"
    np.testing.assert_array_equal(arrays["context_total"], [1, 17])
    np.testing.assert_array_equal(arrays["line"], [1, 2])
    assert counts["contexts_cut"] == 1


def test_candidates_are_shuffled_alike_in_all_tables_of_a_split():
    turns = [
        Turn(("hi",), tuple(f"c{n} {i}" for i in range(20)), 19, (), (), n, n) for n in range(8)
    ]
    sentences, built = build(
        table_of(*turns), table_of(*turns, persona="their"), table_of(*turns, split="valid")
    )
    (one, _), (same, _), (other, _) = built
    np.testing.assert_array_equal(one["candidates"], same["candidates"])
    np.testing.assert_array_equal(one["target"], same["target"])
    assert (one["candidates"] != other["candidates"]).any()
    assert len(set(one["target"].tolist())) > 2
    for place, turn in enumerate(turns):
        texts = sentences_of(sentences.stores["candidate"], one["candidates"][place])
        assert sorted(texts) == sorted(turn.candidates)
        assert texts[one["target"][place]] == turn.candidates[19]
    _, [(reseeded, _)] = build(table_of(*turns), seed=2)
    assert (one["target"] != reseeded["target"]).any()


def test_a_copy_of_the_gold_reply_is_absent_and_counted():
    sentences, [(arrays, counts), _] = build(*tables())
    third = sentences_of(sentences.stores["candidate"], arrays["candidates"][2])
    assert sorted(third) == ["", "", "so what", "yes ."]
    assert third[arrays["target"][2]] == "so what"
    # A repeated distractor is no gold reply: both copies stay.
    assert sorted(sentences_of(sentences.stores["candidate"], arrays["candidates"][1])) == [
        *("hi there", "i'm glad", "so what", "so what")
    ]
    assert counts["copies_of_gold"] == 1
    assert counts["candidates"] == 4 and counts["turns"] == 3 and counts["dialogues"] == 2


def test_personas_are_stored_apart_and_more_than_five_profiles_are_cut():
    own = tuple(f"profile {n}" for n in range(6))
    sentences, [(arrays, counts)] = build(
        table_of(
            Turn((), ("x",), 0, own, ("it's me",), 0, 1),
            Turn((), ("x",), 0, (), own[:5], 1, 2),
        )
    )
    assert sentences_of(sentences.stores["profile"], arrays["own"][0]) == list(own[:5])
    assert (
        sentences_of(sentences.stores["profile"], arrays["partner"][0]) == ["it ' s me"] + [""] * 4
    )
    assert sentences_of(sentences.stores["profile"], arrays["own"][1]) == [""] * 5
    assert counts["personas_cut"] == 1


def test_distinct_sentences_of_a_split_whatever_their_kind():
    sentences, _ = build(*tables())
    train = sentences.distinct("train")
    assert len(train) == len(set(train))
    assert ("i", "ski") in train and ("hello", "!", "_eos_") in train
    assert ("no", "zebras") not in train
    assert ("no", "zebras") in sentences.distinct("test")
    assert sentences.counts("test")["zebras"] == 2
