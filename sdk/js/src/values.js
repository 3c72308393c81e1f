// JavaScript's values as those of `pgq:plugin/sql` (`{ tag, val }`), and back.

export const toValue = (value) => (Array.isArray(value) ? { tag: "many", val: value.map(toScalar) } : { tag: "one", val: toScalar(value) });

function toScalar(value) {
  switch (typeof value) {
    case "undefined":
      return { tag: "null" };
    case "boolean":
      return { tag: "boolean", val: value };
    case "number":
      return Number.isSafeInteger(value) ? { tag: "int64", val: BigInt(value) } : { tag: "float64", val: value };
    case "bigint":
      return BigInt.asIntN(64, value) === value ? { tag: "int64", val: value } : { tag: "numeric", val: String(value) };
    case "string":
      return { tag: "text", val: value };
    case "object":
      if (value === null) return { tag: "null" };
      if (value instanceof Uint8Array) return { tag: "bytes", val: value };
      if (value instanceof Date) return { tag: "timestamptz", val: BigInt(value.getTime()) * 1000n };
      return { tag: "json", val: JSON.stringify(value) };
    default:
      throw new TypeError(`a ${typeof value} has no place in a statement`);
  }
}

export const fromValue = ({ tag, val }) => (tag === "many" ? val.map(fromScalar) : fromScalar(val));

/** Whole numbers beyond 2^53 are BigInts, `numeric` is text, and so are dates and times without a time zone. */
function fromScalar({ tag, val }) {
  switch (tag) {
    case "null":
      return null;
    case "int64":
      return Number.isSafeInteger(Number(val)) ? Number(val) : val;
    case "json":
      return JSON.parse(val);
    case "timestamptz":
      return new Date(Number(val / 1000n));
    case "timestamp":
      return clock(val).replace("Z", "");
    case "date":
      return clock(BigInt(val) * 86_400_000_000n).slice(0, 10);
    case "time":
      return val === 86_400_000_000n ? "24:00:00.000000" : clock(val).slice(11, -1);
    case "interval":
      return { months: val.months, days: val.days, microseconds: Number(val.microseconds) };
    default:
      return val;
  }
}

/** Microseconds since 1970 in ISO 8601, to the microsecond. The infinities of PostgreSQL have no such form. */
function clock(micros) {
  const whole = micros / 1000n - (micros % 1000n < 0n ? 1n : 0n);
  const date = new Date(Number(whole));
  if (Number.isNaN(date.getTime())) return micros > 0n ? "infinity" : "-infinity";
  return date.toISOString().replace("Z", `${String(micros - whole * 1000n).padStart(3, "0")}Z`);
}
