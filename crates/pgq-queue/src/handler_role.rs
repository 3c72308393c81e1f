//! The roles of handlers: what they must have, and what they must not.

use sqlx::Row as _;

use super::Queue;
use super::handler_functions::Function;

/// A role as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerRole {
    /// The schema that the queue is in.
    pub schema: Option<String>,
    /// Why it must not be used, in words.
    pub wrong: Vec<String>,
}

impl Queue {
    /// Look at the role as which handlers are to use the database.
    pub async fn handler_role(&self, role: &str) -> sqlx::Result<HandlerRole> {
        let row = sqlx::query(self.sql.handler_role.clone())
            .bind(role)
            .bind(self.names.schema.as_deref())
            .bind(self.handler_function(Function::End))
            .bind(self.handler_function(Function::Back))
            .fetch_one(&self.pool)
            .await?;
        Ok(HandlerRole { schema: row.try_get("schema")?, wrong: row.try_get("wrong")? })
    }
}
