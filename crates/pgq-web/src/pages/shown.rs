//! Text of others on a page. It is never markup, and nothing in it is invisible or turns text around.

use maud::{Markup, html};
use pgq_job::is_odd;

/// Characters of a text that a table cell shows.
const CELL: usize = 160;

/// All of it.
pub(crate) fn shown(text: &str) -> Markup {
    let odd = |c: &char| is_odd(*c);
    if !text.chars().any(is_odd) {
        return html! { (text) };
    }
    let (mut rest, mut parts) = (text, Vec::new());
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| odd(c)) {
        parts.push((&rest[..at], Some(c)));
        rest = &rest[at + c.len_utf8()..];
    }
    parts.push((rest, None));
    html! {
        @for (plain, odd) in parts {
            (plain)
            @if let Some(c) = odd {
                span.odd title={ "the character U+" (format!("{:04X}", u32::from(c))) } { "U+" (format!("{:04X}", u32::from(c))) }
            }
        }
    }
}

/// The beginning of it, and all of it for whoever points at it.
pub(crate) fn brief(text: &str) -> Markup {
    cut(text, CELL)
}

/// The first so many characters of its first line.
pub(crate) fn cut(text: &str, most: usize) -> Markup {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(most) {
        None if line.len() == text.len() => shown(text),
        end => {
            let end = end.map_or(line.len(), |(at, _)| at);
            let title: String = text.chars().take(2_000).map(|c| if is_odd(c) { '\u{fffd}' } else { c }).collect();
            html! { span title=(title) { (shown(&line[..end])) "\u{2026}" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup_and_hides_nothing() {
        assert_eq!(shown("<b>&\"").into_string(), "&lt;b&gt;&amp;&quot;");
        let odd = shown("a\u{202e}b\u{1b}[2J\n").into_string();
        assert!(odd.contains("a<span class=\"odd\" title=\"the character U+202E\">U+202E</span>b"), "{odd}");
        assert!(odd.contains("U+001B</span>[2J\n") && !odd.contains('\u{1b}'), "{odd}");
        let brief = cut("ab\u{202e}cd\nef", 3).into_string();
        assert!(
            brief.starts_with("<span title=\"ab\u{fffd}cd\nef\">ab<span") && brief.ends_with("\u{2026}</span>"),
            "{brief}"
        );
        assert_eq!(cut("größe", 5).into_string(), "größe");
        assert!(cut("größer", 5).into_string().ends_with(">größe\u{2026}</span>"));
    }
}
