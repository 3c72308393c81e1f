//! The terminal: taken over, and given back however this ends.

use std::io::{self, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};
use rustix::process::{Signal, getpid, getsid, kill_current_process_group};

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back when it is dropped.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    pub(crate) fn take() -> io::Result<Screen> {
        give_back_before_a_panic_is_told();
        take()?;
        let screen = Screen { terminal: Terminal::new(CrosstermBackend::new(stdout()))? };
        Ok(screen)
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// Draw all of it the next time, whatever somebody else wrote.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        let size = self.terminal.size()?;
        // Not `clear`: it asks the terminal where the cursor is, and whoever reads the keys would get the
        // answer.
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Stop until the shell goes on with this. Returns whether there is a shell that could.
    pub(crate) fn suspend(&mut self) -> io::Result<bool> {
        // The first process of a terminal has nobody who would wake it.
        if getsid(None).is_ok_and(|leader| leader == getpid()) {
            return Ok(false);
        }
        give_back();
        // All of the job, as a terminal does it. It ends when the shell says to go on.
        kill_current_process_group(Signal::STOP)?;
        take()?;
        self.forget()?;
        Ok(true)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// As it was. Nobody is left to hear of an error.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

fn give_back_before_a_panic_is_told() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}
