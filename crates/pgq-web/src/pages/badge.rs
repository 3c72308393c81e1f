//! A state in a word, a shape and a colour.

use maud::{Markup, html};

use super::icon::Icon;
use super::shown::shown;

/// How it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Calm,
    Good,
    Busy,
    Warn,
    Bad,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Tone::Calm => "calm",
            Tone::Good => "good",
            Tone::Busy => "busy",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
        }
    }
}

pub(crate) fn badge(tone: Tone, icon: Icon, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (icon.svg()) (shown(text)) } }
}

/// The status of a job, in PgQueuer's word.
pub(crate) fn status(label: &str) -> Markup {
    let (tone, icon) = match label {
        "queued" => (Tone::Calm, Icon::Queued),
        "picked" => (Tone::Busy, Icon::Running),
        "successful" => (Tone::Good, Icon::Done),
        "failed" | "exception" => (Tone::Bad, Icon::Failed),
        "canceled" => (Tone::Warn, Icon::Canceled),
        _ => (Tone::Warn, Icon::Removed),
    };
    badge(tone, icon, label)
}
