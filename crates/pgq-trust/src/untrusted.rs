//! Why a key is no key, and why a file is not trusted. Each message names cause and remedy.

/// Why a text is not a key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it is not a key in PEM form; it starts with -----BEGIN PUBLIC KEY----- or -----BEGIN PRIVATE KEY-----")]
    NotPem,
    #[error(
        "it has {0:?}, and a public key is needed here: the part that `pgq-host plugin keygen` and cosign name .pub"
    )]
    NotPublic(String),
    #[error(
        "it has {0:?}, and a private key in PKCS#8 form is needed here, which starts with -----BEGIN PRIVATE KEY-----"
    )]
    NotPrivate(String),
    #[error(
        "the private key is encrypted, which pgq-host cannot read; sign with the tool that made it (`cosign sign-blob --key KEY --tlog-upload=false FILE`), whose signatures are accepted, or make a key with `pgq-host plugin keygen`"
    )]
    Encrypted,
    #[error("it is in SEC1 form; convert it with `openssl pkcs8 -topk8 -nocrypt -in KEY`")]
    Sec1,
    #[error("its kind of key is not supported; use ECDSA on the curve P-256 (as cosign does) or Ed25519")]
    Unsupported,
}

/// Why a file is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    #[error(
        "it is not signed, and [trust] in pgq-host.toml wants a signature by {wanted}; sign it with `pgq-host plugin sign` or `cosign sign-blob`, and put the signature beside it as {file}"
    )]
    Unsigned { wanted: String, file: String },
    #[error(
        "its signature {file} is not one: {cause}; sign it again with `pgq-host plugin sign` or `cosign sign-blob`"
    )]
    Malformed { file: String, cause: String },
    #[error(
        "its signature {file} is by none of the keys under [trust.keys] in pgq-host.toml ({known}), or is of other bytes; sign these very bytes with one of them"
    )]
    NoKey { file: String, known: String },
    #[error(
        "it is signed by {found}, and a plugin named {plugin:?} must be signed by {wanted}; sign it with that key, or change signers under {section} in pgq-host.toml"
    )]
    OtherKey { plugin: String, found: String, wanted: String, section: String },
    #[error(
        "its version {version} is not {minimum} or later, which minimum-version under [trust.plugins.{plugin}] in pgq-host.toml wants; deploy a later one, or lower it"
    )]
    TooOld { plugin: String, version: String, minimum: String },
}
