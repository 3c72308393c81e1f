//! Text of a guest's as people may be shown it: one line, and nothing in it that a terminal obeys.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Every character that is not to be seen as it is written in a Rust string: `\n`, `\u{1b}`.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters; what ends a line in some editors; and what turns the direction of what follows.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forges_lines_or_moves_cursors_is_seen_and_all_else_stays() {
        assert!(matches!(visible("caf\u{e9}\t\u{2603}"), Cow::Borrowed(_)));
        assert_eq!(visible("a\nb\r\u{1b}[31m\u{85}\u{2028}\u{202e}\0"), "a\\nb\\r\\u{1b}[31m\\u{85}\\u{2028}\\u{202e}\\u{0}");
    }
}
