//! `pgq:plugin/sql`: statements of a guest, which the session that the host opened for its run
//! executes.

use std::borrow::Cow;
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::bindings::pgq::plugin::sql::{
    self, Column, ErrorKind as GuestErrorKind, Host, HostCursor, HostError, HostSavepoint, Value,
};
use super::denials::Denials;
use super::limits::Limits;
use super::reach::Reach;
use super::resources::{CursorHandle, SavepointHandle, SqlErrorHandle};
use super::sql::{Forgotten, SqlAnswer, SqlCommand, SqlSession};
use super::sql_error::{ErrorKind, SqlError};
use crate::printable::cut;
use pgq_job::{Reached, TracedCall};

/// How much of a statement a trace is told.
const MAX_TOLD: usize = 4 << 10;

const UNEXPECTED: &str = "the session gave an answer to another question";

const OF_ANOTHER_CALL: &str = "it belongs to another job's call, whose transaction is over";

/// The interface's state in a store.
#[derive(Debug)]
pub(super) struct SqlCtx {
    access: SqlAccess,
    /// The number of the current call of this store. Handles that the guest kept from another are of
    /// no use.
    call: u64,
}

impl SqlCtx {
    pub(super) fn new(access: SqlAccess) -> SqlCtx {
        SqlCtx { access, call: 0 }
    }

    /// Prepare for the next call of the same store.
    pub(super) fn renew(&mut self, access: SqlAccess) {
        *self = SqlCtx { access, call: self.call + 1 };
    }

    /// The call is over: its transaction is the host's.
    pub(super) fn end(&mut self) {
        self.access = SqlAccess::Closed("the call is over");
    }

    /// Whether a statement may be passed.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.access, SqlAccess::Open(_))
    }
}

/// What a call may do in the database.
#[derive(Debug, Clone)]
pub(super) enum SqlAccess {
    Open(Arc<dyn SqlSession>),
    /// Not granted.
    Denied,
    /// There is no single job whose outcome could carry the transaction.
    Closed(&'static str),
}

/// The parts of a store that the interface uses.
pub(super) struct SqlView<'a> {
    pub(super) ctx: &'a SqlCtx,
    pub(super) table: &'a mut ResourceTable,
    pub(super) limits: &'a mut Limits,
    pub(super) denials: &'a Denials,
    pub(super) trace: Option<&'a Arc<dyn TracedCall>>,
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
        match &self.ctx.access {
            SqlAccess::Open(session) => Ok(Arc::clone(session)),
            SqlAccess::Denied => {
                let line = "sql = { role = \"…\" }";
                let why = format!("the plugin may not use the database; {}", self.denials.remedy(line));
                self.denials.deny("sql", "the database", &why);
                Err(SqlError::new(ErrorKind::Refused, why))
            }
            SqlAccess::Closed(reason) => Err(SqlError::new(ErrorKind::Refused, *reason)),
        }
    }

    /// A handle to the error, for the guest.
    fn fail<T>(&mut self, error: SqlError) -> Answer<T> {
        self.limits.settle(error.bytes());
        Ok(Err(self.table.push(SqlErrorHandle(error))?))
    }

    async fn ask<T>(&mut self, command: SqlCommand, take: impl FnOnce(SqlAnswer) -> Option<T>) -> Answer<T> {
        let session = match self.session() {
            Ok(session) => session,
            Err(error) => return self.fail(error),
        };
        // What was passed counts until the session is done with it.
        let reach = self.trace.map(|trace| Reach::begin(trace, told(&command)));
        let answered = session.ask(command).await;
        if let Some(reach) = reach {
            reach.end(answered.as_ref().err().map(SqlError::label));
        }
        self.limits.settle(0);
        match answered {
            Ok(answer) => Ok(Ok(take(answer).ok_or_else(|| wasmtime::Error::msg(UNEXPECTED))?)),
            Err(error) => self.fail(error),
        }
    }

    fn forget(&self, call: u64, what: Forgotten) {
        if let SqlAccess::Open(session) = &self.ctx.access
            && call == self.ctx.call
        {
            session.forget(what);
        }
    }

    fn error(&self, this: &Resource<SqlErrorHandle>) -> wasmtime::Result<&SqlError> {
        Ok(&self.table.get(this)?.0)
    }
}

