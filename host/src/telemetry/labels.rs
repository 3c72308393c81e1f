//! Series in Prometheus' text format, of metrics that are written at each scrape. They are not
//! registered: a registered gauge would keep its last value after its plugin or entrypoint is removed.

use std::fmt::Write as _;

use super::catalog::CATALOG;

/// Labels in text format, to append to a metric's name.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Labels(String);

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    Labels(format!("{{{}}}", pairs.join(",")))
}

/// Append a metric of the catalog to the page, with its series. One without any is left out.
pub(super) fn family(page: &mut String, name: &str, series: &[(Labels, f64)]) {
    let Some(metric) = CATALOG.iter().find(|metric| metric.name == name).filter(|_| !series.is_empty()) else { return };
    let _ = writeln!(page, "# HELP {name} {}\n# TYPE {name} {}", metric.help, metric.kind.label());
    for (labels, value) in series {
        let _ = writeln!(page, "{name}{labels} {value}", labels = labels.0);
    }
    page.push('\n');
}

/// The same, of one number.
pub(super) fn number(page: &mut String, name: &str, value: f64) {
    family(page, name, &[(Labels::default(), value)]);
}
