//! One session of a handler's role, and what is left of it after a run: nothing, or it is closed.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::Client;

use super::metered::Meter;
use super::way::{Way, Wire};
use pgq_engine::SqlGrant;

/// A session is not used for longer: what its role may do is looked at when it is opened.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How long the server may take to forget what a run left behind.
const DISCARD: Duration = Duration::from_secs(5);
/// DISCARD ALL but for its DISCARD PLANS: the plans of functions stay, above all that of the one which
/// records outcomes. Planned anew in each run, it would cost more than the run.
const CLEAN: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; UNLISTEN *; \
                     SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

pub(super) struct Session {
    pub(super) client: Client,
    pub(super) way: Way,
    pub(super) meter: Arc<Meter>,
    pub(super) grant: SqlGrant,
    /// The schema of the queue. `None` in another database.
    pub(super) schema: Option<String>,
    /// The driver has prepared statements of its own here, which would be discarded with the rest.
    pub(super) is_marked: bool,
    pub(super) opened: Instant,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// Its messages are read by a task that ends with it.
    pub(super) fn new(
        (client, mut wire, way): (Client, Wire, Way),
        meter: Arc<Meter>,
        grant: SqlGrant,
        schema: Option<String>,
        control: &Handle,
    ) -> Session {
        // What the server tells without being asked (RAISE NOTICE in a loop) goes nowhere.
        control.spawn(async move { while let Some(Ok(_)) = poll_fn(|context| wire.poll_message(context)).await {} });
        Session { client, way, meter, grant, schema, is_marked: false, opened: Instant::now(), _permit: None }
    }

    pub(super) fn with(self, permit: OwnedSemaphorePermit) -> Session {
        Session { _permit: Some(permit), ..self }
    }

    /// Whether it can serve a run of this grant.
    pub(super) fn fits(&self, grant: &SqlGrant) -> bool {
        let same = |grant: &SqlGrant| (grant.role.clone(), grant.password.clone(), grant.elsewhere.clone());
        same(&self.grant) == same(grant)
    }

    pub(super) fn is_good(&self) -> bool {
        !self.client.is_closed() && self.opened.elapsed() < MAX_AGE
    }

    /// After a run: as it was before, or `None`. Temporary tables, settings, prepared statements,
    /// cursors, advisory locks and channels are gone.
    pub(super) async fn cleaned(mut self) -> Option<Session> {
        if self.is_marked || !self.is_good() {
            return None;
        }
        self.meter.begin(u64::MAX);
        let discarded = tokio::time::timeout(DISCARD, self.client.batch_execute(CLEAN)).await;
        self._permit = None;
        matches!(discarded, Ok(Ok(()))).then_some(self)
    }
}
