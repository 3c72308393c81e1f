//! A job's payload and its output.

use maud::{Markup, html};
use pgq_queue::{Content, JobReport, Shape};

use crate::pages::desk::Desk;
use crate::pages::json::pretty;
use crate::pages::shown::shown;
use crate::pages::units::{ago, bytes};

/// Digits of a line of a dump, two for each byte.
const LINE: usize = 64;

/// `all`: whether the visitor may see them.
pub(super) fn bodies(desk: &Desk, job: &JobReport, all: bool) -> Markup {
    let payload = job.row.as_ref().map(|row| &row.payload);
    let whole = desk.link(&format!("/jobs/{}/payload", job.id));
    html! {
        @if let Some(payload) = payload {
            section.panel {
                h2 { "Payload" @if let Some(content) = payload { span.muted { " " (kind(content)) } } }
                @match payload {
                    None => p.muted { "The job has none." },
                    Some(_) if !all => p.muted { "Payloads are shown to operators." },
                    Some(content) => (self::content(content, Some(&whole))),
                }
            }
        }
        @if let Some(output) = &job.output {
            section.panel {
                h2 { "Output" span.muted { " " (kind(&output.content)) ", " (ago(output.at)) } }
                @if all { (content(&output.content, None)) } @else { p.muted { "Outputs are shown to operators." } }
            }
        }
    }
}

fn kind(content: &Content) -> String {
    let kind = match content.shape {
        Shape::Json(_) => "JSON",
        Shape::Text(_) => "text",
        Shape::Hex(_) => "bytes",
        Shape::Sealed(_) => "sealed",
    };
    format!("{kind}, {}", bytes(i64::try_from(content.bytes).unwrap_or(i64::MAX)))
}

fn content(content: &Content, whole: Option<&str>) -> Markup {
    html! {
        @match &content.shape {
            _ if content.bytes == 0 => p.muted { "It is empty." },
            Shape::Json(json) => pre.code tabindex="0" { (pretty(json.get())) },
            Shape::Text(text) => pre.code tabindex="0" { (shown(text)) },
            Shape::Hex(digits) => pre.code tabindex="0" { (dump(digits)) },
            Shape::Sealed(sealed) => p.muted { "It is sealed with the key " code { (shown(&sealed.key)) } ". Who has that key opens it with " code { "pgq-host sealing open" } "." },
        }
        @if content.cut && !matches!(content.shape, Shape::Sealed(_)) { p.muted { "Only the beginning is shown." } }
        @if let Some(whole) = whole && content.bytes > 0 { p { a href=(whole) download { "Download the payload" } } }
    }
}

/// With the place of each line.
fn dump(digits: &str) -> String {
    let lines = digits.as_bytes().chunks(LINE).enumerate().map(|(line, digits)| {
        let pairs: Vec<&str> = digits.chunks(4).filter_map(|pair| std::str::from_utf8(pair).ok()).collect();
        format!("{:06x}  {}", line * LINE / 2, pairs.join(" "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_all_digits() {
        assert_eq!(dump("00ff1"), "000000  00ff 1");
        assert_eq!(dump(&"ab".repeat(33)).lines().last(), Some("000020  ab"));
    }
}
