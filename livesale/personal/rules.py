"""The words in which every column of every table says whether it is somebody's; `register` has them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Field, Model, Q, QuerySet


class Rule(Enum):
    """What a column is to the person whose row it is."""

    FACT = "no words: a thing, a time, an amount, a state. Exported, stays."
    OURS = "words of a shop or a room, about what it is and sells. Exported to whose it is, stays."
    WHO = "a person by their id alone: who that is, only their own row says. Stays."
    OWN = "theirs. Exported, goes with them."
    KEPT = "theirs. Exported, goes with them as soon as no law keeps it."
    SECRET = "what proves something; nobody is to read it. Not exported, goes with them."  # nosec B105  # noqa: S105 - a sentence


class Ending(Enum):
    """What becomes of the rows of somebody who is erased."""

    STAYS = "as it is: it says nothing about anybody"
    BLANK = "the row stays, its OWN and SECRET columns are emptied"
    DROP = "the row goes"
    BY_HAND = "by the service of its subject"


Whose = str | Callable[[UUID], Q]


@dataclass(frozen=True)
class Part:
    """Rows of a table that are somebody's: found by a path to the person's id, or by a condition.

    `name` is the section of the file in which they get them; without one, the rows are only erased. `without`: columns
    that in these rows are somebody else's.
    """

    name: str
    whose: Whose
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """The rule of each column of a table, by the field's name."""

    label: str
    columns: Mapping[str, Rule]
    parts: tuple[Part, ...] = ()
    ending: Ending = Ending.STAYS

    @cached_property
    def model(self) -> type[Model]:
        # the tables in between of many-to-many fields are called by both names
        return next(m for m in apps.get_models(include_auto_created=True) if m._meta.label == self.label)

    def rows(self, part: Part, person_id: UUID) -> QuerySet[Any]:
        """The rows of a part that are this person's."""
        whose = part.whose
        condition = Q(**{whose: person_id}) if isinstance(whose, str) else whose(person_id)
        return self.model._base_manager.filter(condition)

    def exported(self, part: Part) -> list[str]:
        """The columns that whoever has these rows gets of them."""
        told = {Rule.FACT, Rule.OURS, Rule.OWN, Rule.KEPT}
        return [n for n, rule in self.columns.items() if rule in told and n not in part.without]

    def emptied(self, part: Part) -> dict[str, Any]:
        """What the columns become that are emptied."""
        gone = {Rule.OWN, Rule.SECRET}
        return {
            name: empty(self.model._meta.get_field(name))  # type: ignore[arg-type]
            for name, rule in self.columns.items()
            if rule in gone and name not in part.without
        }


def empty(field: Field[Any, Any]) -> Any:
    """A value of this column that says nothing."""
    if field.null:
        return None
    return field.get_default() if field.has_default() else field.to_python("") or ""


def table(
    label: str,
    columns: dict[Rule, str],
    *parts: Part,
    ending: Ending = Ending.STAYS,
) -> Table:
    """A table with the names of its columns by rule, separated by spaces."""
    named = {name: rule for rule, names in columns.items() for name in names.split()}
    if len(named) != sum(len(names.split()) for names in columns.values()):
        raise ValueError(f"{label}: a column has two rules")
    return Table(label, named, parts, ending)


def problems(tables: Mapping[str, Table]) -> Iterator[str]:
    """Tables and columns without a rule, and rules without a column."""
    models = {m._meta.label: m for m in apps.get_models(include_auto_created=True) if not m._meta.proxy}
    yield from (f"{label} has no rules" for label in models.keys() - tables.keys())
    yield from (f"{label} is no table" for label in tables.keys() - models.keys())
    for label in models.keys() & tables.keys():
        columns = {f.name for f in models[label]._meta.local_concrete_fields}
        ruled = set(tables[label].columns)
        yield from (f"{label}.{name} has no rule" for name in columns - ruled)
        yield from (f"{label}.{name} is no column" for name in ruled - columns)
        personal = {Rule.OWN, Rule.KEPT} & set(tables[label].columns.values())
        if personal and not tables[label].parts:
            yield f"{label} has columns of people, and does not say whose"