/// What a trace is told of a command.
fn told(command: &SqlCommand) -> Reached {
    let (statement, is_cut) = match command {
        SqlCommand::Execute { statement, .. } | SqlCommand::Query { statement, .. } => {
            (Cow::Owned(cut(statement, MAX_TOLD).to_owned()), statement.len() > MAX_TOLD)
        }
        SqlCommand::Next { .. } => ("FETCH".into(), false),
        SqlCommand::Savepoint => ("SAVEPOINT".into(), false),
        SqlCommand::Release(_) => ("RELEASE".into(), false),
        SqlCommand::RollBack(_) => ("ROLLBACK".into(), false),
    };
    Reached::Database { statement, is_cut }
}

impl Host for SqlView<'_> {
    async fn execute(&mut self, statement: String, parameters: Vec<Value>) -> Answer<u64> {
        let touched = |answer| if let SqlAnswer::Touched(rows) = answer { Some(rows) } else { None };
        self.ask(SqlCommand::Execute { statement, parameters }, touched).await
    }

    async fn query(&mut self, statement: String, parameters: Vec<Value>) -> Answer<Resource<CursorHandle>> {
        let opened = |answer| match answer {
            SqlAnswer::Cursor { id, columns, held } => Some((id, columns, held)),
            _ => None,
        };
        match self.ask(SqlCommand::Query { statement, parameters }, opened).await? {
            Ok((id, columns, held)) => {
                let columns = columns.into_iter().map(|column| (column.name, column.type_name)).collect();
                let cursor = CursorHandle { id, call: self.ctx.call, columns, held };
                self.limits.settle(cursor.bytes());
                Ok(Ok(self.table.push(cursor)?))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn set_savepoint(&mut self) -> Answer<Resource<SavepointHandle>> {
        let begun = |answer| if let SqlAnswer::Savepoint(id) = answer { Some(id) } else { None };
        match self.ask(SqlCommand::Savepoint, begun).await? {
            Ok(id) => Ok(Ok(self.table.push(SavepointHandle { id, call: self.ctx.call, over: false })?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl HostCursor for SqlView<'_> {
    fn columns(&mut self, this: Resource<CursorHandle>) -> wasmtime::Result<Vec<Column>> {
        let columns = self.table.get(&this)?.columns.iter().cloned();
        Ok(columns.map(|(name, type_name)| Column { name, type_name }).collect())
    }

    async fn next(&mut self, this: Resource<CursorHandle>, max_rows: u32) -> Answer<Vec<Vec<Value>>> {
        let cursor = self.table.get_mut(&this)?;
        if cursor.call != self.ctx.call {
            return self.fail(SqlError::new(ErrorKind::Refused, OF_ANOTHER_CALL));
        }
        cursor.held = 0;
        let command = SqlCommand::Next { cursor: cursor.id, max_rows };
        self.ask(command, |answer| if let SqlAnswer::Rows(rows) = answer { Some(rows) } else { None }).await
    }

    fn drop(&mut self, this: Resource<CursorHandle>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        let cursor = self.table.delete(this)?;
        self.forget(cursor.call, Forgotten::Cursor(cursor.id));
        Ok(())
    }
}

impl SqlView<'_> {
    async fn end(&mut self, this: Resource<SavepointHandle>, command: impl FnOnce(u64) -> SqlCommand) -> Answer<()> {
        let savepoint = self.table.get_mut(&this)?;
        if savepoint.call != self.ctx.call {
            return self.fail(SqlError::new(ErrorKind::Refused, OF_ANOTHER_CALL));
        }
        if std::mem::replace(&mut savepoint.over, true) {
            return self.fail(SqlError::new(ErrorKind::Refused, "the savepoint was released or rolled back before"));
        }
        let command = command(savepoint.id);
        self.ask(command, |answer| if let SqlAnswer::Done = answer { Some(()) } else { None }).await
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
            self.forget(savepoint.call, Forgotten::Savepoint(savepoint.id));
        }
        Ok(())
    }
}

impl HostError for SqlView<'_> {
    fn kind(&mut self, this: Resource<SqlErrorHandle>) -> wasmtime::Result<GuestErrorKind> {
        Ok(match self.error(&this)?.kind {
            ErrorKind::Database => GuestErrorKind::Database,
            ErrorKind::Refused => GuestErrorKind::Refused,
            ErrorKind::Limit => GuestErrorKind::Limit,
            ErrorKind::Conversion => GuestErrorKind::Conversion,
            ErrorKind::Connection => GuestErrorKind::Connection,
        })
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
