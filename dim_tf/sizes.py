"""Fixed sizes for backends that compile for them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much a compiled model computes; None leaves it to the backend, see `Packing`.

    Args:
        encoder: Rows live at each step of the encoder.
        matcher: Rows live at each step of the matcher.
        aggregator: Rows live at each step of the aggregator.
        utterances: Words of a turn's context, X.
        personas: Words of a turn's persona, X.
    """

    encoder: tuple[int, ...] | None = None
    matcher: tuple[int, ...] | None = None
    aggregator: tuple[int, ...] | None = None
    utterances: int | None = None
    personas: int | None = None
