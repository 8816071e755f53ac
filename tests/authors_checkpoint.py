"""The files that a training of the authors' program leaves."""

from __future__ import annotations

import numpy as np

from tests.tiny_run import CONFIG

# The lengths of `tiny_run`, as options of the command.
SIZES = {
    "--max-utterances": CONFIG.max_utterances,
    "--max-utterance-len": CONFIG.max_utterance_len,
    "--max-response-len": CONFIG.max_response_len,
    "--max-profiles": CONFIG.max_profiles,
    "--max-profile-len": CONFIG.max_profile_len,
    "--max-word-len": CONFIG.max_word_len,
}


def write_checkpoint(prefix, arrays):
    """As the authors' program saved its own: by name, Adam's slots and the step among them."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.Variable(7, name="global_step"), v1.Variable(0.9, name="beta1_power")]
        for name, array in arrays.items():
            variables.append(v1.Variable(array, name=name))
            variables.append(v1.Variable(np.zeros_like(array), name=f"{name}/Adam"))
        session.run(v1.variables_initializer(variables))
        v1.train.Saver(variables).save(session, str(prefix), write_meta_graph=False)


def write_vectors(path, words, vectors):
    rows = zip(words, vectors, strict=True)
    lines = [f"{word} {' '.join(repr(float(x)) for x in row)}\n" for word, row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def write_characters(folder, characters):
    lines = [f"{place}\t{character}\n" for place, character in characters.items()]
    (folder / "char_vocab.txt").write_text("".join(lines), encoding="utf-8")
