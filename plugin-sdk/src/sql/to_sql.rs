//! Parameters.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Date, Interval, Numeric, Scalar, Time, Timestamp, Uuid, Value};

/// What can be a parameter of a statement.
pub trait ToSql {
    fn to_sql(&self) -> Value;
}

/// What can be an item of an array as well.
pub trait ToScalar {
    fn to_scalar(&self) -> Scalar;
}

impl ToSql for Value {
    fn to_sql(&self) -> Value {
        self.clone()
    }
}

impl ToSql for [u8] {
    fn to_sql(&self) -> Value {
        Value::One(Scalar::Bytes(self.to_vec()))
    }
}

impl ToSql for Vec<u8> {
    fn to_sql(&self) -> Value {
        self.as_slice().to_sql()
    }
}

impl<T: ToScalar> ToSql for [T] {
    fn to_sql(&self) -> Value {
        Value::Many(self.iter().map(ToScalar::to_scalar).collect())
    }
}

impl<T: ToScalar> ToSql for Vec<T> {
    fn to_sql(&self) -> Value {
        self.as_slice().to_sql()
    }
}

impl<T: ToSql> ToSql for Option<T> {
    fn to_sql(&self) -> Value {
        self.as_ref().map_or(Value::One(Scalar::Null), ToSql::to_sql)
    }
}

impl<T: ToSql + ?Sized> ToSql for &T {
    fn to_sql(&self) -> Value {
        (**self).to_sql()
    }
}

impl<T: ToScalar> ToScalar for Option<T> {
    fn to_scalar(&self) -> Scalar {
        self.as_ref().map_or(Scalar::Null, ToScalar::to_scalar)
    }
}

impl<T: ToScalar + ?Sized> ToScalar for &T {
    fn to_scalar(&self) -> Scalar {
        (**self).to_scalar()
    }
}

macro_rules! scalars {
    ($($ty:ty, $this:ident => $scalar:expr;)*) => {$(
        impl ToScalar for $ty {
            fn to_scalar(&self) -> Scalar {
                let $this = self;
                $scalar
            }
        }

        impl ToSql for $ty {
            fn to_sql(&self) -> Value {
                Value::One(self.to_scalar())
            }
        }
    )*};
}

scalars! {
    Scalar, this => this.clone();
    bool, this => Scalar::Boolean(*this);
    i16, this => Scalar::Int16(*this);
    i32, this => Scalar::Int32(*this);
    i64, this => Scalar::Int64(*this);
    u32, this => Scalar::Int64((*this).into());
    // Larger than PostgreSQL's largest integer, perhaps; the server says so.
    u64, this => Scalar::Numeric(this.to_string());
    f32, this => Scalar::Float32(*this);
    f64, this => Scalar::Float64(*this);
    str, this => Scalar::Text(this.to_owned());
    String, this => Scalar::Text(this.clone());
    serde_json::Value, this => Scalar::Json(this.to_string());
    Numeric, this => Scalar::Numeric(this.0.clone());
    Uuid, this => Scalar::Uuid(this.0.clone());
    Date, this => Scalar::Date(*this);
    Time, this => Scalar::Time(*this);
    Timestamp, this => Scalar::Timestamp(*this);
    Interval, this => Scalar::Interval(*this);
    SystemTime, this => Scalar::Timestamptz(micros(*this));
}

fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}
