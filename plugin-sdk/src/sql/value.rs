//! Values as they cross the border to the host.

/// One value of a row, or a parameter: a scalar, or an array of one dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    One(Scalar),
    Many(Vec<Scalar>),
}

/// The server converts parameters to the type that the statement wants: [`Scalar::Text`] is good for
/// any type, in the form that a literal would have.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scalar {
    Null,
    Boolean(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    /// In decimal, without loss.
    Numeric(String),
    Text(String),
    Bytes(Vec<u8>),
    Json(String),
    Uuid(String),
    Date(Date),
    Time(Time),
    Timestamp(Timestamp),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamptz(i64),
    Interval(Interval),
}

/// A decimal number of any size, as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Numeric(pub String);

/// A UUID, as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uuid(pub String);

/// Days since 1970-01-01. The largest and the smallest number are infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// Microseconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// Microseconds since 1970-01-01T00:00:00 on no clock in particular (`timestamp` without time zone).
/// The largest and the smallest number are infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// PostgreSQL's interval. Its three parts do not add up to one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The type's name in PostgreSQL's catalog, like `int8`.
    pub type_name: String,
}
