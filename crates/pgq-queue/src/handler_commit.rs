//! The end of a handler's session that did not go as it should: an answer that was lost, a statement
//! that does not stop.

use super::Queue;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    Committed,
    Aborted,
    /// The server has not noticed yet that nobody waits for it.
    Undecided,
}

impl Queue {
    /// An outcome was recorded in a handler's session: what it counted is there for the statistics.
    pub fn recorded_by_handler(&self) {
        self.tallied.notify_one();
    }

    /// What became of the transaction with this number.
    pub async fn handler_commit(&self, transaction: &str) -> sqlx::Result<CommitState> {
        let query = sqlx::query_scalar(self.sql.handler_commit.clone()).bind(transaction);
        let status: Option<String> = query.fetch_one(&self.pool).await?;
        Ok(match status.as_deref() {
            Some("committed") => CommitState::Committed,
            Some("in progress") => CommitState::Undecided,
            _ => CommitState::Aborted,
        })
    }

    /// End this session of a handler. Returns whether it was still there.
    pub async fn end_handler(&self, pid: i32, role: &str) -> sqlx::Result<bool> {
        let query = sqlx::query(self.sql.end_handler.clone()).bind(pid).bind(role);
        Ok(!query.fetch_all(&self.pool).await?.is_empty())
    }
}
