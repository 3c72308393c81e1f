/**
 * The database, as the role that the operator granted. All statements of a run are one transaction, committed in the
 * statement that records the outcome: rows, output, follow-ups and the end of the job are there together, or not at all.
 */

/** Arrays are arrays, objects are `jsonb`, a Date is a `timestamptz`. Text is good for any type. */
export type Parameter = null | undefined | boolean | number | bigint | string | Uint8Array | Date | object;

/** Run a statement, and return how many rows it has touched. Parameters are `$1`, `$2` and so on. */
export declare function execute(statement: string, ...parameters: Parameter[]): number;

/** Run a statement, and read its rows. */
export declare function query<Row extends unknown[] = any[]>(statement: string, ...parameters: Parameter[]): Rows<Row>;

/** A part that can fail without the rest: what it throws undoes what was done in it, and goes on. */
export declare function savepoint<T>(part: () => T): T;

/**
 * Rows are arrays, read some at a time. Whole numbers beyond 2^53 are BigInts; `numeric`, and dates and times without
 * a time zone, are text; an interval is `{ months, days, microseconds }`.
 */
export declare class Rows<Row extends unknown[] = any[]> implements Iterable<Row> {
  private constructor();
  readonly columns: string[];
  [Symbol.iterator](): Iterator<Row>;
  /** The rows as objects, by the names of their columns. */
  objects<T = Record<string, any>>(): Iterable<T>;
  /** The next row, if there is one. */
  first(): Row | undefined;
  /** The only row. */
  one(): Row;
  /** The only value of the only row. */
  value<T = any>(): T;
}

/** A statement failed. */
export declare class SqlError extends Error {
  readonly kind: "database" | "refused" | "limit" | "conversion" | "connection";
  readonly sqlstate?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly column?: string;
}
