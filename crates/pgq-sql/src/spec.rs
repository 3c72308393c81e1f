//! What a run may do in the database, and until when.

use std::sync::Arc;
use std::time::Instant;

use tokio_rustls::rustls::ClientConfig;

use pgq_engine::SqlGrant;

#[derive(Debug, Clone)]
pub struct RunSpec {
    pub plugin: Arc<str>,
    pub grant: SqlGrant,
    pub authorities: Option<Arc<ClientConfig>>,
    pub deadline: Instant,
}
