//! What is typed, read on a thread of its own: reading waits.

use std::io;
use std::thread;

use ratatui::crossterm::event::{Event, read};
use tokio::sync::mpsc::{Receiver, channel};

/// Events that wait for their turn. Beyond them, the reader waits.
const WAITING: usize = 256;

/// The events of the terminal, until it is gone. The thread ends with the process, or with the
/// terminal.
pub(crate) fn events() -> io::Result<Receiver<io::Result<Event>>> {
    let (sender, receiver) = channel(WAITING);
    let reading = move || {
        loop {
            let event = read();
            let is_over = event.is_err();
            if sender.blocking_send(event).is_err() || is_over {
                return;
            }
        }
    };
    thread::Builder::new().name("pgq-keys".into()).spawn(reading)?;
    Ok(receiver)
}
