//! What a view asks the database, and what it is told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use pgq_job::JobId;
use pgq_queue::JobFilterBody;
use pgq_queue::told::told;
use pgq_queue::{
    Cursor, FailureFilter, Failures, Fleet, JobPage, JobReport, ListedSchedule, MOST_ENTRYPOINTS, Operator, Overview,
    OverviewFilter, PauseRow, Plugins, Troubles,
};
use serde::Serialize;
use tokio::time::timeout;

/// An answer that takes longer is no answer.
pub(crate) const WITHIN: Duration = Duration::from_secs(6);
/// Rows that are read for a page of jobs, whatever is found: as many as for the page in a browser.
const ROWS: usize = 20_000;
/// Bytes of a payload or an output that are shown of a job.
const SHOWN: i32 = 16 << 10;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    Overview,
    Jobs { filter: Box<JobFilterBody>, after: Option<Cursor>, limit: usize },
    Job(JobId),
    Failures,
    Plugins,
    Hosts,
    Schedules,
}

/// What is going on, all together.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    pub at: DateTime<Utc>,
    pub overview: Overview,
    pub failures: Failures,
    pub fleet: Fleet,
    pub pauses: Vec<PauseRow>,
    pub troubles: Troubles,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Overview(Box<Snapshot>),
    Jobs(JobPage),
    /// `None`: neither the queue nor the log has it.
    Job(Option<Box<JobReport>>),
    Failures(Failures),
    Plugins(Plugins),
    Hosts(Fleet),
    Schedules(Vec<ListedSchedule>),
}

impl Snapshot {
    pub async fn read(operator: &Operator) -> sqlx::Result<Snapshot> {
        let filter = OverviewFilter { limit: MOST_ENTRYPOINTS, ..OverviewFilter::default() };
        let all = FailureFilter::default();
        let pauses = async { if operator.knows_pauses().await? { operator.pauses().await } else { Ok(Vec::new()) } };
        // At once, so that a database that is silent is waited for once.
        let looks = futures_util::future::try_join5(
            operator.overview(&filter),
            operator.failures(&all),
            operator.fleet(),
            pauses,
            operator.troubles(),
        );
        let (overview, failures, fleet, pauses, troubles) = Box::pin(looks).await?;
        Ok(Snapshot { at: Utc::now(), overview, failures, fleet, pauses, troubles })
    }
}

impl Ask {
    /// The answer, or why there is none.
    pub(crate) async fn answer(&self, operator: &Operator) -> Result<Answer, String> {
        match timeout(WITHIN, Box::pin(self.read(operator))).await {
            Ok(answer) => answer.map_err(|error| told(&error)),
            Err(_) => Err(format!("the database did not answer within {} s", WITHIN.as_secs())),
        }
    }

    async fn read(&self, operator: &Operator) -> sqlx::Result<Answer> {
        Ok(match self {
            Ask::Overview => Answer::Overview(Box::new(Snapshot::read(operator).await?)),
            Ask::Jobs { filter, after, limit } => {
                // It was read when it was typed.
                let filter = filter.filter().map_err(|error| sqlx::Error::Configuration(error.into()))?;
                Answer::Jobs(operator.jobs(&filter, *after, *limit, ROWS).await?)
            }
            Ask::Job(id) => Answer::Job(operator.job(*id, SHOWN).await?.map(Box::new)),
            Ask::Failures => Answer::Failures(operator.failures(&FailureFilter::default()).await?),
            Ask::Plugins => Answer::Plugins(operator.plugins().await?),
            Ask::Hosts => Answer::Hosts(operator.fleet().await?),
            Ask::Schedules => Answer::Schedules(operator.schedules().await?),
        })
    }
}
