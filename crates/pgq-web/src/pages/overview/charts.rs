//! How jobs ended in the last hour, and how long their runs took.

use maud::{Markup, html};
use pgq_queue::{MinuteTimes, Overview};

use crate::pages::chart::{Chart, Moment, Series};
use crate::pages::units::{count, micros, percent, span};

const ENDS: [Series; 3] = [
    Series { name: "successful", class: "s-done" },
    Series { name: "canceled", class: "s-other" },
    Series { name: "failed for good", class: "s-failed" },
];
const TIMES: [Series; 2] = [Series { name: "p95", class: "s-p95" }, Series { name: "p50", class: "s-p50" }];

#[expect(clippy::cast_possible_truncation, reason = "a count of jobs")]
fn jobs(value: f64) -> String {
    match value.abs() {
        million if million >= 1e6 => format!("{:.1}M", value / 1e6),
        thousand if thousand >= 1e4 => format!("{:.0}k", value / 1e3),
        whole if whole.fract() == 0.0 => count(value as i64),
        _ => format!("{value:.1}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts for a chart")]
pub(super) fn charts(overview: &Overview, latency: &[MinuteTimes]) -> Markup {
    let minute = |values: fn(&pgq_queue::Outcomes) -> Vec<i64>| {
        let moment = |minute: &pgq_queue::Minute| Moment {
            label: minute.at.format("%H:%M").to_string(),
            values: values(&minute.outcomes).into_iter().map(|value| Some(value as f64)).collect(),
        };
        overview.minutes.iter().map(moment).collect::<Vec<_>>()
    };
    let ends = minute(|ends| vec![ends.successful, ends.canceled + ends.deleted, ends.failed + ends.exception]);
    let time = |minute: &pgq_queue::Minute| {
        let times = latency.iter().find(|times| times.at == minute.at);
        let seconds = |of: fn(&MinuteTimes) -> i64| times.map(|times| of(times) as f64 / 1e6);
        let values = vec![seconds(|times| times.p95_us), seconds(|times| times.p50_us)];
        Moment { label: minute.at.format("%H:%M").to_string(), values }
    };
    let times: Vec<Moment> = overview.minutes.iter().map(time).collect();
    let total =
        |of: fn(&pgq_queue::Outcomes) -> i64| overview.minutes.iter().map(|minute| of(&minute.outcomes)).sum::<i64>();
    let (ended, failed) = (total(pgq_queue::Outcomes::ended), total(|ends| ends.failed + ends.exception));
    let ends_chart = Chart {
        title: "Ends per minute",
        summary: format!(
            "{} jobs were enqueued in the last hour, {} ended, {} of them failed for good.",
            count(total(|ends| ends.queued)),
            count(ended),
            percent(failed as f64, ended as f64)
        ),
        series: &ENDS,
        moments: &ends,
        unit: jobs,
    };
    let now = match &overview.runs {
        Some(runs) => format!(
            "Of the latest runs, half took up to {}, and 95 % up to {}.",
            micros(runs.p50_us),
            micros(runs.p95_us)
        ),
        None => "Nothing has run lately.".to_owned(),
    };
    let times_chart = Chart { title: "Run time", summary: now, series: &TIMES, moments: &times, unit: span };
    html! {
        section.grid-2 aria-label="The last hour" {
            div.panel { (ends_chart.columns()) }
            div.panel { (times_chart.lines()) }
        }
        @if overview.minutes_cut { p.muted.small { "More was logged than is counted for a look: these numbers are too small." } }
    }
}
