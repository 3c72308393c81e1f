//! What a handler can take instead of raw bytes.

use serde::de::DeserializeOwned;

use crate::{Failure, Result};

/// A payload or an output as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// A payload or an output as UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

/// A payload or an output as raw bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// A type that can be decoded from a job's payload.
///
/// An error should be a [`Failure::reject`], because the next attempt would read the same bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a job's payload",
    note = "take `Json<_>`, `Text`, `Bytes`, or an `Option` of one of them"
)]
pub trait FromPayload: Sized {
    /// Decode the payload. `None` stands for SQL `NULL`.
    ///
    /// # Errors
    ///
    /// Fails if the payload cannot be decoded.
    fn from_payload(payload: Option<Vec<u8>>) -> Result<Self>;
}

impl<T: DeserializeOwned> FromPayload for Json<T> {
    fn from_payload(payload: Option<Vec<u8>>) -> Result<Self> {
        let bytes = required(payload)?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Failure::reject(format!("the payload is not the JSON expected: {error}")))
    }
}

impl FromPayload for Text {
    fn from_payload(payload: Option<Vec<u8>>) -> Result<Self> {
        let bytes = required(payload)?;
        String::from_utf8(bytes)
            .map(Self)
            .map_err(|error| Failure::reject(format!("the payload is not UTF-8: {error}")))
    }
}

impl FromPayload for Bytes {
    fn from_payload(payload: Option<Vec<u8>>) -> Result<Self> {
        required(payload).map(Self)
    }
}

impl<P: FromPayload> FromPayload for Option<P> {
    fn from_payload(payload: Option<Vec<u8>>) -> Result<Self> {
        match payload {
            Some(bytes) => P::from_payload(Some(bytes)).map(Some),
            None => Ok(None),
        }
    }
}

fn required(payload: Option<Vec<u8>>) -> Result<Vec<u8>> {
    payload.ok_or_else(|| Failure::reject("the job has no payload"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Point {
        x: i32,
        y: i32,
    }

    fn decode<P: FromPayload>(bytes: &[u8]) -> Result<P> {
        P::from_payload(Some(bytes.to_vec()))
    }

    #[test]
    fn json_is_decoded() {
        assert_eq!(decode(br#"{"x":1,"y":2}"#), Ok(Json(Point { x: 1, y: 2 })));
    }

    #[test]
    fn a_mistake_in_json_is_final_and_says_where() {
        let failure = decode::<Json<Point>>(b"{\"x\": 1,\n \"y\": \"two\"}").unwrap_err();
        assert_eq!(
            failure,
            Failure::reject(
                "the payload is not the JSON expected: \
                 invalid type: string \"two\", expected i32 at line 2 column 11"
            )
        );
    }

    #[test]
    fn a_missing_field_is_named() {
        let failure = decode::<Json<Point>>(br#"{"x":1}"#).unwrap_err();
        assert!(failure.message().contains("missing field `y`"));
    }

    #[test]
    fn text_must_be_utf8() {
        assert_eq!(decode("Grüße".as_bytes()), Ok(Text("Grüße".into())));
        let failure = decode::<Text>(b"ab\xff").unwrap_err();
        assert!(failure.is_final());
        assert!(failure.message().contains("index 2"), "{failure}");
    }

    #[test]
    fn null_is_no_payload_unless_it_is_optional() {
        assert_eq!(Bytes::from_payload(None), Err(Failure::reject("the job has no payload")));
        assert_eq!(Option::<Json<Point>>::from_payload(None), Ok(None));
        assert_eq!(decode(b""), Ok(Some(Bytes(vec![]))));
    }
}
