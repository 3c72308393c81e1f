//! Text of others, made fit to be shown: on one line, and without a say in what a terminal does or
//! where a line ends.
//!
//! Guests, producers, file names and the database's own messages all end up in logs, tables and
//! errors. A line break in one of them would make up a line of ours, an escape sequence would move
//! the cursor or set the title, and a bidirectional override would show another text than the one
//! that is there.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// What is shown as an escape: control characters (C0, DEL, C1), Unicode's two line ends, and the
/// marks that change the direction of text.
pub fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, as `\n`, `\t`, `\x1b` or `\u{202e}` where it has to be.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // A string takes everything.
    let _ = Escaping::of(&mut shown).write_str(text);
    Cow::Owned(shown)
}

/// The same for text of several lines, of which all but the first are indented: none of them can
/// pass for a line of somebody else.
pub fn printable_lines(text: &str, indent: &str) -> String {
    text.trim_end().split('\n').map(printable).collect::<Vec<_>>().join(&format!("\n{indent}"))
}

/// At most so many bytes of it, ending at a character.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Escapes what is written through it, up to a number of bytes; the rest is counted.
pub struct Escaping<'a> {
    to: &'a mut dyn Write,
    left: usize,
    cut: usize,
}

impl<'a> Escaping<'a> {
    pub fn of(to: &'a mut dyn Write) -> Self {
        Escaping::at_most(usize::MAX, to)
    }

    /// About so many bytes of it.
    pub fn at_most(bytes: usize, to: &'a mut dyn Write) -> Self {
        Escaping { to, left: bytes, cut: 0 }
    }

    /// Say how much is missing, if anything is.
    pub fn finish(self) -> fmt::Result {
        match self.cut {
            0 => Ok(()),
            cut => write!(self.to, "... [{cut} bytes more]"),
        }
    }

    fn plain(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, self.left);
        self.cut += text.len() - kept.len();
        // What does not fit ends it: nothing that is shorter may follow behind a gap.
        self.left = if kept.len() < text.len() { 0 } else { self.left - kept.len() };
        self.to.write_str(kept)
    }
}

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unfit) {
            self.plain(&rest[..at])?;
            let unfit = rest[at..].chars().next().unwrap_or_default();
            rest = &rest[at + unfit.len_utf8()..];
            if self.left == 0 {
                self.cut += unfit.len_utf8();
                continue;
            }
            let escape = match unfit {
                '\n' => "\\n".into(),
                '\r' => "\\r".into(),
                '\t' => "\\t".into(),
                c if c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
                c => format!("\\u{{{:x}}}", u32::from(c)),
            };
            self.left = self.left.saturating_sub(escape.len());
            self.to.write_str(&escape)?;
        }
        self.plain(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_make_up_a_line_or_drive_a_terminal_is_escaped() {
        assert_eq!(printable("plain, äöü \u{1F600} C:\\new"), "plain, äöü \u{1F600} C:\\new");
        assert_eq!(printable("a\nb\r\tc\0"), "a\\nb\\r\\tc\\x00");
        assert_eq!(printable("\x1b[31m\x07\x7f\u{9b}2J"), "\\x1b[31m\\x07\\x7f\\u{9b}2J");
        assert_eq!(printable("\u{2028}\u{202e}evil\u{2066}"), "\\u{2028}\\u{202e}evil\\u{2066}");
        for c in (0..=0x10FFFF).filter_map(char::from_u32) {
            let shown = printable(&c.to_string()).into_owned();
            assert!(!shown.contains(is_unfit), "{c:?} is shown as {shown:?}");
        }
    }

    #[test]
    fn lines_behind_the_first_are_indented() {
        assert_eq!(printable_lines("one\ntwo\x1b\n", "  "), "one\n  two\\x1b");
    }

    #[test]
    fn what_is_too_long_is_cut_between_two_characters_and_counted() {
        let cut = |most: usize, text: &str| {
            let mut shown = String::new();
            let mut escaping = Escaping::at_most(most, &mut shown);
            escaping.write_str(text).expect("written");
            escaping.finish().expect("written");
            shown
        };
        assert_eq!(cut(4, "four"), "four");
        assert_eq!(cut(4, "five5"), "five... [1 bytes more]");
        assert_eq!(cut(3, "naïve"), "na... [4 bytes more]");
        assert_eq!(cut(2, "\n\n\n"), "\\n... [2 bytes more]");
    }
}
