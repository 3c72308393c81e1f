//! Reading payload and headers of a job that was claimed without them, because they are large or
//! the server could not send them.

use sqlx::Row as _;

use super::Queue;
use super::claimed::is_unreadable;
use super::text::Lossy;
use pgq_job::Job;

/// Bytes of headers as text, at most. They can be far smaller in the database: a number of a few
/// bytes can have 131,072 digits.
const MOST_HEADERS: i64 = 16 << 20;

/// What became of reading a job's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The job has its body.
    Read,
    /// The claim is over: the job was cancelled, or is another worker's.
    Gone,
    /// Nobody can read it, for this reason.
    Unreadable(String),
}

impl Queue {
    /// Read the body that the claim left in the database.
    pub async fn read_body(&self, job: &mut Job) -> sqlx::Result<Body> {
        let Some(bytes) = job.unread else { return Ok(Body::Read) };
        let largest = self.bytes.largest();
        if bytes > largest {
            return Ok(Body::Unreadable(format!(
                "payload and headers have {bytes} bytes, and a host with this much memory runs jobs of up to {largest}: give it more \
                 memory, or pass a reference to the data instead"
            )));
        }
        let read = match self.read(job, false).await {
            Err(error) if is_unreadable(&error) => self.read(job, true).await,
            read => read,
        };
        match read {
            Err(error) if is_unreadable(&error) => {
                Ok(Body::Unreadable(format!("the database cannot send payload and headers: {error}")))
            }
            read => read,
        }
    }

    async fn read(&self, job: &mut Job, raw: bool) -> sqlx::Result<Body> {
        let sql = if raw { &self.sql.read_body_as_stored } else { &self.sql.read_body };
        let query = sqlx::query(sql.clone()).bind(job.id).bind(job.claim.at).bind(self.me).bind(MOST_HEADERS);
        let Some(row) = query.fetch_optional(&self.pool.for_large()).await? else { return Ok(Body::Gone) };
        if let Some(bytes) = row.try_get::<Option<i64>, _>("headers_bytes")?.filter(|bytes| *bytes > MOST_HEADERS) {
            return Ok(Body::Unreadable(format!(
                "the headers have {bytes} bytes as text; up to {MOST_HEADERS} can be read"
            )));
        }
        job.payload = row.try_get("payload")?;
        job.headers = row.try_get::<Option<Lossy>, _>("headers")?.map(|headers| headers.0);
        job.unread = None;
        Ok(Body::Read)
    }
}
