//! Charts as the server draws them: they need no script, and each has its numbers as a table.
//!
//! Shapes are in an SVG that is stretched to the width that there is; what is written stands beside
//! it as text. No style is inline, which the page's policy forbids.

use std::fmt::Write as _;

use maud::{Markup, html};

const SLOT: f64 = 10.0;
const HEIGHT: f64 = 100.0;

/// What is drawn of each moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    /// A class that gives it colour and, without it, a pattern or a dash.
    pub(crate) class: &'static str,
}

/// A moment.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) label: String,
    /// One value for each series; `None`: nothing is known.
    pub(crate) values: Vec<Option<f64>>,
}

/// A chart with what is written beside it.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// The most important of it in a sentence.
    pub(crate) summary: String,
    pub(crate) series: &'a [Series],
    pub(crate) moments: &'a [Moment],
    pub(crate) unit: fn(f64) -> String,
}

/// The next number above it that has one digit, or ends with 5.
fn above(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let scale = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].iter().map(|step| step * scale).find(|top| *top >= most).unwrap_or(most)
}

impl Chart<'_> {
    /// As columns, one series on the other.
    pub(crate) fn columns(&self) -> Markup {
        let sum = |moment: &Moment| moment.values.iter().flatten().sum::<f64>();
        let top = above(self.moments.iter().map(sum).fold(0.0, f64::max));
        let column = |place: usize, moment: &Moment| {
            let mut floor = HEIGHT;
            let parts = self.series.iter().zip(&moment.values).filter_map(|(series, value)| {
                let value = value.filter(|value| *value > 0.0)?;
                // A single failure among thousands is seen, too.
                let height = (value / top * HEIGHT).max(1.2);
                floor -= height;
                Some((series.class, floor.max(0.0), height))
            });
            let parts: Vec<_> = parts.collect();
            html! {
                @for (class, y, height) in parts {
                    rect class={ "fill " (class) } x=(number(at(place) + 1.2)) y=(number(y)) width=(number(SLOT - 2.4)) height=(number(height)) {}
                }
            }
        };
        self.figure(top, &column, html! {})
    }

    /// As lines.
    pub(crate) fn lines(&self) -> Markup {
        let values = self.moments.iter().flat_map(|moment| moment.values.iter().flatten());
        let top = above(values.copied().fold(0.0, f64::max));
        let y = |value: f64| HEIGHT - value / top * HEIGHT;
        let lines = html! {
            @for (place, series) in self.series.iter().enumerate() {
                path class={ "line " (series.class) } d=(line(self.moments, place, y)) {}
            }
        };
        let none = |_: usize, _: &Moment| html! {};
        self.figure(top, &none, lines)
    }

    fn figure(&self, top: f64, column: &dyn Fn(usize, &Moment) -> Markup, over: Markup) -> Markup {
        let width = at(self.moments.len().max(1));
        let labels = self.moments.len().saturating_sub(1).max(1);
        let marks = [0, labels / 4, labels / 2, labels * 3 / 4, labels];
        html! {
            figure.chart {
                figcaption {
                    span.chart-title { (self.title) }
                    ul.legend { @for series in self.series { li { svg.key viewBox="0 0 14 14" aria-hidden="true" { rect class={ "fill " (series.class) } width="14" height="14" rx="3" {} } (series.name) } } }
                }
                div.plot {
                    div.y aria-hidden="true" { span { ((self.unit)(top)) } span { ((self.unit)(top / 2.0)) } span { ((self.unit)(0.0)) } }
                    svg viewBox={ "0 0 " (number(width)) " " (number(HEIGHT)) } preserveAspectRatio="none" role="img" aria-label={ (self.title) ". " (self.summary) } {
                        @for y in ["0.5", "50", "99.5"] { line.grid x1="0" x2=(number(width)) y1=(y) y2=(y) {} }
                        @for (place, moment) in self.moments.iter().enumerate() {
                            g.slot data-tip=(self.tip(moment)) {
                                rect.hit x=(number(at(place))) y="0" width=(number(SLOT)) height=(number(HEIGHT)) {}
                                (column(place, moment))
                            }
                        }
                        (over)
                    }
                }
                div.x aria-hidden="true" { @for mark in marks { span { (self.moments.get(mark).map_or("", |moment| moment.label.as_str())) } } }
                details.numbers { summary { "The numbers" } (self.table()) }
            }
        }
    }

    fn tip(&self, moment: &Moment) -> String {
        self.series.iter().zip(&moment.values).fold(moment.label.clone(), |mut tip, (series, value)| {
            let value = value.map_or_else(|| "\u{2013}".into(), self.unit);
            // Writing to a string never fails.
            let _ = write!(tip, "\n{}: {value}", series.name);
            tip
        })
    }

    fn table(&self) -> Markup {
        html! {
            div.scroll tabindex="0" role="region" aria-label={ (self.title) ", the numbers" } {
                table {
                    thead { tr { th scope="col" { "Time" } @for series in self.series { th.n scope="col" { (series.name) } } } }
                    tbody {
                        @for moment in self.moments.iter().rev() {
                            tr {
                                th scope="row" { (moment.label) }
                                @for value in &moment.values { td.n { (value.map_or_else(|| "\u{2013}".into(), self.unit)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where this slot begins.
fn at(place: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen slots")]
    let place = place as f64;
    place * SLOT
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

/// The values of a series, with a gap where nothing is known.
fn line(moments: &[Moment], series: usize, y: impl Fn(f64) -> f64) -> String {
    let (mut path, mut draws) = (String::new(), false);
    for (place, moment) in moments.iter().enumerate() {
        let Some(value) = moment.values.get(series).copied().flatten() else {
            draws = false;
            continue;
        };
        let (x, y) = (number(at(place) + SLOT / 2.0), number(y(value)));
        // Writing to a string never fails. A point alone is a short line.
        let _ = if draws { write!(path, "L{x} {y}") } else { write!(path, "M{x} {y}h0.1") };
        draws = true;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_draws_what_its_table_says() {
        let moments: Vec<Moment> = [(Some(90.0), Some(0.0)), (None, None), (Some(10.0), Some(0.1))]
            .into_iter()
            .map(|(done, failed)| Moment { label: "12:00".into(), values: vec![done, failed] })
            .collect();
        let series = [Series { name: "done", class: "s-done" }, Series { name: "<failed>", class: "s-failed" }];
        let unit = |value: f64| format!("{value}");
        let chart = Chart { title: "Ends", summary: "x".into(), series: &series, moments: &moments, unit };
        let columns = chart.columns().into_string();
        assert_eq!(columns.matches("<rect class=\"fill s-done\" x").count(), 2, "{columns}");
        assert!(columns.contains("height=\"90.0\"") && columns.contains("height=\"1.2\""), "{columns}");
        assert!(columns.contains("&lt;failed&gt;: 0.1") && !columns.contains("style="), "{columns}");
        assert_eq!(line(&moments, 0, |value| value), "M5.0 90.0h0.1M25.0 10.0h0.1");
        assert_eq!([above(0.0), above(7.0), above(120.0)], [1.0, 8.0, 200.0]);
    }
}
