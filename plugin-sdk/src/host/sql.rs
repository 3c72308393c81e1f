//! The database of a component: the host's.

use crate::bindings::pgq::plugin::sql as host;
use crate::sql::{Column, Date, Error, ErrorKind, Interval, Parts, Scalar, Time, Timestamp, Value};

#[derive(Debug)]
pub(crate) struct SqlCursor(host::Cursor);

#[derive(Debug)]
pub(crate) struct SqlSavepoint(host::Savepoint);

pub(crate) fn sql_execute(statement: &str, parameters: Vec<Value>) -> Result<u64, Error> {
    host::execute(statement, &lowered(parameters)).map_err(|error| lifted_error(&error))
}

pub(crate) fn sql_query(statement: &str, parameters: Vec<Value>) -> Result<SqlCursor, Error> {
    host::query(statement, &lowered(parameters)).map(SqlCursor).map_err(|error| lifted_error(&error))
}

pub(crate) fn sql_savepoint() -> Result<SqlSavepoint, Error> {
    host::set_savepoint().map(SqlSavepoint).map_err(|error| lifted_error(&error))
}

impl SqlCursor {
    pub(crate) fn columns(&self) -> Vec<Column> {
        let columns = self.0.columns().into_iter();
        columns.map(|column| Column { name: column.name, type_name: column.type_name }).collect()
    }

    pub(crate) fn next(&mut self, rows: u32) -> Result<Vec<Vec<Value>>, Error> {
        let rows = self.0.next(rows).map_err(|error| lifted_error(&error))?;
        Ok(rows.into_iter().map(|row| row.into_iter().map(lifted).collect()).collect())
    }
}

impl SqlSavepoint {
    pub(crate) fn release(self) -> Result<(), Error> {
        self.0.release().map_err(|error| lifted_error(&error))
    }

    pub(crate) fn roll_back(self) -> Result<(), Error> {
        self.0.roll_back().map_err(|error| lifted_error(&error))
    }
}

fn lowered(values: Vec<Value>) -> Vec<host::Value> {
    let value = |value| match value {
        Value::One(scalar) => host::Value::One(lowered_scalar(scalar)),
        Value::Many(scalars) => host::Value::Many(scalars.into_iter().map(lowered_scalar).collect()),
    };
    values.into_iter().map(value).collect()
}

fn lowered_scalar(scalar: Scalar) -> host::Scalar {
    match scalar {
        Scalar::Null => host::Scalar::Null,
        Scalar::Boolean(value) => host::Scalar::Boolean(value),
        Scalar::Int16(value) => host::Scalar::Int16(value),
        Scalar::Int32(value) => host::Scalar::Int32(value),
        Scalar::Int64(value) => host::Scalar::Int64(value),
        Scalar::Float32(value) => host::Scalar::Float32(value),
        Scalar::Float64(value) => host::Scalar::Float64(value),
        Scalar::Numeric(text) => host::Scalar::Numeric(text),
        Scalar::Text(text) => host::Scalar::Text(text),
        Scalar::Bytes(bytes) => host::Scalar::Bytes(bytes),
        Scalar::Json(text) => host::Scalar::Json(text),
        Scalar::Uuid(text) => host::Scalar::Uuid(text),
        Scalar::Date(Date(days)) => host::Scalar::Date(days),
        Scalar::Time(Time(micros)) => host::Scalar::Time(micros),
        Scalar::Timestamp(Timestamp(micros)) => host::Scalar::Timestamp(micros),
        Scalar::Timestamptz(micros) => host::Scalar::Timestamptz(micros),
        Scalar::Interval(Interval { months, days, microseconds }) => {
            host::Scalar::Interval(host::Interval { months, days, microseconds })
        }
    }
}

fn lifted(value: host::Value) -> Value {
    match value {
        host::Value::One(scalar) => Value::One(lifted_scalar(scalar)),
        host::Value::Many(scalars) => Value::Many(scalars.into_iter().map(lifted_scalar).collect()),
    }
}

fn lifted_scalar(scalar: host::Scalar) -> Scalar {
    match scalar {
        host::Scalar::Null => Scalar::Null,
        host::Scalar::Boolean(value) => Scalar::Boolean(value),
        host::Scalar::Int16(value) => Scalar::Int16(value),
        host::Scalar::Int32(value) => Scalar::Int32(value),
        host::Scalar::Int64(value) => Scalar::Int64(value),
        host::Scalar::Float32(value) => Scalar::Float32(value),
        host::Scalar::Float64(value) => Scalar::Float64(value),
        host::Scalar::Numeric(text) => Scalar::Numeric(text),
        host::Scalar::Text(text) => Scalar::Text(text),
        host::Scalar::Bytes(bytes) => Scalar::Bytes(bytes),
        host::Scalar::Json(text) => Scalar::Json(text),
        host::Scalar::Uuid(text) => Scalar::Uuid(text),
        host::Scalar::Date(days) => Scalar::Date(Date(days)),
        host::Scalar::Time(micros) => Scalar::Time(Time(micros)),
        host::Scalar::Timestamp(micros) => Scalar::Timestamp(Timestamp(micros)),
        host::Scalar::Timestamptz(micros) => Scalar::Timestamptz(micros),
        host::Scalar::Interval(host::Interval { months, days, microseconds }) => {
            Scalar::Interval(Interval { months, days, microseconds })
        }
    }
}

fn lifted_error(error: &host::Error) -> Error {
    let kind = match error.kind() {
        host::ErrorKind::Database => ErrorKind::Database,
        host::ErrorKind::Refused => ErrorKind::Refused,
        host::ErrorKind::Limit => ErrorKind::Limit,
        host::ErrorKind::Conversion => ErrorKind::Conversion,
        host::ErrorKind::Connection => ErrorKind::Connection,
    };
    Error::of(Parts {
        kind,
        message: error.message(),
        sqlstate: error.sqlstate(),
        detail: error.detail(),
        hint: error.hint(),
        constraint: error.constraint(),
        table: error.table(),
        column: error.column(),
    })
}
