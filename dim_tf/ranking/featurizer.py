"""From the texts of turns to the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dim_tf.data.text import Vocabulary
from dim_tf.runs.run import Run

Sentence = Sequence[str]


class Featurizer:
    """Makes texts into the inputs of a model, by the text rules and the vocabulary of its run.

    Words that the vocabulary lacks are split, see `TextRules.with_known_words`.

    Args:
        run: Run. The run.
        reads_characters: bool. Whether its model reads characters.
    """

    def __init__(self, run: Run, reads_characters: bool):
        self._config, self._reads_characters = run.model_config, reads_characters
        self._vocabulary = Vocabulary(run.words, run.characters)
        self._rules = run.text.with_known_words(self._vocabulary)

    @property
    def profiles_read(self) -> int:
        """The number of profiles that the model reads."""
        return self._config.max_profiles if self._config.use_persona else 0

    def context(self, texts: Sequence[str]) -> list[Sentence]:
        """The words of the utterances that the model reads."""
        read = texts[-self._config.max_utterances :]  # the rules count from the last one
        return self._rules.context(read)

    def persona(self, texts: Sequence[str]) -> list[Sentence]:
        """The words of the profiles that the model reads."""
        return [self._rules.profile(text) for text in texts[: self.profiles_read]]

    def candidates(self, texts: Sequence[str]) -> list[Sentence]:
        """The words of each candidate that the model reads."""
        length = self._config.max_response_len
        return [tuple(self._rules.candidate(text))[:length] for text in texts]

    def distinct(self, texts: Sequence[str]) -> tuple[list[Sentence], np.ndarray]:
        """The distinct candidates, and the index of each text among them, int [C].

        Equal candidates are scored once: in another position their scores may round differently.
        """
        sentences = self.candidates(texts)
        indices = {sentence: index for index, sentence in enumerate(dict.fromkeys(sentences))}
        return list(indices), np.array([indices[sentence] for sentence in sentences])

    def turns(
        self, contexts: Sequence[Sequence[Sentence]], personas: Sequence[Sequence[Sentence]]
    ) -> dict[str, np.ndarray]:
        """The inputs of B turns without those of their candidates."""
        config, inputs = self._config, {}
        for name, rows, count, length in (
            ("utterances", contexts, config.max_utterances, config.max_utterance_len),
            ("personas", personas, config.max_profiles, config.max_profile_len),
        ):
            inputs.update(self._encoded(name, rows, count, length))
            inputs[f"{name}_num"] = np.array([len(row) for row in rows], np.int32)
        return inputs

    def responses(self, rows: Sequence[Sequence[Sentence]]) -> dict[str, np.ndarray]:
        """The inputs of the candidates of B turns; missing candidates are padded at the end."""
        count = max(map(len, rows))
        return self._encoded("responses", rows, count, self._config.max_response_len)

    def _encoded(
        self, name: str, rows: Sequence[Sequence[Sentence]], count: int, length: int
    ) -> dict[str, np.ndarray]:
        """Words [B, count, length], lengths [B, count] and characters of rows of sentences."""
        words = np.zeros((len(rows), count, length), np.int32)
        lengths = np.zeros((len(rows), count), np.int32)
        characters = np.zeros((*words.shape, self._config.max_word_len), np.int32)
        for row, sentences in enumerate(rows):
            for column, sentence in enumerate(sentences):
                read = sentence[:length]
                words[row, column] = self._vocabulary.word_ids(read, length)
                lengths[row, column] = len(read)
                for position, word in enumerate(read) if self._reads_characters else ():
                    characters[row, column, position] = self._vocabulary.character_ids(
                        word, self._config.max_word_len
                    )
        inputs = {name: words, f"{name}_len": lengths}
        return {**inputs, f"{name}_char": characters} if self._reads_characters else inputs
