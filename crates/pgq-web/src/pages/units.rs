//! Times on a page, which tell more to whoever points at them. Numbers are those of [`pgq_job::units`].

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};
pub(crate) use pgq_job::units::{bytes, count, many, micros, percent, span};

/// How far away it is, and when it is.
pub(crate) fn ago(at: DateTime<Utc>) -> Markup {
    let text = pgq_job::units::ago(at, Utc::now());
    html! { time datetime=(iso(at)) title=(at.format("%Y-%m-%d %H:%M:%S%.3f UTC")) { (text) } }
}

/// A time of a day, exactly.
pub(crate) fn clock(at: DateTime<Utc>) -> Markup {
    html! { time.mono datetime=(iso(at)) { (at.format("%Y-%m-%d %H:%M:%S%.3f")) } }
}

/// A time of a day to the second, as schedules have them.
pub(crate) fn second(at: DateTime<Utc>) -> Markup {
    html! { time.mono datetime=(iso(at)) { (at.format("%Y-%m-%d %H:%M:%S")) } }
}

fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
