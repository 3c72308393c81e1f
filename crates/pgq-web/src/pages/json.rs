//! JSON with line breaks and colours: the same digits and characters as stored, only set out.

use maud::{Markup, html};

use super::shown::shown;

/// Deeper than this, nothing is set out further.
const DEEPEST: usize = 40;

/// A text that is JSON.
pub(crate) fn pretty(json: &str) -> Markup {
    let tokens = tokens(json);
    html! {
        @for (class, text) in &tokens {
            @match class {
                Some(class) => span class=(class) { (shown(text)) },
                None => (text),
            }
        }
    }
}

fn tokens(json: &str) -> Vec<(Option<&'static str>, String)> {
    let (mut tokens, mut depth, mut rest) = (Vec::new(), 0_usize, json);
    let line = |depth: usize| format!("\n{}", "  ".repeat(depth.min(DEEPEST)));
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => string(rest),
            '{' | '[' => {
                let close = rest[1..].trim_start();
                if close.starts_with(['}', ']']) {
                    let length = rest.len() - close.len() + 1;
                    tokens.push((None, format!("{c}{}", &close[..1])));
                    length
                } else {
                    depth += 1;
                    tokens.push((None, format!("{c}{}", line(depth))));
                    1
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                tokens.push((None, format!("{}{c}", line(depth))));
                1
            }
            ',' => {
                tokens.push((None, format!(",{}", line(depth))));
                1
            }
            ':' => {
                tokens.push((None, ": ".into()));
                1
            }
            c if c.is_whitespace() => c.len_utf8(),
            _ => {
                let end = rest.find(|c: char| ",:{}[]\"".contains(c) || c.is_whitespace()).unwrap_or(rest.len());
                let class = if rest.starts_with(['t', 'f', 'n']) { "j-word" } else { "j-number" };
                tokens.push((Some(class), rest[..end].to_owned()));
                end
            }
        };
        if c == '"' {
            let is_key = rest[length..].trim_start().starts_with(':');
            tokens.push((Some(if is_key { "j-key" } else { "j-text" }), rest[..length].to_owned()));
        }
        rest = &rest[length..];
    }
    tokens
}

/// The length of the string that this begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_set_out_to_the_last_digit() {
        let text = |json: &str| tokens(json).into_iter().map(|(_, text)| text).collect::<String>();
        assert_eq!(
            text(r#"{"a":[1e400, {}],"b\"":null,"c":[ ]}"#),
            "{\n  \"a\": [\n    1e400,\n    {}\n  ],\n  \"b\\\"\": null,\n  \"c\": []\n}"
        );
        assert_eq!(text("\"gr\u{f6}\u{df}e\""), "\"gr\u{f6}\u{df}e\"");
        assert_eq!(text("\"open"), "\"open");
        assert!(text(&"[1,".repeat(10_000)).len() < 2_000_000, "bounded");
        let html = pretty("{\"<b>\":\"\u{202e}</script>\"}").into_string();
        assert!(html.contains("&lt;b&gt;") && html.contains("&lt;/script&gt;") && !html.contains('\u{202e}'), "{html}");
    }
}
