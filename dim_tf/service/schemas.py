"""What requests and answers hold, and their limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from dim_tf.retrieval.searcher import FIRST_STAGE, TOP_K

MAX_BYTES = 2**20
MAX_CHARACTERS, MAX_UTTERANCES, MAX_CANDIDATES = 1000, 100, 1000

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]
# Of a float array, to four digits.
Weights = Annotated[list[list[float]], BeforeValidator(lambda w: w.astype(float).round(4).tolist())]


class Turn(BaseModel):
    """What a reply has to fit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    context: list[Text] = Field(
        default=[],
        max_length=MAX_UTTERANCES,
        description="Utterances, oldest first; the last one is the partner's.",
        examples=[["do you like the beach ?"]],
    )
    persona: list[Text] = Field(
        default=[],
        description="Profiles. More than the model reads are refused.",
        examples=[["i am afraid of water ."]],
    )


class RankRequest(Turn):
    """A turn and the replies to choose from."""

    candidates: list[Text] = Field(
        min_length=1,
        max_length=MAX_CANDIDATES,
        examples=[["i love the beach .", "not really , i am scared of the water ."]],
    )
    top_k: int | None = Field(default=None, ge=1, description="Rows to return; null for all.")


class ReplyRequest(Turn):
    """A turn that the pool of the service replies to."""

    top_k: int = Field(default=TOP_K, ge=1, le=MAX_CANDIDATES, description="Rows to return.")
    first_stage: int = Field(
        default=FIRST_STAGE,
        ge=1,
        le=MAX_CANDIDATES,
        description="Replies that are found and ranked.",
    )
    filter: str = Field(
        default="",
        max_length=MAX_CHARACTERS,
        description="A Milvus expression over the fields of the replies.",
    )


class ExplainRequest(Turn):
    """A turn and one reply."""

    candidate: Text = Field(examples=["not really , i am scared of the water ."])


class Row(BaseModel):
    """A ranked candidate, as of `Ranker.rank`."""

    rank: int
    index: int
    candidate: str
    score: float
    probability: float
    fits: bool | None = Field(default=None, description="Of calibrated runs only.")


class Ranking(BaseModel):
    """The candidates, best first."""

    ranking: list[Row]


class Place(BaseModel):
    """Where a retriever found a reply."""

    rank: int
    score: float


class FirstStage(BaseModel):
    """Where each retriever found a reply; null if it did not."""

    dense: Place | None
    bm25: Place | None


class ReplyRow(Row):
    """A ranked reply of the pool; `index` is its place in the first stage."""

    id: str
    first_stage: FirstStage


class Replies(BaseModel):
    """The replies found, best first."""

    ranking: list[ReplyRow]


class Attention(BaseModel):
    """Attention weights from the words of the reply to those of some sentences."""

    rows: list[str] = Field(description="The words of the reply.")
    groups: list[list[str]] = Field(description="The words of each sentence.")
    weights: Weights = Field(description="For each word of the reply: of each word of all groups.")


class Explanation(BaseModel):
    """What a reply attends to (equation 9); null where there is no attention."""

    context: Attention | None
    persona: Attention | None


class Problem(BaseModel):
    """Why a request was refused."""

    error: str
