//! The job's log: lines with fields, which the host writes under the job's id, entrypoint and
//! plugin.
//!
//! ```
//! # use pgq_plugin_sdk::prelude::*;
//! # let (rows, path) = (10, "a.csv");
//! log::info!("started");
//! log::warn!(rows = rows, path = path, "read {rows} rows of {path:?}");
//! ```
//!
//! Fields come first, as in `tracing`; their values are printed with
//! [`Display`](std::fmt::Display). What a run writes is bounded by the host (1 MiB by default,
//! stdout and stderr included); past the bound lines are dropped, and one line says so.

mod level;

use crate::host;

#[doc(inline)]
pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};
pub use level::Level;

/// Write one line. The macros of this module are the shorter way.
pub fn emit(level: Level, message: &str, fields: &[(&str, String)]) {
    host::emit(level, message, fields);
}

/// Write a line at a level: `emit!(Level::Info, field = value, .., "message {}", argument)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_emit {
    ($level:ident, $($key:ident = $value:expr,)* $message:literal $($arguments:tt)*) => {
        $crate::log::emit(
            $crate::log::Level::$level,
            &::std::format!($message $($arguments)*),
            &[$((::std::stringify!($key), ::std::string::ToString::to_string(&$value))),*],
        )
    };
}

/// Write a line that traces every step.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($line:tt)+) => { $crate::__log_emit!(Trace, $($line)+) };
}

/// Write a line for the plugin's author.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($line:tt)+) => { $crate::__log_emit!(Debug, $($line)+) };
}

/// Write a line for the operator.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($line:tt)+) => { $crate::__log_emit!(Info, $($line)+) };
}

/// Write a line about something that deserves attention.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($line:tt)+) => { $crate::__log_emit!(Warn, $($line)+) };
}

/// Write a line about something that needs action.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($line:tt)+) => { $crate::__log_emit!(Error, $($line)+) };
}
