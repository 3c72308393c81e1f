//! What every page and every answer of the API is made from.

use std::sync::Arc;

use pgq_queue::Operator;

/// Cheap to clone: each request has one.
#[derive(Debug, Clone)]
pub struct Site {
    pub(crate) operator: Operator,
    /// The path in front of every link, without a slash at its end: a reverse proxy may serve the
    /// site below one. Empty at the root.
    prefix: Arc<str>,
}

impl Site {
    /// The queue of this operator, with links below this prefix.
    pub fn new(operator: Operator, prefix: &str) -> Site {
        Site { operator, prefix: Arc::from(prefix.trim_end_matches('/')) }
    }

    /// The path within the site of a path that was asked for; `None` outside of it.
    pub(crate) fn within<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(&*self.prefix)? {
            "" => Some("/"),
            path if path.starts_with('/') => Some(path),
            _ => None,
        }
    }

    /// A link to a path of the site, which begins with a slash.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}
