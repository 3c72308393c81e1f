//! How jobs ended in the last hour.

use maud::{Markup, html};
use pgq_queue::Overview;

use crate::pages::chart::{Chart, Moment, Series};
use crate::pages::units::{count, percent};

const ENDS: [Series; 3] = [
    Series { name: "successful", class: "s-done" },
    Series { name: "canceled", class: "s-other" },
    Series { name: "failed for good", class: "s-failed" },
];
const BALANCE: [Series; 2] = [Series { name: "enqueued", class: "s-queued" }, Series { name: "ended", class: "s-done" }];

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
pub(super) fn charts(overview: &Overview) -> Markup {
    let minute = |values: fn(&pgq_queue::Outcomes) -> Vec<i64>| {
        let moment = |minute: &pgq_queue::Minute| Moment {
            label: minute.at.format("%H:%M").to_string(),
            values: values(&minute.outcomes).into_iter().map(|value| Some(value as f64)).collect(),
        };
        overview.minutes.iter().map(moment).collect::<Vec<_>>()
    };
    let ends = minute(|ends| vec![ends.successful, ends.canceled + ends.deleted, ends.failed + ends.exception]);
    let balance = minute(|ends| vec![ends.queued, ends.ended()]);
    let total = |of: fn(&pgq_queue::Outcomes) -> i64| overview.minutes.iter().map(|minute| of(&minute.outcomes)).sum::<i64>();
    let (ended, failed) = (total(pgq_queue::Outcomes::ended), total(|ends| ends.failed + ends.exception));
    let queued = total(|ends| ends.queued);
    let ends_chart = Chart {
        title: "Ends per minute",
        summary: format!("{} jobs ended in the last hour, {} failed for good.", count(ended), percent(failed as f64, ended as f64)),
        series: &ENDS,
        moments: &ends,
        unit: jobs,
    };
    let balance_chart = Chart {
        title: "In and out per minute",
        summary: format!("{} jobs were enqueued in the last hour, {} ended.", count(queued), count(ended)),
        series: &BALANCE,
        moments: &balance,
        unit: jobs,
    };
    html! {
        section.grid-2 aria-label="The last hour" {
            div.panel { (ends_chart.columns()) }
            div.panel { (balance_chart.lines()) }
        }
        @if overview.minutes_cut { p.muted.small { "More was logged than is counted for a look: these numbers are too small." } }
    }
}
