//! A real database for unit tests, natively: statements go to it as the host would send them.

mod values;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use pgq_values::{Parameter, statement};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::{Client, NoTls};

use super::sql::TestRows;
use crate::sql::{Column, Error, ErrorKind, Parts, Value};

/// A connection to a database. Everything that happens in it is one transaction, which is rolled back
/// at the end of the test.
///
/// ```no_run
/// # use pgq_plugin_sdk::prelude::*;
/// # use pgq_plugin_sdk::testing::{TestJob, TestPostgres, TestRun};
/// # fn pay(_: &Job) -> Result<()> { Ok(()) }
/// # let plugin = Plugin::new("pay", "1.0.0").entrypoint(Entrypoint::new("pay", pay));
/// let database = TestPostgres::connect("postgresql://orders_worker@localhost/app").unwrap();
/// database.client().batch_execute("INSERT INTO account (id, balance) VALUES (1, 10)").unwrap();
/// let run = TestRun::with_postgres(&plugin, TestJob::new("pay"), &database);
/// assert!(run.result.is_ok());
/// let balance: i64 = database.client().query_one("SELECT balance FROM account WHERE id = 1", &[]).unwrap().get(0);
/// assert_eq!(balance, 9);
/// ```
///
/// Connect as the role that the operator grants to the plugin, and a missing privilege is found here.
/// Its statements see `now()` stand still, as in any transaction.
#[derive(Clone)]
pub struct TestPostgres(Rc<RefCell<Client>>);

impl fmt::Debug for TestPostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestPostgres").finish_non_exhaustive()
    }
}

impl TestPostgres {
    /// Connect without TLS, and begin the transaction. `dsn`: `postgresql://role:password@host/database`.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, or refuses the role.
    pub fn connect(dsn: &str) -> Result<Self, postgres::Error> {
        let mut client = Client::connect(dsn, NoTls)?;
        client.batch_execute("BEGIN")?;
        Ok(Self(Rc::new(RefCell::new(client))))
    }

    /// The connection, for what the test prepares and looks at. Not while a run is under way.
    ///
    /// # Panics
    ///
    /// Panics if it is borrowed already.
    pub fn client(&self) -> std::cell::RefMut<'_, Client> {
        self.0.borrow_mut()
    }

    pub(super) fn begin(&self) -> Result<(), Error> {
        self.told("SAVEPOINT pgq_run")
    }

    /// Keep what the run did if it ended well, else undo it.
    pub(super) fn end(&self, is_well: bool) -> Result<(), Error> {
        let kept = if is_well {
            self.told("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; RELEASE SAVEPOINT pgq_run")
        } else {
            Ok(())
        };
        if !is_well || kept.is_err() {
            self.told("ROLLBACK TO SAVEPOINT pgq_run; RELEASE SAVEPOINT pgq_run")?;
        }
        kept
    }

    /// What [`TestRun::with_sql`](super::TestRun::with_sql) asks.
    pub(super) fn answers(&self) -> impl FnMut(&str, &[Value]) -> Result<TestRows, Error> + 'static {
        let database = self.clone();
        let mut depth = 0_u32;
        move |text, parameters| {
            match text {
                "SAVEPOINT" => {
                    depth += 1;
                    database.told(&format!("SAVEPOINT pgq_{depth}"))?;
                }
                "RELEASE" => {
                    database.told(&format!("RELEASE SAVEPOINT pgq_{depth}"))?;
                    depth -= 1;
                }
                "ROLLBACK" => {
                    database.told(&format!("ROLLBACK TO SAVEPOINT pgq_{depth}; RELEASE SAVEPOINT pgq_{depth}"))?;
                    depth -= 1;
                }
                _ => return database.asked(text, parameters),
            }
            Ok(TestRows::default())
        }
    }

    fn told(&self, text: &str) -> Result<(), Error> {
        self.0.borrow_mut().batch_execute(text).map_err(|error| said(&error))
    }

    fn asked(&self, text: &str, parameters: &[Value]) -> Result<TestRows, Error> {
        if let Some(why) = statement::refused(text) {
            return Err(Error::refused(why));
        }
        let mut client = self.0.borrow_mut();
        let prepared = client.prepare(text).map_err(|error| said(&error))?;
        let (wanted, given) = (prepared.params().len(), parameters.len());
        if wanted != given {
            let message = format!("the statement has {wanted} parameters, and {given} were given");
            return Err(Error::conversion(message));
        }
        let encoded = parameters.iter().zip(prepared.params()).enumerate().map(|(place, (value, ty))| {
            Parameter::of(values::plain(value.clone()), ty)
                .map_err(|why| Error::conversion(format!("parameter ${}: {why}", place + 1)))
        });
        let encoded: Vec<Parameter> = encoded.collect::<Result<_, _>>()?;
        let mut answer = client.query_raw(&prepared, encoded).map_err(|error| said(&error))?;
        let mut rows = Vec::new();
        while let Some(row) = answer.next().map_err(|error| said(&error))? {
            rows.push(values::of_row(&row).map_err(Error::conversion)?);
        }
        let touched = answer.rows_affected().unwrap_or_default();
        let column = |column: &postgres::Column| Column {
            name: column.name().to_owned(),
            type_name: column.type_().name().to_owned(),
        };
        Ok(TestRows::answered(prepared.columns().iter().map(column).collect(), rows, touched))
    }
}

fn said(error: &postgres::Error) -> Error {
    let own = |text: Option<&str>| text.map(str::to_owned);
    let told = error.as_db_error();
    Error::of(Parts {
        kind: if told.is_some() { ErrorKind::Database } else { ErrorKind::Connection },
        message: told.map_or_else(|| error.to_string(), |told| told.message().to_owned()),
        sqlstate: told.map(|told| told.code().code().to_owned()),
        detail: told.and_then(|told| own(told.detail())),
        hint: told.and_then(|told| own(told.hint())),
        constraint: told.and_then(|told| own(told.constraint())),
        table: told.and_then(|told| own(told.table())),
        column: told.and_then(|told| own(told.column())),
    })
}
