"""What a candidate looked at, for programs and for a terminal."""

from __future__ import annotations

import dataclasses

from dim_tf.heatmap import Heatmap

SHOWN = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """The attention weights of a candidate, equation 9, with their words.

    Each row of weights says how one word of the candidate spreads its attention; it adds up to 1.

    Attributes:
        candidate: The text.
        context: What its words look at among those of the utterances that the model reads; None if
            there are none, or if the model does not match words with them.
        persona: The same of the profiles.
    """

    candidate: str
    context: Heatmap | None
    persona: Heatmap | None

    @property
    def maps(self) -> list[Heatmap]:
        """Those of the two that there are."""
        return [shown for shown in (self.context, self.persona) if shown is not None]

    def text(self, shown: int = SHOWN) -> str:
        """The words that each word of the candidate looks at most, with their weights.

        Args:
            shown: How many.

        >>> import numpy as np
        >>> weights = np.array([[0.25, 0.75], [0.9, 0.1]])
        >>> persona = Heatmap("reply to persona", ("my", "dogs"), (("dogs", "bark"),), (), weights)
        >>> print(Explanation("my dogs", None, persona).text())
        reply to persona
          my    bark 0.75  dogs 0.25
          dogs  dogs 0.90  bark 0.10
        """
        blocks = []
        for each in self.maps:
            words = [word for group in each.groups for word in group]
            width = max(map(len, each.rows), default=0)
            lines = [each.title]
            for word, row in zip(each.rows, each.weights, strict=True):
                # A stable order, so that among equal weights the first word is shown.
                most = (-row).argsort(kind="stable")[:shown]
                seen = "  ".join(f"{words[place]} {row[place]:.2f}" for place in most)
                lines.append(f"  {word:{width}}  {seen}")
            blocks.append("\n".join(lines))
        return "\n".join(blocks)
