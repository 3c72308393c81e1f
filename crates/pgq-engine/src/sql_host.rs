//! `pgq:plugin/sql`: statements of a guest, which the session that the host opened for its run
//! executes.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::bindings::pgq::plugin::sql::{self, Column, ErrorKind, Host, HostCursor, HostError, HostSavepoint, Value};
use super::denials::Denials;
use super::limits::Limits;
use super::resources::{CursorHandle, SavepointHandle, SqlErrorHandle};
use super::sql::{Forgotten, SqlAnswer, SqlCommand, SqlError, SqlSession};

const UNEXPECTED: &str = "the session gave an answer to another question";

/// The interface's state in a store.
#[derive(Debug, Clone)]
pub(super) enum SqlCtx {
    Open(Arc<dyn SqlSession>),
    /// Not granted.
    Denied,
    /// There is no single job whose outcome could carry the transaction.
    Closed(&'static str),
}

impl SqlCtx {
    /// Whether a statement may be passed.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, SqlCtx::Open(_))
    }
}

/// The parts of a store that the interface uses.
pub(super) struct SqlView<'a> {
    pub(super) ctx: &'a SqlCtx,
    pub(super) table: &'a mut ResourceTable,
    pub(super) limits: &'a mut Limits,
    pub(super) denials: &'a Denials,
}

struct HasSql;

impl HasData for HasSql {
    type Data<'a> = SqlView<'a>;
}

pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> SqlView<'_>,
) -> wasmtime::Result<()> {
    sql::add_to_linker::<T, HasSql>(linker, view)
}

type Answer<T> = wasmtime::Result<Result<T, Resource<SqlErrorHandle>>>;

impl SqlView<'_> {
    fn session(&self) -> Result<Arc<dyn SqlSession>, SqlError> {
        match self.ctx {
            SqlCtx::Open(session) => Ok(Arc::clone(session)),
            SqlCtx::Denied => {
                let line = "sql = { role = \"…\" }";
                let why = format!("the plugin may not use the database; {}", self.denials.remedy(line));
                self.denials.deny("sql", "the database", &why);
                Err(SqlError::new(ErrorKind::Refused, why))
            }
            SqlCtx::Closed(reason) => Err(SqlError::new(ErrorKind::Refused, *reason)),
        }
    }

    /// A handle to the error, for the guest.
    fn fail<T>(&mut self, error: SqlError) -> Answer<T> {
        self.limits.settle(error.bytes());
        Ok(Err(self.table.push(SqlErrorHandle(error))?))
    }

    async fn ask<T>(&mut self, command: SqlCommand, take: impl FnOnce(SqlAnswer) -> Option<T>) -> Answer<T> {
        match self.session() {
            Ok(session) => self.ask_of(&*session, command, take).await,
            Err(error) => self.fail(error),
        }
    }

    async fn ask_of<T>(
        &mut self,
        session: &dyn SqlSession,
        command: SqlCommand,
        take: impl FnOnce(SqlAnswer) -> Option<T>,
    ) -> Answer<T> {
        // What was passed counts until the session is done with it.
        let answered = session.ask(command).await;
        self.limits.settle(0);
        match answered {
            Ok(answer) => Ok(Ok(take(answer).ok_or_else(|| wasmtime::Error::msg(UNEXPECTED))?)),
            Err(error) => self.fail(error),
        }
    }

    fn error(&self, this: &Resource<SqlErrorHandle>) -> wasmtime::Result<&SqlError> {
        Ok(&self.table.get(this)?.0)
    }
}

