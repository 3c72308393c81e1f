//! Parameters in text form: the server converts them to the type that the statement wants there, and
//! says what it cannot convert.

use std::error::Error;
use std::fmt::Write as _;

use bytes::{BufMut as _, BytesMut};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use super::value::{Interval, Scalar, Value};

const DAY_US: i64 = 86_400_000_000;

/// A parameter, checked before it is sent.
#[derive(Debug)]
pub enum Parameter {
    Null,
    Text(String),
    Bytes(Vec<u8>),
}

impl Parameter {
    /// The error says what is wrong with the value.
    pub fn of(value: Value, wanted: &Type) -> Result<Parameter, String> {
        Ok(match value {
            Value::One(Scalar::Null) => Parameter::Null,
            Value::One(Scalar::Bytes(bytes)) if *wanted == Type::BYTEA => Parameter::Bytes(bytes),
            Value::One(scalar) => Parameter::Text(text(scalar)?),
            Value::Many(scalars) => Parameter::Text(array(scalars)?),
        })
    }
}

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Parameter::Null => return Ok(IsNull::Yes),
            Parameter::Text(text) => out.put_slice(text.as_bytes()),
            Parameter::Bytes(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if let Parameter::Bytes(_) = self { Format::Binary } else { Format::Text }
    }

    to_sql_checked!();
}

fn array(scalars: Vec<Scalar>) -> Result<String, String> {
    let mut literal = String::from("{");
    for (place, scalar) in scalars.into_iter().enumerate() {
        if place > 0 {
            literal.push(',');
        }
        if let Scalar::Null = scalar {
            literal += "NULL";
            continue;
        }
        literal.push('"');
        for c in text(scalar)?.chars() {
            if matches!(c, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(c);
        }
        literal.push('"');
    }
    literal.push('}');
    Ok(literal)
}

fn text(scalar: Scalar) -> Result<String, String> {
    Ok(match scalar {
        Scalar::Null => String::new(),
        Scalar::Boolean(value) => if value { "true" } else { "false" }.to_owned(),
        Scalar::Int16(value) => value.to_string(),
        Scalar::Int32(value) => value.to_string(),
        Scalar::Int64(value) => value.to_string(),
        Scalar::Float32(value) => float(value.into(), value.to_string()),
        Scalar::Float64(value) => float(value, value.to_string()),
        Scalar::Numeric(text) | Scalar::Text(text) | Scalar::Json(text) | Scalar::Uuid(text) => {
            if text.contains('\0') {
                return Err("PostgreSQL's text cannot have a NUL byte; use bytea".into());
            }
            text
        }
        Scalar::Bytes(bytes) => {
            let mut text = String::with_capacity(2 + bytes.len() * 2);
            text += "\\x";
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
        Scalar::Date(days) => match days {
            i32::MAX => "infinity".into(),
            i32::MIN => "-infinity".into(),
            days => day(days.into())?,
        },
        Scalar::Time(us) if us == DAY_US => "24:00:00".into(),
        Scalar::Time(us) if (0..DAY_US).contains(&us) => time(us),
        Scalar::Time(us) => return Err(format!("{us} microseconds are no time of a day")),
        Scalar::Timestamp(us) => moment(us, "")?,
        Scalar::Timestamptz(us) => moment(us, "+00")?,
        // With a sign each: in one of its styles, PostgreSQL extends the first one to all parts.
        Scalar::Interval(Interval { months, days, microseconds }) => {
            format!("{months:+} mons {days:+} days {microseconds:+} microseconds")
        }
    })
}

fn float(value: f64, text: String) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => text,
    }
}

fn moment(us: i64, zone: &str) -> Result<String, String> {
    match us {
        i64::MAX => return Ok("infinity".into()),
        i64::MIN => return Ok("-infinity".into()),
        _ => {}
    }
    let (days, rest) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let date = day(days)?;
    // The era comes last.
    let (date, era) = date.strip_suffix(" BC").map_or((&*date, ""), |date| (date, " BC"));
    Ok(format!("{date} {}{zone}{era}", time(rest)))
}

fn day(days: i64) -> Result<String, String> {
    let seconds = days.checked_mul(86_400).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let date: NaiveDate =
        seconds.map(|moment| moment.date_naive()).ok_or_else(|| format!("{days} days from 1970 are no date"))?;
    // There is no year 0 in PostgreSQL.
    let (year, era) = if date.year() > 0 { (date.year(), "") } else { (1 - date.year(), " BC") };
    Ok(format!("{year:04}-{:02}-{:02}{era}", date.month(), date.day()))
}

fn time(us: i64) -> String {
    let seconds = u32::try_from(us / 1_000_000).unwrap_or_default();
    let nanos = u32::try_from(us % 1_000_000).unwrap_or_default() * 1_000;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos).unwrap_or_default();
    time.format("%H:%M:%S%.6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_literals() {
        let one = |scalar| text(scalar).expect("a value");
        assert_eq!(one(Scalar::Date(-1)), "1969-12-31");
        assert_eq!(one(Scalar::Date(-719_528)), "0001-01-01 BC");
        assert_eq!(one(Scalar::Date(-719_528 - 365)), "0002-01-01 BC");
        assert_eq!(one(Scalar::Timestamptz(-1)), "1969-12-31 23:59:59.999999+00");
        assert_eq!(one(Scalar::Timestamp(i64::MAX)), "infinity");
        assert_eq!(one(Scalar::Time(DAY_US)), "24:00:00");
        assert_eq!(one(Scalar::Float64(f64::NEG_INFINITY)), "-Infinity");
        assert_eq!(one(Scalar::Float64(1e300)).parse::<f64>(), Ok(1e300));
        assert_eq!(one(Scalar::Bytes(vec![0, 255])), "\\x00ff");
        let interval = Interval { months: -1, days: 2, microseconds: -3 };
        assert_eq!(one(Scalar::Interval(interval)), "-1 mons +2 days -3 microseconds");
        let words = vec![Scalar::Text("a\"b\\,{}".into()), Scalar::Null, Scalar::Text("NULL".into())];
        assert_eq!(array(words).expect("an array"), r#"{"a\"b\\,{}",NULL,"NULL"}"#);
        for bad in [Scalar::Text("a\0".into()), Scalar::Time(-1)] {
            assert!(text(bad).is_err());
        }
    }
}
