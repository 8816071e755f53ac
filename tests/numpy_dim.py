"""A slow DIM in plain NumPy, written from the paper's equations, one turn and candidate at a time.

It shares no code with the product. Variables are under the authors' names, in float64.
"""

from __future__ import annotations

import numpy as np

ENCODER = "encoding_layer/bidirectional_rnn"
MATCHER = "matching_layer/bidirectional_rnn_cross"
AGGREGATOR = "aggregation_layer/bidirectional_rnn_aggregation"


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def attention_weights(scores, live):
    """Softmax over the live positions; uniform over all of them where none is live."""
    if not any(live):
        return np.full(len(scores), 1.0 / len(scores))
    weights = np.zeros(len(scores))
    weights[live] = softmax(scores[live])
    return weights


class NumpyDIM:
    def __init__(self, variables, word_table, use_context=True, use_persona=True):
        self.variables = {name: np.asarray(v, "float64") for name, v in variables.items()}
        self.word_table = np.asarray(word_table, "float64")
        self.use_context, self.use_persona = use_context, use_persona

    def character_features(self, characters):
        features = []
        for index in range(3):
            kernel = self.variables[f"CNN_char_emb/conv_{index}/w"]
            bias = self.variables[f"CNN_char_emb/conv_{index}/b"]
            width = len(kernel)
            windows = []
            for start in range(len(characters) - width + 1):
                total = bias.copy()
                for offset in range(width):
                    if characters[start + offset] != 0:
                        total += kernel[offset, characters[start + offset]]
                windows.append(np.maximum(total, 0.0))
            features.append(np.max(windows, axis=0))
        return np.concatenate(features)

    def embed(self, words, characters):
        rows = [self.word_table[w] for w in words], [self.character_features(c) for c in characters]
        return np.concatenate(rows, axis=1)

    def lstm(self, inputs, scope, direction):
        """Outputs of the steps given, all of them real, and the last hidden state."""
        prefix = f"{scope}/bidirectional_rnn/{direction}/lstm_cell"
        kernel, bias = self.variables[f"{prefix}/kernel"], self.variables[f"{prefix}/bias"]
        units = len(bias) // 4
        cell, hidden, outputs = np.zeros(units), np.zeros(units), []
        for x in inputs:
            i, j, f, o = np.split(np.concatenate([x, hidden]) @ kernel + bias, 4)
            cell = sigmoid(f + 1.0) * cell + sigmoid(i) * np.tanh(j)
            hidden = sigmoid(o) * np.tanh(cell)
            outputs.append(hidden)
        return outputs, hidden

    def bilstm(self, inputs, length, scope):
        """Equations 4-6, 12-15, 20: outputs [T, D], zero past the length; last states [D]."""
        forward, forward_last = self.lstm(inputs[:length], scope, "fw")
        backward, backward_last = self.lstm(inputs[:length][::-1], scope, "bw")
        outputs = np.zeros((len(inputs), 2 * len(forward_last)))
        for step in range(length):
            outputs[step] = np.concatenate([forward[step], backward[length - 1 - step]])
        return outputs, np.concatenate([forward_last, backward_last])

    def pool(self, inputs, length, scope):
        outputs, last = self.bilstm(inputs, length, scope)
        return np.concatenate([outputs.max(axis=0), last])

    def interact(self, response, response_length, others, others_lengths):
        """Equations 7-19: features of the response, features of each of the others."""
        rows, steps, width = others.shape
        flat = others.reshape(rows * steps, width)
        live = np.concatenate([np.arange(steps) < length for length in others_lengths])
        response_live = np.arange(len(response)) < response_length
        scores = response @ flat.T
        response_seen = np.stack([attention_weights(row, live) @ flat for row in scores])
        others_seen = np.stack(
            [attention_weights(column, response_live) @ response for column in scores.T]
        ).reshape(others.shape)

        def enhance(own, seen):
            return np.concatenate([own, seen, own * seen, own - seen], axis=-1)

        response_features = self.pool(enhance(response, response_seen), response_length, MATCHER)
        others_features = [
            self.pool(enhance(own, seen), length, MATCHER)
            for own, seen, length in zip(others, others_seen, others_lengths, strict=True)
        ]
        return response_features, np.stack(others_features)

    def encode(self, inputs, name, index):
        """Encoder outputs [words, D] of one sequence; `index` is its place in the arrays."""
        embedded = self.embed(inputs[name][index], inputs[f"{name}_char"][index])
        return self.bilstm(embedded, inputs[f"{name}_len"][index], ENCODER)[0]

    def logit(self, inputs, turn, candidate):
        response = self.encode(inputs, "responses", (turn, candidate))
        response_length = inputs["responses_len"][turn, candidate]
        features = []
        for name, used in (("utterances", self.use_context), ("personas", self.use_persona)):
            if not used:
                continue
            rows = range(inputs[name].shape[1])
            others = np.stack([self.encode(inputs, name, (turn, row)) for row in rows])
            response_features, others_features = self.interact(
                response, response_length, others, inputs[f"{name}_len"][turn]
            )
            count = inputs[f"{name}_num"][turn]
            if name == "utterances":
                features += [self.pool(others_features, count, AGGREGATOR), response_features]
            else:  # equations 22 and 23
                weight = self.variables["aggregation_layer/pers_w"]
                bias = self.variables["aggregation_layer/pers_b"]
                scores = np.maximum(others_features @ weight + bias, 0.0)[:, 0]
                weights = attention_weights(scores, np.arange(len(scores)) < count)
                features += [weights @ others_features, response_features]
        joined = np.concatenate(features)  # equation 24
        layer = "prediction_layer"
        hidden = joined @ self.variables[f"{layer}/projected_layer/weights"]
        hidden = np.maximum(hidden + self.variables[f"{layer}/projected_layer/biases"], 0.0)
        return (hidden @ self.variables[f"{layer}/s_w"] + self.variables[f"{layer}/bias"])[0]

    def logits(self, inputs):
        batch, candidates = inputs["responses_len"].shape
        return np.array(
            [[self.logit(inputs, b, c) for c in range(candidates)] for b in range(batch)]
        )
