//! Values, as `pgq:plugin/sql` has them.

/// One value of a row, or a parameter: a scalar, or an array of one dimension.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    One(Scalar),
    Many(Vec<Scalar>),
}

#[derive(Clone, Debug, PartialEq)]
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
    /// Days since 1970-01-01. The largest and the smallest number are infinity.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00. The largest and the smallest number are infinity.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00Z. The largest and the smallest number are infinity.
    Timestamptz(i64),
    Interval(Interval),
}

/// Its three parts do not add up to one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}
