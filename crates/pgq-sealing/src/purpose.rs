//! What an envelope is for. It is part of what is authenticated.

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A job's payload, which is sealed before the job has an id.
    Payload,
    /// The output of this job.
    Output(i64),
}

impl Purpose {
    pub(crate) const PAYLOAD: &str = "pgq-payload+jwe";
    pub(crate) const OUTPUT: &str = "pgq-output+jwe";

    /// The media type in the header.
    pub(crate) fn typ(self) -> &'static str {
        match self {
            Purpose::Payload => Purpose::PAYLOAD,
            Purpose::Output(_) => Purpose::OUTPUT,
        }
    }

    /// The job that it belongs to, where that was known.
    pub(crate) fn subject(self) -> Option<String> {
        match self {
            Purpose::Payload => None,
            Purpose::Output(job) => Some(job.to_string()),
        }
    }
}
