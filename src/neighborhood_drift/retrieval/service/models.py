"""What the service takes and returns, as its OpenAPI document describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, create_model, field_validator, model_validator

from ..store import HIGHEST_ID, LOWEST_ID
from .limits import Limits

MOST_DIMENSIONS = 65_536
LONGEST_ID = 1_000  # characters

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Vector = Annotated[list[Number], Field(min_length=1, max_length=MOST_DIMENSIONS)]
Id = Annotated[StrictInt, Field(ge=LOWEST_ID, le=HIGHEST_ID)] | Annotated[StrictStr, Field(max_length=LONGEST_ID)]
RuleName = Literal["follows-k", "stays", "faiss-follows-k"]
TargetText = Annotated[str, Field(max_length=40)]


class Options(BaseModel):
    """How to search."""

    model_config = ConfigDict(extra="forbid")

    k: Annotated[int, Field(strict=True, ge=1, description="neighbors")] = 10
    ef: Annotated[int | None, Field(strict=True, ge=1, description="effort; null: the collection's own")] = None
    target: Annotated[TargetText | None, Field(description="what to reach instead of ef, such as overlap=0.95")] = None
    rule: Annotated[RuleName, Field(description="what ef means where k is higher; see /info")] = "follows-k"
    exact: Annotated[bool, Field(strict=True, description="the true neighbors")] = False
    compare: Annotated[bool, Field(strict=True, description="the true neighbors beside those found")] = False


class Search(Options):
    """A search by a vector, or by the id of a point, which is then left out of its own neighbors."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": 3, "k": 5, "ef": 10, "compare": True}],
            "oneOf": [
                {"required": ["vector"], "properties": {"vector": {"type": "array"}, "id": {"type": "null"}}},
                {"required": ["id"], "properties": {"id": {"type": ["integer", "string"]}, "vector": {"type": "null"}}},
            ],
        }
    )

    vector: Vector | None = None
    id: Id | None = None

    @model_validator(mode="after")
    def _one(self):
        if (self.vector is None) == (self.id is None):
            raise ValueError("give either a vector or an id")
        return self


class Points(BaseModel):
    """Points to add."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"vectors": [[0.5, 1.0]], "ids": ["a"], "metadata": [{"label": "cat"}]}]},
    )

    vectors: Annotated[list[Vector], Field(min_length=1)]
    ids: Annotated[list[Id] | None, Field(description="one a vector; null: whole numbers that go on")] = None
    metadata: Annotated[list[dict[str, Any] | None] | None, Field(description="one a vector; label is shown")] = None
    replace: Annotated[bool, Field(strict=True, description="whether an id that is there gets the new vector")] = False

    @field_validator("metadata")
    @classmethod
    def _can_be_returned(cls, value):
        try:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise ValueError("metadata must be finite numbers and valid Unicode") from None
        return value


class Ids(BaseModel):
    """Points to delete."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": ["a", 5]}]})

    ids: Annotated[list[Id], Field(min_length=1)]


@dataclass(frozen=True)
class Bounded:
    """What requests send, within the limits of one service: its document names them, and no list is read past them."""

    search: type[Search]
    points: type[Points]
    ids: type[Ids]


def bounded(limits: Limits) -> Bounded:
    """The models of a service with these limits.

    >>> bounded(Limits(k=5)).search(id=0, k=6)
    Traceback (most recent call last):
    pydantic_core._pydantic_core.ValidationError: ...
    """
    few = Field(min_length=1, max_length=limits.points)
    k = Annotated[int, Field(strict=True, ge=1, le=limits.k, description="neighbors")]
    ef = Annotated[int, Field(strict=True, ge=1, le=limits.ef)]
    effort = Annotated[ef | None, Field(description="effort; null: the collection's own")]
    return Bounded(
        create_model("Search", __base__=Search, __doc__=Search.__doc__, k=(k, 10), ef=(effort, None)),
        create_model("Points", __base__=Points, __doc__=Points.__doc__, vectors=(Annotated[list[Vector], few], ...)),
        create_model("Ids", __base__=Ids, __doc__=Ids.__doc__, ids=(Annotated[list[Id], few], ...)),
    )


class Problem(BaseModel):
    """What was wrong, in one sentence."""

    detail: str


class Hit(BaseModel):
    """A neighbor."""

    id: Id
    distance: Annotated[float, Field(description="Euclidean (not squared), or 1 - cos")]
    label: str | None
    image: Annotated[str | None, Field(description="address of its picture")]
    rank: Annotated[int, Field(ge=1)]


class Exact(BaseModel):
    """The true neighbors."""

    seconds: float
    hits: list[Hit]


class Found(BaseModel):
    """The neighbors of one query, nearest first."""

    k: int
    ef: int | None
    rule: RuleName
    seconds: Annotated[float, Field(description="time of the search itself")]
    found: int
    note: Annotated[str, Field(description="says where fewer than k came; else empty")]
    hits: list[Hit]


class Compared(Found):
    """The neighbors that were found, beside the true ones."""

    exact: Exact
    overlap: Annotated[float | None, Field(description="share of the true neighbors found; null where none is")]
    missed: Annotated[list[Id], Field(description="true neighbors that were not found")]
    instead: Annotated[list[Id], Field(description="what came in their place")]


class Stored(BaseModel):
    """A point."""

    id: Id
    label: str | None
    image: str | None


class Listed(BaseModel):
    """Points in a fixed order."""

    points: list[Stored]
    total: int


class Rule(BaseModel):
    """What a search's effort means, and which engine searches so."""

    name: RuleName
    label: str
    ready: bool
    reason: Annotated[str, Field(description="why it is not ready; else empty")]


class ImageSearch(BaseModel):
    """Whether an uploaded image can be searched."""

    ready: bool
    reason: str


class Info(BaseModel):
    """The collection and what the service allows."""

    model_config = ConfigDict(extra="allow")

    kind: str
    metric: str
    dimension: int | None
    points: int
    limits: dict[str, int]
    rules: list[Rule]
    images: Annotated[bool, Field(description="whether points have pictures")]
    image_search: ImageSearch
    changes: Annotated[str, Field(description="who may change data: open, token, closed")]
    notice: Annotated[str, Field(description="what a license asks to be said of the vectors; else empty")]


class Health(BaseModel):
    """The service answers."""

    status: str
    points: int


class Added(BaseModel):
    """What was added."""

    ids: list[Id]
    points: int


class Deleted(BaseModel):
    """What was deleted."""

    deleted: int
    points: int


class Done(BaseModel):
    """What was asked for is done, or has begun."""

    status: str
    points: int
