//! The SDK's values and the database's: the same, but for their types.

use pgq_values as plain;

use crate::sql::{Date, Interval, Scalar, Time, Timestamp, Value};

pub(super) fn plain(value: Value) -> plain::Value {
    match value {
        Value::One(scalar) => plain::Value::One(lowered(scalar)),
        Value::Many(scalars) => plain::Value::Many(scalars.into_iter().map(lowered).collect()),
    }
}

/// The error names the column and the remedy.
pub(super) fn of_row(row: &postgres::Row) -> Result<Vec<Value>, String> {
    let value = |value| match value {
        plain::Value::One(scalar) => Value::One(lifted(scalar)),
        plain::Value::Many(scalars) => Value::Many(scalars.into_iter().map(lifted).collect()),
    };
    Ok(plain::values(row)?.into_iter().map(value).collect())
}

fn lowered(scalar: Scalar) -> plain::Scalar {
    match scalar {
        Scalar::Null => plain::Scalar::Null,
        Scalar::Boolean(value) => plain::Scalar::Boolean(value),
        Scalar::Int16(value) => plain::Scalar::Int16(value),
        Scalar::Int32(value) => plain::Scalar::Int32(value),
        Scalar::Int64(value) => plain::Scalar::Int64(value),
        Scalar::Float32(value) => plain::Scalar::Float32(value),
        Scalar::Float64(value) => plain::Scalar::Float64(value),
        Scalar::Numeric(text) => plain::Scalar::Numeric(text),
        Scalar::Text(text) => plain::Scalar::Text(text),
        Scalar::Bytes(bytes) => plain::Scalar::Bytes(bytes),
        Scalar::Json(text) => plain::Scalar::Json(text),
        Scalar::Uuid(text) => plain::Scalar::Uuid(text),
        Scalar::Date(Date(days)) => plain::Scalar::Date(days),
        Scalar::Time(Time(micros)) => plain::Scalar::Time(micros),
        Scalar::Timestamp(Timestamp(micros)) => plain::Scalar::Timestamp(micros),
        Scalar::Timestamptz(micros) => plain::Scalar::Timestamptz(micros),
        Scalar::Interval(Interval { months, days, microseconds }) => {
            plain::Scalar::Interval(plain::Interval { months, days, microseconds })
        }
    }
}

fn lifted(scalar: plain::Scalar) -> Scalar {
    match scalar {
        plain::Scalar::Null => Scalar::Null,
        plain::Scalar::Boolean(value) => Scalar::Boolean(value),
        plain::Scalar::Int16(value) => Scalar::Int16(value),
        plain::Scalar::Int32(value) => Scalar::Int32(value),
        plain::Scalar::Int64(value) => Scalar::Int64(value),
        plain::Scalar::Float32(value) => Scalar::Float32(value),
        plain::Scalar::Float64(value) => Scalar::Float64(value),
        plain::Scalar::Numeric(text) => Scalar::Numeric(text),
        plain::Scalar::Text(text) => Scalar::Text(text),
        plain::Scalar::Bytes(bytes) => Scalar::Bytes(bytes),
        plain::Scalar::Json(text) => Scalar::Json(text),
        plain::Scalar::Uuid(text) => Scalar::Uuid(text),
        plain::Scalar::Date(days) => Scalar::Date(Date(days)),
        plain::Scalar::Time(micros) => Scalar::Time(Time(micros)),
        plain::Scalar::Timestamp(micros) => Scalar::Timestamp(Timestamp(micros)),
        plain::Scalar::Timestamptz(micros) => Scalar::Timestamptz(micros),
        plain::Scalar::Interval(plain::Interval { months, days, microseconds }) => {
            Scalar::Interval(Interval { months, days, microseconds })
        }
    }
}
