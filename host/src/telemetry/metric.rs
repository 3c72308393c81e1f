//! A metric as it is declared.

/// What it is called, what it means, and which labels it has.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub section: Section,
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// As PgQueuer exports its own.
    Untyped,
}

/// Where docs/metrics.md lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Jobs,
    Queue,
    PgQueuer,
    Rows,
    Schedules,
    Plugins,
    Database,
    Host,
    Process,
}

impl Kind {
    /// As in the text format.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Untyped => "untyped",
        }
    }
}

impl Section {
    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Section::Jobs => "Jobs",
            Section::Queue => "The queue",
            Section::PgQueuer => "PgQueuer's names",
            Section::Rows => "Old rows",
            Section::Schedules => "Schedules",
            Section::Plugins => "Plugins",
            Section::Database => "The database",
            Section::Host => "The host",
            Section::Process => "The process",
        }
    }
}
