"""What the service takes and returns, as its OpenAPI document describes it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, field_validator, model_validator

from ..store import HIGHEST_ID, LOWEST_ID

MOST_DIMENSIONS = 65_536
LONGEST_ID = 1_000  # characters

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Vector = Annotated[list[Number], Field(min_length=1, max_length=MOST_DIMENSIONS)]
Id = Annotated[StrictInt, Field(ge=LOWEST_ID, le=HIGHEST_ID)] | Annotated[StrictStr, Field(max_length=LONGEST_ID)]
# a rule of `engines.RULES`: an enumeration here would have to be kept in step with it
Word = Annotated[str, Field(max_length=40)]


class Options(BaseModel):
    """How to search."""

    model_config = ConfigDict(extra="forbid")

    k: Annotated[int, Field(strict=True, ge=1, description="neighbors; the highest is in /info")] = 10
    ef: Annotated[int | None, Field(strict=True, ge=1, description="effort; null: the collection's own")] = None
    target: Annotated[Word | None, Field(description="what to reach instead of ef, such as overlap=0.95")] = None
    rule: Annotated[Word, Field(description="what ef means where k is higher; /info lists the rules")] = "follows-k"
    exact: Annotated[bool, Field(strict=True, description="the true neighbors")] = False
    compare: Annotated[bool, Field(strict=True, description="the true neighbors beside those found")] = False


class Search(Options):
    """A search by a vector, or by the id of a point, which is then left out of its own neighbors."""

    vector: Vector | None = None
    id: Id | None = None

    @model_validator(mode="after")
    def _one(self):
        if (self.vector is None) == (self.id is None):
            raise ValueError("give either a vector or an id")
        return self


class Points(BaseModel):
    """Points to add."""

    model_config = ConfigDict(extra="forbid")

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

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Id], Field(min_length=1)]


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
    rule: str
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

    name: str
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
