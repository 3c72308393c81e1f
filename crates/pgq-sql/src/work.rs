//! What a guest asks for, one thing after the other, within the transaction of its run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Portal, Row, Statement, Transaction};

use super::cursor::Cursor;
use super::failure::database;
use super::limits::Used;
use super::metered::{ANSWER_BYTES, Meter};
use super::spec::RunSpec;
use super::values::plain;
use pgq_engine::sql::{Column, ErrorKind, Forgotten, SqlAnswer, SqlCommand, SqlError, Value};
use pgq_values::{Parameter, statement};

/// Cursors that are open at once.
const MOST_CURSORS: usize = 100;

pub(super) struct Work<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) meter: Arc<Meter>,
    plugin: &'a Arc<str>,
    bytes: u64,
    used: Used<'a>,
    cursors: HashMap<u64, Cursor>,
    /// From the outermost to the innermost.
    pub(super) savepoints: Vec<u64>,
    last: u64,
    /// The first statement that failed.
    pub(super) first_failure: Option<SqlError>,
    /// It met types that the driver had to look up.
    pub(super) has_own_types: bool,
}

type Done<T> = Result<T, SqlError>;

impl<'a> Work<'a> {
    pub(super) fn new(transaction: Transaction<'a>, meter: Arc<Meter>, spec: &'a RunSpec) -> Work<'a> {
        Work {
            transaction,
            meter,
            plugin: &spec.plugin,
            bytes: spec.grant.bytes,
            used: Used::new(&spec.grant),
            cursors: HashMap::new(),
            savepoints: Vec::new(),
            last: 0,
            first_failure: None,
            has_own_types: false,
        }
    }

    pub(super) async fn run(&mut self, command: SqlCommand) -> Done<SqlAnswer> {
        let kind = match &command {
            SqlCommand::Execute { statement, .. } | SqlCommand::Query { statement, .. } => statement::kind(statement),
            SqlCommand::Next { .. } => "fetch",
            SqlCommand::Savepoint | SqlCommand::Release(_) | SqlCommand::RollBack(_) => "savepoint",
        };
        let began = Instant::now();
        let done = self.done(command).await;
        let (plugin, took) = (Arc::clone(self.plugin), began.elapsed());
        metrics::histogram!("pgq_host_sql_seconds", "plugin" => plugin, "kind" => kind).record(took);
        if let Err(error) = &done {
            metrics::counter!("pgq_host_sql_errors_total", "plugin" => Arc::clone(self.plugin), "kind" => kind)
                .increment(1);
            if self.first_failure.is_none() && error.kind == ErrorKind::Database {
                self.first_failure = Some(error.clone());
            }
        }
        done
    }

    async fn done(&mut self, command: SqlCommand) -> Done<SqlAnswer> {
        match command {
            SqlCommand::Execute { statement, parameters } => self.execute(&statement, parameters).await,
            SqlCommand::Query { statement, parameters } => self.query(&statement, parameters).await,
            SqlCommand::Next { cursor, max_rows } => {
                self.next(cursor, usize::try_from(max_rows).unwrap_or(usize::MAX)).await.map(SqlAnswer::Rows)
            }
            SqlCommand::Savepoint => {
                self.used.statement()?;
                let id = self.id();
                self.told(&format!("SAVEPOINT pgq_{id}")).await?;
                self.savepoints.push(id);
                Ok(SqlAnswer::Savepoint(id))
            }
            SqlCommand::Release(id) => {
                let place = self.place(id)?;
                self.told(&format!("RELEASE SAVEPOINT pgq_{id}")).await?;
                self.savepoints.truncate(place);
                Ok(SqlAnswer::Done)
            }
            SqlCommand::RollBack(id) => self.roll_back(id).await.map(|()| SqlAnswer::Done),
        }
    }

    /// The guest dropped it.
    pub(super) async fn forget(&mut self, what: Forgotten) {
        match what {
            Forgotten::Cursor(id) => drop(self.cursors.remove(&id)),
            Forgotten::Savepoint(id) if self.savepoints.contains(&id) => {
                // If that fails, everything after it does, and the commit.
                let _ = self.roll_back(id).await;
            }
            Forgotten::Savepoint(_) => {}
        }
    }

    /// Undo a savepoint that the guest left open, and with it all within.
    pub(super) async fn roll_back(&mut self, id: u64) -> Done<()> {
        let place = self.place(id)?;
        self.told(&format!("ROLLBACK TO SAVEPOINT pgq_{id}; RELEASE SAVEPOINT pgq_{id}")).await?;
        self.savepoints.truncate(place);
        // Whatever failed in it is undone.
        self.first_failure = None;
        Ok(())
    }

    fn place(&self, id: u64) -> Done<usize> {
        let over =
            || SqlError::new(ErrorKind::Refused, "the savepoint is over: one around it was released or rolled back");
        self.savepoints.iter().position(|open| *open == id).ok_or_else(over)
    }

    fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    async fn told(&self, text: &str) -> Done<()> {
        self.meter.ask();
        self.transaction.batch_execute(text).await.map_err(|error| self.failure(&error))
    }

    async fn execute(&mut self, text: &str, parameters: Vec<Value>) -> Done<SqlAnswer> {
        let (statement, parameters) = self.prepare(text, parameters).await?;
        self.meter.ask();
        let touched = self.transaction.execute_raw(&statement, parameters).await;
        touched.map(SqlAnswer::Touched).map_err(|error| self.failure(&error))
    }

    async fn query(&mut self, text: &str, parameters: Vec<Value>) -> Done<SqlAnswer> {
        if self.cursors.len() >= MOST_CURSORS {
            let message = format!("a run may have {MOST_CURSORS} cursors open at once; drop those that are read");
            return Err(SqlError::new(ErrorKind::Limit, message));
        }
        let (statement, parameters) = self.prepare(text, parameters).await?;
        if statement.columns().is_empty() {
            let executed = self.transaction.execute_raw(&statement, parameters).await;
            executed.map_err(|error| self.failure(&error))?;
            return Ok(self.opened(&statement, Cursor::new(None), 0));
        }
        self.meter.ask();
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|one| one as &(dyn ToSql + Sync)).collect();
        let portal = self.transaction.bind(&statement, &parameters).await.map_err(|error| self.failure(&error))?;
        let mut cursor = Cursor::new(Some(portal));
        let (mut held, asked) = (0, cursor.wants(usize::MAX));
        if let (Some(portal), Some(asked)) = (&cursor.portal, asked) {
            let rows = self.fetch(portal, asked).await?;
            let values = cursor.take(&rows, asked)?;
            held = cursor.keep(values, &rows);
        }
        Ok(self.opened(&statement, cursor, held))
    }

    fn opened(&mut self, statement: &Statement, cursor: Cursor, held: usize) -> SqlAnswer {
        let column = |column: &tokio_postgres::Column| Column {
            name: column.name().to_owned(),
            type_name: column.type_().name().to_owned(),
        };
        let (id, columns) = (self.id(), statement.columns().iter().map(column).collect());
        self.cursors.insert(id, cursor);
        SqlAnswer::Cursor { id, columns, held }
    }

    async fn next(&mut self, id: u64, max_rows: usize) -> Done<Vec<Vec<Value>>> {
        let over = || SqlError::new(ErrorKind::Refused, "the cursor is over");
        let cursor = self.cursors.get_mut(&id).ok_or_else(over)?;
        if let Some(rows) = cursor.at_hand(max_rows) {
            return Ok(rows);
        }
        let (Some(portal), Some(asked)) = (cursor.portal.clone(), cursor.wants(max_rows)) else {
            return Ok(Vec::new());
        };
        let rows = self.fetch(&portal, asked).await?;
        self.cursors.get_mut(&id).ok_or_else(over)?.take(&rows, asked)
    }

    async fn fetch(&mut self, portal: &Portal, asked: usize) -> Done<Vec<Row>> {
        self.meter.ask();
        let most = i32::try_from(asked).unwrap_or(i32::MAX);
        let rows = self.transaction.query_portal(portal, most).await.map_err(|error| self.failure(&error))?;
        self.used.rows(rows.len())?;
        Ok(rows)
    }

    /// The server parses it: one statement and no more. It says which types the parameters have.
    async fn prepare(&mut self, text: &str, parameters: Vec<Value>) -> Done<(Statement, Vec<Parameter>)> {
        if let Some(why) = statement::refused(text) {
            return Err(SqlError::new(ErrorKind::Refused, why));
        }
        self.used.statement()?;
        self.meter.ask();
        let statement = self.transaction.prepare(text).await.map_err(|error| self.failure(&error))?;
        let types = || statement.params().iter().chain(statement.columns().iter().map(tokio_postgres::Column::type_));
        self.has_own_types |= types().any(|ty| Type::from_oid(ty.oid()).is_none());
        let (wanted, given) = (statement.params().len(), parameters.len());
        if wanted != given {
            let message = format!("the statement has {wanted} parameters, and {given} were given");
            return Err(SqlError::new(ErrorKind::Conversion, message));
        }
        let encode = |(place, (value, ty)): (usize, (Value, &Type))| {
            Parameter::of(plain(value), ty)
                .map_err(|why| SqlError::new(ErrorKind::Conversion, format!("parameter ${}: {why}", place + 1)))
        };
        let parameters = parameters.into_iter().zip(statement.params()).enumerate().map(encode).collect::<Done<_>>()?;
        Ok((statement, parameters))
    }

    /// As the guest sees it: its own limit, if that ended the session.
    fn failure(&self, error: &tokio_postgres::Error) -> SqlError {
        match self.meter.exceeded() {
            None => database(error),
            Some("run") => {
                let message = format!("a run may read {} bytes (sql.bytes); all of it is rolled back", self.bytes);
                SqlError::new(ErrorKind::Limit, message)
            }
            Some(_) => {
                let message = format!(
                    "the server sends more than {ANSWER_BYTES} bytes at once, and all of the run is rolled back; read large \
                     rows one at a time, and large values in pieces"
                );
                SqlError::new(ErrorKind::Limit, message)
            }
        }
    }
}
