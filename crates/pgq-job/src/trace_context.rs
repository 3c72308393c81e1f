//! Where a run is in a distributed trace: the identifiers that processes pass on to each other, as
//! W3C Trace Context writes them.

use std::fmt::{self, Display, Formatter, Write as _};
use std::sync::Arc;

/// The most bytes of vendors' state that are passed on: what the recommendation asks everybody to
/// carry.
const MAX_STATE_BYTES: usize = 512;

/// The id of a trace, never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span within its trace, never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// A span to which others can be related, in this process or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether whoever began the trace keeps it.
    pub sampled: bool,
    /// The state of vendors (`tracestate`), passed on as it came.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// Read `traceparent` and `tracestate`. `None` if there is no trace to continue: what cannot be
    /// read must not end up in anybody's trace.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<TraceContext> {
        let mut parts = traceparent.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A later version may have more parts.
        let [version] = bytes(version)?;
        if version == 0xff || version == 0 && parts.next().is_some() {
            return None;
        }
        let (trace, span, [flags]) = (bytes::<16>(trace)?, bytes::<8>(span)?, bytes::<1>(flags)?);
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let is_fit = |state: &&str| {
            !state.is_empty() && state.len() <= MAX_STATE_BYTES && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let state = tracestate.map(str::trim).filter(is_fit).map(Arc::from);
        Some(TraceContext { trace: TraceId(trace), span: SpanId(span), sampled: flags & 1 == 1, state })
    }

    /// The value of `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }

    /// Another span of the same trace.
    pub fn with_span(&self, span: SpanId) -> TraceContext {
        TraceContext { span, ..self.clone() }
    }
}

/// Lower case only, as the recommendation wants it.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn hex(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().try_for_each(|byte| {
        f.write_char(DIGITS[usize::from(byte >> 4)].into())?;
        f.write_char(DIGITS[usize::from(byte & 15)].into())
    })
}

impl Display for TraceId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl Display for SpanId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_written_as_it_was_read() {
        let context = TraceContext::parse(PARENT, Some("vendor=1,other=2")).expect("valid");
        assert_eq!(context.traceparent(), PARENT);
        assert!(context.sampled && context.state.as_deref() == Some("vendor=1,other=2"));
        let unsampled = TraceContext::parse(&PARENT.replace("-01", "-00"), None).expect("valid");
        assert!(!unsampled.sampled && unsampled.traceparent().ends_with("-00"));
        // Of a later version, what this one knows is read.
        let later = format!("cc{}-what-comes-then", &PARENT[2..]);
        assert_eq!(TraceContext::parse(&later, None).expect("valid").traceparent(), PARENT);
    }

    #[test]
    fn what_is_no_context_is_none() {
        for bad in [
            "",
            "00",
            "nonsense",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad:?}");
        }
        for bad in ["", " ", "a=\u{1b}[31m", "ä=1", &"x".repeat(513)] {
            assert_eq!(TraceContext::parse(PARENT, Some(bad)).expect("valid").state, None, "{bad:?}");
        }
    }
}