impl Host for SqlView<'_> {
    async fn execute(&mut self, statement: String, parameters: Vec<Value>) -> Answer<u64> {
        let touched = |answer| if let SqlAnswer::Touched(rows) = answer { Some(rows) } else { None };
        self.ask(SqlCommand::Execute { statement, parameters }, touched).await
    }

    async fn query(&mut self, statement: String, parameters: Vec<Value>) -> Answer<Resource<CursorHandle>> {
        let session = match self.session() {
            Ok(session) => session,
            Err(error) => return self.fail(error),
        };
        let opened = |answer| match answer {
            SqlAnswer::Cursor { id, columns, held } => Some((id, columns, held)),
            _ => None,
        };
        let command = SqlCommand::Query { statement, parameters };
        match self.ask_of(&*session, command, opened).await? {
            Ok((id, columns, held)) => {
                let cursor = CursorHandle { id, columns, held, session };
                self.limits.settle(cursor.bytes());
                Ok(Ok(self.table.push(cursor)?))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn set_savepoint(&mut self) -> Answer<Resource<SavepointHandle>> {
        let session = match self.session() {
            Ok(session) => session,
            Err(error) => return self.fail(error),
        };
        let begun = |answer| if let SqlAnswer::Savepoint(id) = answer { Some(id) } else { None };
        match self.ask_of(&*session, SqlCommand::Savepoint, begun).await? {
            Ok(id) => Ok(Ok(self.table.push(SavepointHandle { id, session, over: false })?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl HostCursor for SqlView<'_> {
    fn columns(&mut self, this: Resource<CursorHandle>) -> wasmtime::Result<Vec<Column>> {
        Ok(self.table.get(&this)?.columns.clone())
    }

    async fn next(&mut self, this: Resource<CursorHandle>, max_rows: u32) -> Answer<Vec<Vec<Value>>> {
        let cursor = self.table.get_mut(&this)?;
        let (session, command) = (Arc::clone(&cursor.session), SqlCommand::Next { cursor: cursor.id, max_rows });
        cursor.held = 0;
        let rows = |answer| if let SqlAnswer::Rows(rows) = answer { Some(rows) } else { None };
        self.ask_of(&*session, command, rows).await
    }

    fn drop(&mut self, this: Resource<CursorHandle>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        let cursor = self.table.delete(this)?;
        cursor.session.forget(Forgotten::Cursor(cursor.id));
        Ok(())
    }
}

impl SqlView<'_> {
    async fn end(&mut self, this: Resource<SavepointHandle>, command: impl FnOnce(u64) -> SqlCommand) -> Answer<()> {
        let savepoint = self.table.get_mut(&this)?;
        if std::mem::replace(&mut savepoint.over, true) {
            return self.fail(SqlError::new(ErrorKind::Refused, "the savepoint was released or rolled back before"));
        }
        let (session, command) = (Arc::clone(&savepoint.session), command(savepoint.id));
        let done = |answer| if let SqlAnswer::Done = answer { Some(()) } else { None };
        self.ask_of(&*session, command, done).await
    }
}

impl HostSavepoint for SqlView<'_> {
    async fn release(&mut self, this: Resource<SavepointHandle>) -> Answer<()> {
        self.end(this, SqlCommand::Release).await
    }

    async fn roll_back(&mut self, this: Resource<SavepointHandle>) -> Answer<()> {
        self.end(this, SqlCommand::RollBack).await
    }

    fn drop(&mut self, this: Resource<SavepointHandle>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        let savepoint = self.table.delete(this)?;
        if !savepoint.over {
            savepoint.session.forget(Forgotten::Savepoint(savepoint.id));
        }
        Ok(())
    }
}

impl HostError for SqlView<'_> {
    fn kind(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<ErrorKind> {
        Ok(self.error(&this)?.kind)
    }

    fn message(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<String> {
        Ok(self.error(&this)?.message.clone())
    }

    fn sqlstate(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.error(&this)?.sqlstate().map(str::to_owned))
    }

    fn detail(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.error(&this)?.said.as_ref().and_then(|said| said.detail.clone()))
    }

    fn hint(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.error(&this)?.said.as_ref().and_then(|said| said.hint.clone()))
    }

    fn constraint(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.error(&this)?.said.as_ref().and_then(|said| said.constraint.clone()))
    }

    fn table(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.error(&this)?.said.as_ref().and_then(|said| said.table.clone()))
    }

    fn column(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.error(&this)?.said.as_ref().and_then(|said| said.column.clone()))
    }

    fn drop(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        self.table.delete(this)?;
        Ok(())
    }
}
