//! `[trust]`: whose components are served.
//!
//! It is asked twice. Before a file is compiled, its bytes must be signed by a known key, so that
//! nothing of a stranger is compiled or run. What name it has is known only after that, so the rule
//! for the name is applied then.

use std::collections::BTreeMap;

use pgq_job::Signer;
use semver::Version;

use super::public_key::PublicKey;
use super::rule::Rule;
use super::signatures::Signatures;
use super::untrusted::Untrusted;

/// The keys, and who may sign what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// By the operator's names for them.
    pub keys: BTreeMap<String, PublicKey>,
    /// For plugins without a rule of their own.
    pub all: Rule,
    /// By plugin name.
    pub plugins: BTreeMap<String, Rule>,
}

impl Trust {
    /// The known keys that signed these bytes. `signature` is the content of the file beside them.
    ///
    /// # Errors
    ///
    /// Fails if nobody known signed them, unless a plugin may be unsigned.
    pub fn signers(&self, file: &str, bytes: &[u8], signature: Option<&[u8]>) -> Result<Vec<Signer>, Untrusted> {
        let lenient = self.all.unsigned || self.plugins.values().any(|rule| rule.unsigned);
        let known = || names(self.keys.keys());
        let file = || format!("{file}.sig");
        let signatures = match signature.map(Signatures::read) {
            Some(Ok(signatures)) => signatures,
            _ if lenient => return Ok(Vec::new()),
            None => return Err(Untrusted::Unsigned { wanted: known(), file: file() }),
            Some(Err(cause)) => return Err(Untrusted::Malformed { file: file(), cause }),
        };
        let signed = |(name, key): (&String, &PublicKey)| {
            let signer = || Signer { key: name.clone(), fingerprint: key.fingerprint() };
            signatures.are_by(key, bytes).then(signer)
        };
        let signers: Vec<Signer> = self.keys.iter().filter_map(signed).collect();
        if signers.is_empty() && !lenient {
            return Err(Untrusted::NoKey { file: file(), known: known() });
        }
        Ok(signers)
    }

    /// Whether a plugin of this name and version may be served that these keys signed. The keys may
    /// be those of an earlier configuration.
    ///
    /// # Errors
    ///
    /// Fails with the rule that it breaks.
    pub fn check(&self, plugin: &str, version: &str, signers: &[Signer]) -> Result<(), Untrusted> {
        let rule = self.plugins.get(plugin).unwrap_or(&self.all);
        let allowed = |signer: &Signer| {
            let is_it = |(name, key): (&String, &PublicKey)| {
                rule.signers.as_ref().is_none_or(|names| names.contains(name))
                    && key.fingerprint() == signer.fingerprint
            };
            self.keys.iter().any(is_it)
        };
        if !rule.unsigned && !signers.iter().any(allowed) {
            let wanted = rule.signers.as_ref().map_or_else(|| names(self.keys.keys()), |signers| names(signers.iter()));
            if signers.is_empty() {
                return Err(Untrusted::Unsigned { wanted, file: "NAME.wasm.sig".into() });
            }
            let section = match self.plugins.contains_key(plugin) {
                true => format!("[trust.plugins.{plugin}]"),
                false => "[trust]".into(),
            };
            let found = names(signers.iter().map(|signer| &signer.key));
            return Err(Untrusted::OtherKey { plugin: plugin.to_owned(), found, wanted, section });
        }
        match &rule.minimum {
            Some(minimum) if Version::parse(version).map_or(true, |version| version < *minimum) => {
                Err(Untrusted::TooOld {
                    plugin: plugin.to_owned(),
                    version: version.to_owned(),
                    minimum: minimum.to_string(),
                })
            }
            _ => Ok(()),
        }
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    if names.is_empty() { "a key that is not there".into() } else { names.join(" or ") }
}

#[cfg(test)]
mod tests {
    use super::super::digest::sha256;
    use super::super::private_key::{Algorithm, PrivateKey};
    use super::super::simple_signing::{Envelope, payload};
    use super::*;

    fn key(algorithm: Algorithm) -> PrivateKey {
        PrivateKey::read(&PrivateKey::generate(algorithm).expect("made")).expect("read")
    }

    fn trust(keys: &[(&str, &PrivateKey)]) -> Trust {
        let keys = keys.iter().map(|(name, key)| ((*name).to_owned(), key.public().expect("public")));
        Trust { keys: keys.collect(), ..Trust::default() }
    }

