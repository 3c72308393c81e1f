//! The queue as an operator's command or a dashboard sees it: looks at it, and changes single jobs
//! by hand. No worker's statement is here.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::template::{self, Form};
use super::{Pool, SchemaFeatures};
use crate::names::Names;

/// Unlike [`Queue`](super::Queue) it claims nothing, so it has no worker's id and holds no
/// statements: a command sends one or two.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(super) pool: Pool,
    names: Arc<Names>,
}

impl Operator {
    /// Of the queue of these names.
    pub fn new(pool: impl Into<Pool>, names: Names) -> Operator {
        Operator { pool: pool.into(), names: Arc::new(names) }
    }

    /// The names it works with.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The statement of a file of `sql/operator`, for these names.
    pub(super) fn sql(&self, file: &str) -> SqlStr {
        AssertSqlSafe(template::render(file, &self.names, Form { features: SchemaFeatures::ALL, marked: true }))
            .into_sql_str()
    }
}
