//! What an error says to a person: each cause once, and of PostgreSQL's errors what its clients
//! show: message, detail, hint, SQLSTATE.

use std::error::Error;

use sqlx::postgres::PgDatabaseError;

/// [`told`], of an error at hand: `error = %error.told()`.
pub trait Told {
    /// The error and its causes in one line.
    fn told(&self) -> String;
}

impl<E: Error + 'static> Told for E {
    fn told(&self) -> String {
        told(self)
    }
}

/// The error and its causes in one line.
///
/// The driver's own text of a server's error ends with a line number, which is one of PostgreSQL's
/// C source and is taken for one of the statement. It is replaced wherever it stands, also in the
/// text of an error that repeats its cause's.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let refusal = causes(error).find_map(refusal);
    let drivers = refusal.map(ToString::to_string);
    let told = refusal.map(of_server).unwrap_or_default();
    let mut said = String::new();
    for cause in causes(error) {
        let mut text = cause.to_string();
        if let Some(drivers) = &drivers {
            text = text.replace(&format!("error returned from database: {drivers}"), &told).replace(drivers, &told);
        }
        // Some errors say their cause themselves.
        if !said.ends_with(&text) {
            said = if said.is_empty() { text } else { format!("{said}: {text}") };
        }
    }
    said
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}

/// The server's own words, if this error is the driver's around them.
fn refusal<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a PgDatabaseError> {
    match cause.downcast_ref() {
        Some(sqlx::Error::Database(error)) => error.try_downcast_ref(),
        _ => cause.downcast_ref(),
    }
}

fn of_server(error: &PgDatabaseError) -> String {
    let part = |word: &str, text: Option<&str>| {
        text.map(|text| format!("; {word}{}", text.replace('\n', "; "))).unwrap_or_default()
    };
    format!(
        "{}{}{} (SQLSTATE {})",
        error.message(),
        part("", error.detail()),
        part("hint: ", error.hint()),
        error.code()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let inner = std::io::Error::other("the disk is full");
        let outer = anyhow::Error::from(inner).context("cannot write the plan: the disk is full");
        assert_eq!(told(outer.as_ref()), "cannot write the plan: the disk is full");
        let outer = anyhow::anyhow!("no space").context("cannot write");
        assert_eq!(told(outer.as_ref()), "cannot write: no space");
    }
}
