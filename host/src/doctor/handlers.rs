//! Checks the roles as which handlers are to use the database: that they have what it takes, and
//! nothing through which they could reach past it.

use super::finding::{CheckResult, Finding};
use super::target::{Target, shell};
use pgq_queue::{Pool, Queue};

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let roles = target.deployment.plugins.as_ref().map(|plugins| &plugins.roles);
    let queue = Queue::new(Pool::by_transaction(&target.pool), target.deployment.names.clone());
    let mut found = Vec::new();
    for (plugin, role) in roles.into_iter().flatten() {
        let wrong = queue.handler_role(role).await?.wrong;
        found.push(if wrong.is_empty() {
            Finding::ok(format!(
                "the role {role:?} of plugin {plugin} may do what handlers need, and cannot reach the queue"
            ))
        } else {
            let remedy = target.command(&format!("grant --apply {} --handler {}", shell(&target.role), shell(role)));
            Finding::error(
                format!("the role {role:?} cannot be that of plugin {plugin}: {}", wrong.join("; ")),
                "each statement of its handlers is refused",
                format!("take from it what it has too much of; then {remedy} (as the tables' owner)"),
            )
        });
    }
    Ok(found)
}
