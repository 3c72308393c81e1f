"""The database, as the role that the operator granted to the plugin.

All statements of a run are one transaction, which is committed in the statement that records the outcome: rows, output,
follow-ups and the end of the job are there together, or none of them is::

    balance = pgq.sql.query("SELECT balance FROM account WHERE id = $1 FOR UPDATE", account).scalar()
    pgq.sql.execute("UPDATE account SET balance = balance - $2 WHERE id = $1", account, amount)

A statement that fails aborts the transaction. What may fail goes into a `savepoint`. Declare the need with
`pgq.plugin(..., sql="keeps accounts")`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Optional

from . import _host
from ._values import Interval, Json, to_value

__all__ = ["Error", "Interval", "Json", "Rows", "execute", "query", "savepoint"]

#: How many rows are asked for at a time.
_PORTION = 500


class Error(Exception):
    """A statement failed. `kind` is database, refused, limit, conversion or connection."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "database",
        sqlstate: Optional[str] = None,
        detail: Optional[str] = None,
        hint: Optional[str] = None,
        constraint: Optional[str] = None,
        table: Optional[str] = None,
        column: Optional[str] = None,
    ):
        super().__init__(message)
        self.kind, self.sqlstate, self.detail, self.hint = kind, sqlstate, detail, hint
        self.constraint, self.table, self.column = constraint, table, column

    def __str__(self) -> str:
        more = [f"{name} {value}" for name, value in (("SQLSTATE", self.sqlstate), ("detail:", self.detail), ("hint:", self.hint)) if value]
        return f"{self.args[0]} ({', '.join(more)})" if more else str(self.args[0])


class Rows:
    """The rows of a statement: tuples, read some at a time as they are asked for."""

    def __init__(self, cursor: Any):
        self._cursor = cursor
        self._rows: Iterator[tuple[Any, ...]] = self._read()

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._cursor.columns())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def first(self) -> Optional[tuple[Any, ...]]:
        """The next row, or None."""
        return next(self._rows, None)

    def one(self) -> tuple[Any, ...]:
        """The only row. Any other number is an error."""
        rows = [row for row, _ in zip(self._rows, range(2))]
        if len(rows) != 1:
            raise Error(f"the statement returned {'no row' if not rows else 'more than one row'} where one was expected", kind="conversion")
        return rows[0]

    def scalar(self) -> Any:
        """The only value of the only row."""
        row = self.one()
        if len(row) != 1:
            raise Error(f"the row has {len(row)} columns where one was expected", kind="conversion")
        return row[0]

    def dicts(self) -> Iterator[dict[str, Any]]:
        """The rows as dictionaries, by the names of their columns."""
        names = self.columns
        return (dict(zip(names, row)) for row in self._rows)

    def _read(self) -> Iterator[tuple[Any, ...]]:
        while rows := self._cursor.next(_PORTION):
            yield from rows


def execute(statement: str, *parameters: Any) -> int:
    """Run a statement, and return how many rows it has touched. Parameters are `$1`, `$2` and so on."""
    return _host.current().sql_execute(statement, [to_value(one) for one in parameters])


def query(statement: str, *parameters: Any) -> Rows:
    """Run a statement, and read its rows."""
    return Rows(_host.current().sql_query(statement, [to_value(one) for one in parameters]))


@contextmanager
def savepoint() -> Iterator[None]:
    """A part that can fail without the rest: an exception undoes what was done in it, and goes on."""
    point = _host.current().sql_savepoint()
    try:
        yield
    except BaseException:
        point.roll_back()
        raise
    point.release()
