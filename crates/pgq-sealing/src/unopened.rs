//! Why an envelope could not be opened. No message has anything of its content.

/// Each message names the cause and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    #[error("its envelope is damaged: {0}; its producer has to seal it again, as one JWE in compact form")]
    Malformed(&'static str),
    #[error(
        "its envelope has the algorithms {alg:?} and {enc:?}, and only \"A256KW\" with \"A256GCM\" is accepted; its producer has to name these in the header"
    )]
    Algorithms { alg: String, enc: String },
    #[error(
        "its envelope is sealed for the entrypoint {sealed:?} (\"aud\" in its header), and it lies in a row of {found:?}; it is for its producer to say which is right"
    )]
    OtherEntrypoint { sealed: String, found: String },
    #[error("its envelope is sealed as {sealed}, and it lies where {found} belongs; somebody put it there")]
    OtherPurpose { sealed: String, found: String },
    #[error(
        "its envelope is not what was sealed with the key {key:?}: something in it was changed, or its producer has another key of that name"
    )]
    NotAuthentic { key: String },
}
