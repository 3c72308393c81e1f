//! `pgq:plugin/log`: lines that a guest logs with a level and fields.

use std::fmt::Write as _;

use wasmtime::component::{HasData, Linker};

use super::bindings::pgq::plugin::log::{self, Host, Level};
use super::limits::Limits;
use super::log_sink::LogSink;
use crate::printable::cut;

/// A longer message is cut, and so are its fields.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// The parts of a store that the interface uses.
pub(super) struct LogView<'a> {
    pub(super) sink: &'a LogSink,
    pub(super) limits: &'a mut Limits,
}

struct HasLog;

impl HasData for HasLog {
    type Data<'a> = LogView<'a>;
}

pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> LogView<'_>,
) -> wasmtime::Result<()> {
    log::add_to_linker::<T, HasLog>(linker, view)
}

impl Host for LogView<'_> {
    fn emit(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        let mut shown = String::new();
        for (name, value) in fields {
            if shown.len() > MAX_MESSAGE_BYTES {
                break;
            }
            let space = if shown.is_empty() { "" } else { " " };
            let _ = write!(shown, "{space}{name}={value}");
        }
        self.sink.line(level, cut(&message, MAX_MESSAGE_BYTES), cut(&shown, MAX_MESSAGE_BYTES));
        Ok(())
    }
}
