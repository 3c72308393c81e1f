//! Whose signatures versions of plugins have, and which files were refused for want of one.

use serde_json::{Value, json};

use super::{PluginVersion, Queue};

/// A file that a host refused because of who signed it, or who did not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// File name without its folder.
    pub file: String,
    /// Digest of its content.
    pub sha256: String,
    /// What is served in its place.
    pub serving: Option<String>,
    pub reason: String,
}

impl Queue {
    /// Whether the database has the column for it.
    pub fn keeps_signers(&self) -> bool {
        self.sql.features.hosts && self.sql.features.signers
    }

    /// Note who signed these versions, which were announced. What other hosts found stays.
    pub async fn note_signers(&self, versions: &[PluginVersion]) -> sqlx::Result<()> {
        if !self.keeps_signers() {
            return Ok(());
        }
        let signers = |version: &PluginVersion| {
            let pairs = version.signed_by.iter().map(|one| (one.fingerprint.clone(), one.key.as_str().into()));
            self.charset.json(&Value::Object(pairs.collect())).to_string()
        };
        sqlx::query(self.sql.note_signers.clone())
            .bind(versions.iter().map(|version| version.key).collect::<Vec<_>>())
            .bind(versions.iter().map(signers).collect::<Vec<_>>())
            .bind(self.as_author())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Note in the audit that these files were refused.
    pub async fn note_refusals(&self, refusals: &[Refusal]) -> sqlx::Result<()> {
        if !self.sql.features.audit || refusals.is_empty() {
            return Ok(());
        }
        let what = |refusal: &Refusal| {
            let Refusal { file, sha256, serving, .. } = refusal;
            self.charset.json(&json!({ "file": file, "sha256": sha256, "serving": serving })).to_string()
        };
        sqlx::query(self.sql.note_refusals.clone())
            .bind(refusals.iter().map(|refusal| refusal.sha256.as_str()).collect::<Vec<_>>())
            .bind(refusals.iter().map(what).collect::<Vec<_>>())
            .bind(refusals.iter().map(|refusal| self.charset.fit(&refusal.reason)).collect::<Vec<_>>())
            .bind(self.as_author())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// This host, where others are people.
    fn as_author(&self) -> String {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.charset.fit(&format!("host {name}:{}", std::process::id())).into_owned()
    }
}
