"""From the texts of turns to the inputs of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from dim_tf.data.text import Vocabulary
from dim_tf.runs.run import Run

Sentence = Sequence[str]
_ATTACHED = re.compile(r"(.*[\w'])([.,!?;:]+)")


class Featurizer:
    """Makes texts into the inputs of a model, by the text rules and the vocabulary of its run.

    Where the rules split only at spaces, "water." is read as "water ." if the vocabulary lacks it:
    the texts of PERSONA-CHAT are written like that, those of people are not.

    Args:
        run: Run. The run.
        reads_characters: bool. Whether its model reads characters.
    """

    def __init__(self, run: Run, reads_characters: bool):
        self._config, self._rules = run.model_config, run.text
        self._reads_characters = reads_characters
        self._vocabulary = Vocabulary(run.words, run.characters)

    @property
    def profiles_read(self) -> int:
        """The number of profiles that the model reads."""
        return self._config.max_profiles if self._config.use_persona else 0

    def context(self, texts: Sequence[str]) -> list[Sentence]:
        """The words of the utterances that the model reads."""
        read = texts[-self._config.max_utterances :]  # the rules count from the last one
        return [list(self._set_off(words)) for words in self._rules.context(read)]

    def persona(self, texts: Sequence[str]) -> list[Sentence]:
        """The words of the profiles that the model reads."""
        words = (self._rules.profile(text) for text in texts[: self.profiles_read])
        return [list(self._set_off(each)) for each in words]

    def candidates(self, texts: Sequence[str]) -> list[Sentence]:
        """The words of each candidate that the model reads."""
        length = self._config.max_response_len
        return [tuple(self._set_off(self._rules.candidate(text)))[:length] for text in texts]

    def _set_off(self, words: Sequence[str]) -> Iterator[str]:
        for word in words:
            attached = None if word in self._vocabulary else _ATTACHED.fullmatch(word)
            yield from attached.groups() if attached else (word,)

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
