//! Who may log in by name and password.

use super::password::PasswordHash;
use crate::visitor::Role;

/// A user.
#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub role: Role,
    pub password: PasswordHash,
}
