// The database, as the role that the operator granted. All statements of a run are one transaction, committed in the
// statement that records the outcome.
import { current } from "./host.js";
import { toValue } from "./values.js";

/** How many rows are asked for at a time. */
const PORTION = 500;

export class SqlError extends Error {
  name = "SqlError";
  constructor(message, parts = {}) {
    super(message);
    this.kind = "database";
    Object.assign(this, parts);
  }
}

export function execute(statement, ...parameters) {
  return Number(current().sqlExecute(statement, parameters.map(toValue)));
}

export function query(statement, ...parameters) {
  return new Rows(current().sqlQuery(statement, parameters.map(toValue)));
}

/** An exception undoes what was done within, and goes on. */
export function savepoint(part) {
  const point = current().sqlSavepoint();
  let value;
  try {
    value = part();
    if (typeof value?.then === "function") {
      return value.then(
        (value) => (point.release(), value),
        (error) => {
          point.rollBack();
          throw error;
        },
      );
    }
  } catch (error) {
    point.rollBack();
    throw error;
  }
  point.release();
  return value;
}

/** Rows are arrays, read some at a time as they are asked for. */
export class Rows {
  #cursor;

  constructor(cursor) {
    this.#cursor = cursor;
  }

  get columns() {
    return this.#cursor.columns();
  }

  *[Symbol.iterator]() {
    for (let rows = this.#cursor.next(PORTION); rows.length; rows = this.#cursor.next(PORTION)) yield* rows;
  }

  *objects() {
    const names = this.columns;
    for (const row of this) yield Object.fromEntries(row.map((value, n) => [names[n], value]));
  }

  first() {
    for (const row of this) return row;
    return undefined;
  }

  one() {
    const rows = [];
    for (const row of this) if (rows.push(row) > 1) break;
    if (rows.length !== 1) {
      throw new SqlError(`the statement returned ${rows.length ? "more than one row" : "no row"} where one was expected`, { kind: "conversion" });
    }
    return rows[0];
  }

  value() {
    const row = this.one();
    if (row.length !== 1) throw new SqlError(`the row has ${row.length} columns where one was expected`, { kind: "conversion" });
    return row[0];
  }
}
