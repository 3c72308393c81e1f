//! Makes foreign text safe to show: on one line, and unable to control a terminal or forge a line.
//!
//! Text from guests, producers, file names and the database's own messages ends up in logs, tables
//! and errors. A line break in it could forge one of our lines, an escape sequence could move the
//! cursor or set the title, and a bidirectional override could show different text from what is
//! there.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Whether a character is shown as an escape: control characters (C0, DEL, C1), Unicode's two line
/// separators, and the marks that change the direction of text.
pub fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with `\n`, `\t`, `\x1b` or `\u{202e}` where necessary.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // Writing to a string never fails.
    let _ = Escaping::of(&mut shown).write_str(text);
    Cow::Owned(shown)
}

/// The same for text of several lines. All but the first are indented, so that none of them looks
/// like a line of its own. Tabs, by which other languages indent theirs, are spaces.
pub fn printable_lines(text: &str, indent: &str) -> String {
    let text = text.trim_end().replace('\t', "    ");
    text.split('\n').map(printable).collect::<Vec<_>>().join(&format!("\n{indent}"))
}

/// At most `bytes` bytes of the text, ending at a character boundary.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Escapes what is written through it, up to a number of bytes, and counts the rest.
pub struct Escaping<'a> {
    to: &'a mut dyn Write,
    left: usize,
    cut: usize,
}

impl<'a> Escaping<'a> {
    pub fn of(to: &'a mut dyn Write) -> Self {
        Escaping::at_most(usize::MAX, to)
    }

    /// Limit the text to about this many bytes.
    pub fn at_most(bytes: usize, to: &'a mut dyn Write) -> Self {
        Escaping { to, left: bytes, cut: 0 }
    }

    /// Write how much was cut, if anything was.
    pub fn finish(self) -> fmt::Result {
        match self.cut {
            0 => Ok(()),
            cut => write!(self.to, "... [{cut} bytes more]"),
        }
    }

    fn plain(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, self.left);
        self.cut += text.len() - kept.len();
        // The first piece that does not fit ends the text: a shorter one must not follow after a
        // gap.
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
        assert_eq!(printable_lines("main.lookup()\n\tfaults.go:73\n", "  "), "main.lookup()\n      faults.go:73");
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