    #[test]
    fn only_a_whole_signature_of_the_very_bytes_by_a_known_key_counts() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
            let (mine, other) = (key(algorithm), key(algorithm));
            let trust = trust(&[("release", &mine)]);
            let signature = mine.sign(b"component").expect("signed");
            let ask = |bytes: &[u8], signature: Option<&str>| {
                trust.signers("a.wasm", bytes, signature.map(str::as_bytes)).map(|signers| signers[0].key.clone())
            };
            assert_eq!(ask(b"component", Some(&format!("{signature}\n"))), Ok("release".into()));
            assert!(matches!(ask(b"component", None), Err(Untrusted::Unsigned { .. })));
            assert!(matches!(ask(b"Component", Some(&signature)), Err(Untrusted::NoKey { .. })));
            let theirs = other.sign(b"component").expect("signed");
            assert!(matches!(ask(b"component", Some(&theirs)), Err(Untrusted::NoKey { .. })));
            assert_eq!(ask(b"component", Some(&format!("{theirs}\n{signature}"))), Ok("release".into()));
            for cut in [1, 4, 8, signature.len() / 2, signature.len()] {
                let cut = &signature[..signature.len() - cut];
                let refused = ask(b"component", Some(cut)).expect_err("truncated");
                assert!(matches!(refused, Untrusted::NoKey { .. } | Untrusted::Malformed { .. }), "{refused}");
            }
        }
    }

    #[test]
    fn a_key_that_was_removed_or_replaced_under_its_name_is_no_longer_trusted() {
        let (mine, other) = (key(Algorithm::EcdsaP256), key(Algorithm::Ed25519));
        let before = trust(&[("release", &mine)]);
        let signature = mine.sign(b"component").expect("signed");
        let signers = before.signers("a.wasm", b"component", Some(signature.as_bytes())).expect("signed");
        assert_eq!(before.check("a", "1.0.0", &signers), Ok(()));
        assert_eq!(trust(&[("renamed", &mine)]).check("a", "1.0.0", &signers), Ok(()));
        for now in [trust(&[]), trust(&[("release", &other)])] {
            assert!(matches!(now.check("a", "1.0.0", &signers), Err(Untrusted::OtherKey { .. })));
        }
    }

    #[test]
    fn a_rule_of_its_own_names_its_signers_and_its_least_version() {
        let (ci, release) = (key(Algorithm::EcdsaP256), key(Algorithm::Ed25519));
        let mut trust = trust(&[("ci", &ci), ("release", &release)]);
        let minimum = Some(Version::new(1, 4, 0));
        trust.plugins.insert("pay".into(), Rule { signers: Some(vec!["release".into()]), unsigned: false, minimum });
        trust.plugins.insert("toy".into(), Rule { unsigned: true, ..Rule::default() });
        let by = |key: &PrivateKey| {
            let signature = key.sign(b"c").expect("signed");
            trust.signers("a.wasm", b"c", Some(signature.as_bytes())).expect("known")
        };
        assert_eq!(trust.check("other", "0.0.0", &by(&ci)), Ok(()));
        let text = trust.check("pay", "2.0.0", &by(&ci)).expect_err("refused").to_string();
        assert!(text.contains("\"ci\"") && text.contains("[trust.plugins.pay]"), "{text}");
        assert_eq!(trust.check("pay", "1.10.0", &by(&release)), Ok(()));
        for old in ["1.3.9", "1.4.0-rc.1", "yesterday"] {
            assert!(matches!(trust.check("pay", old, &by(&release)), Err(Untrusted::TooOld { .. })), "{old}");
        }
        assert_eq!(trust.check("toy", "x", &[]), Ok(()));
        assert!(matches!(trust.check("pay", "2.0.0", &[]), Err(Untrusted::Unsigned { .. })));
    }

    #[test]
    fn a_signature_of_a_registry_counts_for_the_component_of_its_manifest_alone() {
        let mine = key(Algorithm::EcdsaP256);
        let trust = trust(&[("release", &mine)]);
        let manifest = |layers: &[&[u8]]| {
            let layers: Vec<_> = layers
                .iter()
                .map(|bytes| serde_json::json!({ "digest": format!("sha256:{}", sha256(bytes)) }))
                .collect();
            serde_json::json!({ "layers": layers }).to_string()
        };
        let envelope = |signed: &str, shown: &str| {
            let payload = payload("r/a", &format!("sha256:{}", sha256(signed.as_bytes())));
            let signature = mine.sign(&payload).expect("signed");
            Signatures::write(&[Envelope::new(&signature, &payload, shown.as_bytes())])
        };
        let ask = |bytes: &[u8], file: &str| trust.signers("a.wasm", bytes, Some(file.as_bytes())).is_ok();
        let good = manifest(&[b"component"]);
        assert!(ask(b"component", &envelope(&good, &good)));
        assert!(!ask(b"other", &envelope(&good, &good)));
        assert!(!ask(b"other", &envelope(&good, &manifest(&[b"other"]))), "the manifest is not the signed one");
        let two = manifest(&[b"component", b"other"]);
        assert!(!ask(b"component", &envelope(&two, &two)), "which of the layers would be the component?");
        // A signature over bytes is none over a payload that happens to be them.
        let blob = good.as_bytes();
        let signature = mine.sign(blob).expect("signed");
        assert!(!ask(b"component", &Signatures::write(&[Envelope::new(&signature, blob, blob)])));
    }

    #[test]
    fn keys_are_read_as_openssl_and_cosign_write_them_and_others_are_told_apart() {
        use super::super::untrusted::KeyError;
        let public = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
        assert_eq!(PublicKey::read(public), Err(KeyError::Unsupported), "truncated");
        assert_eq!(PublicKey::read("release"), Err(KeyError::NotPem));
        let private = PrivateKey::generate(Algorithm::Ed25519).expect("made");
        assert!(matches!(PublicKey::read(&private), Err(KeyError::NotPublic(_))));
        let mine = key(Algorithm::Ed25519).public().expect("public");
        assert_eq!(PublicKey::read(&mine.pem()).as_ref(), Ok(&mine));
        assert!(matches!(PrivateKey::read(&mine.pem()).err(), Some(KeyError::NotPrivate(_))));
        let encrypted =
            "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
        assert_eq!(PrivateKey::read(encrypted).err(), Some(KeyError::Encrypted));
    }
}
