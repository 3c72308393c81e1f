//! Results from PostgreSQL's binary form.

use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Kind, Type};
use uuid::Uuid;

use super::numeric;
use super::value::{Interval, Scalar, Value};

/// PostgreSQL counts from 2000.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_US: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// All values of a row. The error names the column and the remedy.
pub fn values(row: &Row) -> Result<Vec<Value>, String> {
    let column = |(place, column): (usize, &tokio_postgres::Column)| {
        let Ok(Raw(raw)) = row.try_get::<_, Raw<'_>>(place) else {
            return Err(format!("column {:?} cannot be read", column.name()));
        };
        let ty = column.type_();
        let read = match (raw, ty.kind()) {
            (None, _) => Some(Value::One(Scalar::Null)),
            (Some(raw), Kind::Array(item)) => array(raw, item).map(Value::Many),
            (Some(raw), _) => scalar(raw, ty).map(Value::One),
        };
        read.ok_or_else(|| {
            format!("column {:?} has the type {}, which has no place here; cast it to text", column.name(), ty.name())
        })
    };
    row.columns().iter().enumerate().map(column).collect()
}

/// The bytes as they are.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Raw<'a>, Box<dyn Error + Sync + Send>> {
        Ok(Raw(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Raw<'a>, Box<dyn Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn scalar(raw: &[u8], ty: &Type) -> Option<Scalar> {
    if let Kind::Domain(base) = ty.kind() {
        return scalar(raw, base);
    }
    if let Kind::Enum(_) = ty.kind() {
        return utf8(raw).map(Scalar::Text);
    }
    Some(match *ty {
        Type::BOOL => Scalar::Boolean(u8::from_be_bytes(fixed(raw)?) != 0),
        Type::INT2 => Scalar::Int16(i16::from_be_bytes(fixed(raw)?)),
        Type::INT4 => Scalar::Int32(i32::from_be_bytes(fixed(raw)?)),
        Type::INT8 => Scalar::Int64(i64::from_be_bytes(fixed(raw)?)),
        Type::OID => Scalar::Int64(u32::from_be_bytes(fixed(raw)?).into()),
        Type::FLOAT4 => Scalar::Float32(f32::from_be_bytes(fixed(raw)?)),
        Type::FLOAT8 => Scalar::Float64(f64::from_be_bytes(fixed(raw)?)),
        Type::NUMERIC => Scalar::Numeric(numeric::text(raw)?),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => Scalar::Text(utf8(raw)?),
        Type::BYTEA => Scalar::Bytes(raw.to_vec()),
        Type::JSON => Scalar::Json(utf8(raw)?),
        Type::JSONB => Scalar::Json(utf8(raw.strip_prefix(&[1])?)?),
        Type::UUID => Scalar::Uuid(Uuid::from_bytes(fixed(raw)?).to_string()),
        Type::DATE => Scalar::Date(match i32::from_be_bytes(fixed(raw)?) {
            infinite @ (i32::MIN | i32::MAX) => infinite,
            days => days.checked_add(EPOCH_DAYS)?,
        }),
        Type::TIME => Scalar::Time(i64::from_be_bytes(fixed(raw)?)),
        Type::TIMESTAMP => Scalar::Timestamp(moment(raw)?),
        Type::TIMESTAMPTZ => Scalar::Timestamptz(moment(raw)?),
        Type::INTERVAL => {
            let (microseconds, rest) = raw.split_at_checked(8)?;
            let (days, months) = rest.split_at_checked(4)?;
            Scalar::Interval(Interval {
                microseconds: i64::from_be_bytes(fixed(microseconds)?),
                days: i32::from_be_bytes(fixed(days)?),
                months: i32::from_be_bytes(fixed(months)?),
            })
        }
        // What a function returns that returns nothing.
        Type::VOID => Scalar::Null,
        _ => return None,
    })
}

fn moment(raw: &[u8]) -> Option<i64> {
    match i64::from_be_bytes(fixed(raw)?) {
        infinite @ (i64::MIN | i64::MAX) => Some(infinite),
        us => us.checked_add(EPOCH_US),
    }
}

/// An array of one dimension, or an empty one.
fn array(raw: &[u8], item: &Type) -> Option<Vec<Scalar>> {
    let mut words = raw;
    let dimensions = word(&mut words)?;
    let (_has_null, _type) = (word(&mut words)?, word(&mut words)?);
    if dimensions == 0 {
        return Some(Vec::new());
    }
    if dimensions != 1 {
        return None;
    }
    let (count, _from) = (usize::try_from(word(&mut words)?).ok()?, word(&mut words)?);
    let mut items = Vec::with_capacity(count.min(raw.len() / 4));
    for _ in 0..count {
        let size = word(&mut words)?;
        items.push(match usize::try_from(size) {
            Ok(size) => {
                let (value, rest) = words.split_at_checked(size)?;
                words = rest;
                scalar(value, item)?
            }
            Err(_) => Scalar::Null,
        });
    }
    Some(items)
}

fn word(raw: &mut &[u8]) -> Option<i32> {
    let (word, rest) = raw.split_at_checked(4)?;
    *raw = rest;
    Some(i32::from_be_bytes(fixed(word)?))
}

fn fixed<const N: usize>(raw: &[u8]) -> Option<[u8; N]> {
    raw.try_into().ok()
}

fn utf8(raw: &[u8]) -> Option<String> {
    std::str::from_utf8(raw).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_no_value_and_no_panic() {
        let whole: Vec<u8> = [1, 0, 23, 2, 1, 4, 7, -1].iter().flat_map(|word: &i32| word.to_be_bytes()).collect();
        let items = array(&whole, &Type::INT4).expect("an array");
        assert!(matches!(items[..], [Scalar::Int32(7), Scalar::Null]));
        for end in 0..whole.len() {
            assert!(array(&whole[..end], &Type::INT4).is_none(), "{end}");
        }
        let endless: Vec<u8> = [1, 0, 23, i32::MAX, 1].iter().flat_map(|word: &i32| word.to_be_bytes()).collect();
        assert!(array(&endless, &Type::INT4).is_none());
        for ty in [Type::BOOL, Type::INT8, Type::NUMERIC, Type::UUID, Type::INTERVAL, Type::JSONB, Type::TIMESTAMPTZ] {
            assert!(scalar(&[], &ty).is_none(), "{ty}");
        }
    }
}
