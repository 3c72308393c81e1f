//! A transaction that stays open between its statements: its rows stay locked while their jobs run.

use sqlx::Executor as _;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use tokio::time::Instant;

use super::sessions::Lent;
use super::{Pool, Remedy};

/// A transaction that is dropped is rolled back, and its session closed.
#[derive(Debug)]
pub(super) struct Transaction {
    pool: Pool,
    /// `None` after an error that ends it.
    session: Option<Lent>,
}

impl Transaction {
    /// On a session of ours, not on one that a pooler lent: there, nobody knows when it ends.
    pub(super) async fn begin(pool: &Pool) -> sqlx::Result<Transaction> {
        let mut transaction = Transaction { pool: pool.clone(), session: Some(pool.lend().await?) };
        transaction.run(async |session| session.execute("BEGIN").await.map(drop)).await?;
        Ok(transaction)
    }

    pub(super) async fn fetch_all(&mut self, query: Query<'static, Postgres, PgArguments>) -> sqlx::Result<Vec<PgRow>> {
        self.run(async |session| query.fetch_all(&mut **session).await).await
    }

    /// What follows can be taken back alone.
    pub(super) async fn save(&mut self) -> sqlx::Result<()> {
        self.run(async |session| session.execute("SAVEPOINT here").await.map(drop)).await
    }

    /// Take back what was done since [`save`](Transaction::save), because a statement was refused.
    pub(super) async fn restore(&mut self) -> sqlx::Result<()> {
        self.run(async |session| session.execute("ROLLBACK TO SAVEPOINT here").await.map(drop)).await
    }

    /// After an error, nobody knows whether it was committed.
    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        self.run(async |session| session.execute("COMMIT").await.map(drop)).await?;
        self.give_back();
        Ok(())
    }

    /// Let the locks go.
    pub(super) async fn roll_back(mut self) -> sqlx::Result<()> {
        self.run(async |session| session.execute("ROLLBACK").await.map(drop)).await?;
        self.give_back();
        Ok(())
    }

    async fn run<T>(&mut self, statement: impl AsyncFnOnce(&mut Lent) -> sqlx::Result<T>) -> sqlx::Result<T> {
        let Some(mut session) = self.session.take() else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        let began = Instant::now();
        match tokio::time::timeout(self.pool.deadline(), statement(&mut session)).await {
            Ok(Ok(done)) => {
                self.pool.access().answered(began.elapsed());
                self.session = Some(session);
                Ok(done)
            }
            Ok(Err(error)) if Remedy::of(&error) == Remedy::Isolate => {
                self.pool.access().answered(began.elapsed());
                self.session = Some(session);
                Err(error)
            }
            Ok(Err(error)) => {
                self.pool.ended(session, began, &error);
                Err(error)
            }
            Err(_) => Err(self.pool.late(session)),
        }
    }

    fn give_back(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.take_back(session);
        }
    }
}
