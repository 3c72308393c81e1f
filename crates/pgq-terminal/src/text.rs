//! Text of others in a terminal: made harmless, measured, cut and wrapped.

use std::borrow::Cow;

use pgq_job::printable::{is_unfit, printable};
use ratatui::text::Span;

/// Bytes of a text that a cell of a table can show at all.
const CELL_BYTES: usize = 1_000;

/// The beginning of a text, on one line, without anything that could drive a terminal.
pub(crate) fn safe(text: &str) -> String {
    let brief = &text[..text.floor_char_boundary(CELL_BYTES)];
    printable(brief).into_owned()
}

/// How many columns it takes.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// At most so many columns of it; three dots stand for the rest.
pub(crate) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut cut = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += width(c.encode_utf8(&mut [0; 4]));
        if taken + 1 > columns {
            break;
        }
        cut.push(c);
    }
    if columns > 0 {
        cut.push('\u{2026}');
    }
    Cow::Owned(cut)
}

/// Lines of at most so many columns, harmless. Words are kept whole where they fit.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line).replace('\t', "    ");
        wrap_line(&printable(&line), columns, &mut lines);
    }
    lines
}

fn wrap_line(line: &str, columns: usize, lines: &mut Vec<String>) {
    let mut rest = line;
    loop {
        let (mut taken, mut end, mut space) = (0, rest.len(), None);
        for (at, c) in rest.char_indices() {
            taken += width(c.encode_utf8(&mut [0; 4]));
            if taken > columns {
                end = at;
                break;
            }
            if c == ' ' && at > 0 {
                space = Some(at);
            }
        }
        if end == rest.len() {
            lines.push(rest.to_owned());
            return;
        }
        // A character that is wider than a line takes one all the same.
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let (end, skipped) = match space.filter(|space| *space * 2 > end) {
            Some(space) => (space, 1),
            None => (end.max(first), 0),
        };
        lines.push(rest[..end].to_owned());
        rest = &rest[end + skipped..];
        if rest.is_empty() {
            return;
        }
    }
}

/// Whether a terminal may be given this.
pub(crate) fn is_harmless(text: &str) -> bool {
    !text.contains(is_unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_wrapped_by_the_columns_that_they_take() {
        assert_eq!(fit("größe", 5), "größe");
        assert_eq!(fit("größer", 5), "größ…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij\n\nk", 4), ["abcd", "efgh", "ij", "", "k"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"]);
        assert_eq!(wrap("a\u{1b}[2Jb\tc", 80), ["a\\x1b[2Jb    c"]);
        assert_eq!(wrap("", 80), [""]);
    }

    #[test]
    fn nothing_of_a_text_can_drive_a_terminal() {
        let hostile = "\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\r\n\u{0}";
        assert!(is_harmless(&safe(hostile)) && wrap(hostile, 9).iter().all(|line| is_harmless(line)));
        assert!(!is_harmless(hostile));
    }
}
