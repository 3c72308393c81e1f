//! Why a server was not reached, and whether another one is tried.

use std::io;

/// The server's own words for its refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    /// The fields of its message, as they came.
    pub(crate) fields: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It is not there, or does not answer.
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    /// It is there, and is not the one that is looked for.
    #[error("{0}")]
    Unfit(&'static str),
    /// TLS does not come about with it.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// It is not trusted, or cannot do what is asked for.
    #[error("{0}")]
    Insecure(String),
    /// It says no.
    #[error("{} (SQLSTATE {})", .0.message, .0.code)]
    Refused(Refusal),
    /// What happened at each of several servers.
    #[error("{text}")]
    Nowhere { text: String, may_pass: bool },
}

impl Failure {
    /// Whether the next server is tried. As in libpq, one that refuses a login has the last word.
    pub(crate) fn leaves_others(&self) -> bool {
        match self {
            Failure::Refused(refusal) => refusal.code == "57P03",
            _ => true,
        }
    }

    /// Whether it may work in a moment.
    pub fn may_pass(&self) -> bool {
        match self {
            Failure::Unreachable(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut
            ),
            Failure::Unfit(_) => true,
            Failure::Tls(_) | Failure::Insecure(_) => false,
            Failure::Refused(refusal) => matches!(refusal.code.as_str(), "53300" | "57P03"),
            Failure::Nowhere { may_pass, .. } => *may_pass,
        }
    }

    /// As the body of a message of a server: the driver reads it like any other refusal.
    pub(crate) fn fields(&self) -> Vec<u8> {
        if let Failure::Refused(refusal) = self {
            return refusal.fields.clone();
        }
        // "Unable to establish the connection", or "rejected".
        let code = if self.may_pass() { "08001" } else { "08004" };
        let text = self.to_string().replace('\0', "");
        fields(code, &text)
    }
}

fn fields(code: &str, message: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', message)] {
        fields.push(name);
        fields.extend_from_slice(value.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    fields
}

impl Refusal {
    pub fn new(code: &str, message: &str) -> Refusal {
        Refusal::of(fields(code, message))
    }

    pub(crate) fn of(fields: Vec<u8>) -> Refusal {
        let field = |name: u8| {
            let found = fields.split(|byte| *byte == 0).find(|field| field.first() == Some(&name));
            found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
        };
        Refusal { code: field(b'C'), message: field(b'M'), fields }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_as_a_server_would() {
        let failure = Failure::Unfit("the server is a standby");
        let told = Refusal::of(failure.fields());
        assert_eq!((told.code.as_str(), told.message.as_str()), ("08001", "the server is a standby"));
        let refused = Failure::Refused(told.clone());
        assert_eq!(Refusal::of(refused.fields()), told);
        assert!(!refused.leaves_others() && failure.leaves_others() && failure.may_pass());
        assert_eq!(Refusal::of(Failure::Insecure("no".into()).fields()).code, "08004");
    }
}
