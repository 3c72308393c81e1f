//! Characters of a foreign text that nobody would see, or that would do something to a screen.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Controls, and what changes the direction of text or has no width. A line break and a tab are not.
pub fn is_odd(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        _ if c.is_control() => true,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// The text with each of them written out, like `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let written = text.chars().fold(String::with_capacity(text.len() + 16), |mut written, c| {
        if is_odd(c) {
            // Writing to a string never fails.
            let _ = write!(written, "\\u{{{:x}}}", u32::from(c));
        } else {
            written.push(c);
        }
        written
    });
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_is_written_out() {
        assert_eq!(visible("größe\n\t"), "größe\n\t");
        assert_eq!(visible("a\u{202e}b\u{1b}[2J\r"), "a\\u{202e}b\\u{1b}[2J\\u{d}");
        assert_eq!(visible("\u{e0041}\u{200b}"), "\\u{e0041}\\u{200b}");
    }
}
