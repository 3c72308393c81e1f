//! Values of rows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Date, Interval, Numeric, Scalar, Time, Timestamp, Uuid, Value};

/// What a value of a row can be read as. `None`: it is something else.
pub trait FromSql: Sized {
    fn from_sql(value: Value) -> Option<Self>;
}

/// What an item of an array can be read as.
pub trait FromScalar: Sized {
    fn from_scalar(scalar: Scalar) -> Option<Self>;
}

impl FromSql for Value {
    fn from_sql(value: Value) -> Option<Value> {
        Some(value)
    }
}

impl FromSql for Vec<u8> {
    fn from_sql(value: Value) -> Option<Vec<u8>> {
        if let Value::One(Scalar::Bytes(bytes)) = value { Some(bytes) } else { None }
    }
}

impl<T: FromScalar> FromSql for Vec<T> {
    fn from_sql(value: Value) -> Option<Vec<T>> {
        match value {
            Value::Many(items) => items.into_iter().map(T::from_scalar).collect(),
            Value::One(_) => None,
        }
    }
}

impl<T: FromSql> FromSql for Option<T> {
    fn from_sql(value: Value) -> Option<Option<T>> {
        match value {
            Value::One(Scalar::Null) => Some(None),
            value => T::from_sql(value).map(Some),
        }
    }
}

impl<T: FromScalar> FromScalar for Option<T> {
    fn from_scalar(scalar: Scalar) -> Option<Option<T>> {
        match scalar {
            Scalar::Null => Some(None),
            scalar => T::from_scalar(scalar).map(Some),
        }
    }
}

macro_rules! scalars {
    ($($ty:ty: $($pattern:pat => $value:expr),+;)*) => {$(
        impl FromScalar for $ty {
            fn from_scalar(scalar: Scalar) -> Option<$ty> {
                match scalar {
                    $($pattern => Some($value),)+
                    _ => None,
                }
            }
        }

        impl FromSql for $ty {
            fn from_sql(value: Value) -> Option<$ty> {
                if let Value::One(scalar) = value { <$ty>::from_scalar(scalar) } else { None }
            }
        }
    )*};
}

scalars! {
    bool: Scalar::Boolean(value) => value;
    i16: Scalar::Int16(value) => value;
    i32: Scalar::Int16(value) => value.into(), Scalar::Int32(value) => value;
    i64: Scalar::Int16(value) => value.into(), Scalar::Int32(value) => value.into(), Scalar::Int64(value) => value;
    f32: Scalar::Float32(value) => value;
    f64: Scalar::Float32(value) => value.into(), Scalar::Float64(value) => value;
    String: Scalar::Text(text) => text, Scalar::Numeric(text) => text, Scalar::Uuid(text) => text, Scalar::Json(text) => text;
    Numeric: Scalar::Numeric(text) => Numeric(text);
    Uuid: Scalar::Uuid(text) => Uuid(text);
    Date: Scalar::Date(date) => date;
    Time: Scalar::Time(time) => time;
    Timestamp: Scalar::Timestamp(timestamp) => timestamp;
    Interval: Scalar::Interval(interval) => interval;
}

impl FromScalar for Scalar {
    fn from_scalar(scalar: Scalar) -> Option<Scalar> {
        Some(scalar)
    }
}

impl FromSql for serde_json::Value {
    fn from_sql(value: Value) -> Option<serde_json::Value> {
        if let Value::One(Scalar::Json(text)) = value { serde_json::from_str(&text).ok() } else { None }
    }
}

impl FromSql for SystemTime {
    fn from_sql(value: Value) -> Option<SystemTime> {
        let Value::One(Scalar::Timestamptz(micros)) = value else { return None };
        let since = Duration::from_micros(micros.unsigned_abs());
        if micros < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) }
    }
}
