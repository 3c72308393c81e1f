//! Which of the newest additions to the schema the database has. A worker goes without the others
//! until its next start, so that hosts and schema may be rolled in either order
//! (migrations/README.md, expand and contract).

use sqlx::FromRow;

/// Tables and columns that are there, and that this role may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct SchemaFeatures {
    /// Which version ran each attempt is noted.
    pub attempts: bool,
    /// What hosts write to the log is counted at once. Without it, the next count finds it, as
    /// PgQueuer does it.
    pub tally: bool,
    /// Hosts announce themselves.
    pub hosts: bool,
    /// A host's sessions are a sign of its life. Without it, its leases are.
    pub presence: bool,
    /// Jobs of a lost worker are run apart. Without it, they are charged with the loss.
    pub suspects: bool,
    /// Verdicts on versions of plugins outlive the host that found them out.
    pub verdicts: bool,
    /// Deaths of hosts are noted. Without it, every claim is marked.
    pub deaths: bool,
    /// Old rows can be removed step by step.
    pub retention: bool,
    /// Attempts have the host, processor time and traffic of a run.
    pub figures: bool,
    /// What runs printed is kept.
    pub lines: bool,
    /// Operators can pause entrypoints, plugins or all.
    pub pauses: bool,
    /// Who changes what by hand is noted.
    pub audit: bool,
    /// Handlers can commit their rows with their outcome. Without it, none uses the database.
    pub handlers: bool,
    /// Attempts have whether they failed, and the jobs that they enqueued.
    pub follow_ups: bool,
    /// Operators can pause and edit schedules.
    pub adjustments: bool,
    /// Causes of failures are counted. Without it, only the newest failures are looked at.
    pub causes: bool,
    /// Versions of plugins have the keys that signed them.
    pub signers: bool,
}

impl SchemaFeatures {
    /// Those of the database after an `upgrade` by this release.
    pub const ALL: SchemaFeatures = SchemaFeatures {
        attempts: true,
        tally: true,
        hosts: true,
        presence: true,
        suspects: true,
        verdicts: true,
        deaths: true,
        retention: true,
        figures: true,
        lines: true,
        pauses: true,
        audit: true,
        handlers: true,
        follow_ups: true,
        adjustments: true,
        causes: true,
        signers: true,
    };

    /// What is missing, in words.
    pub fn missing(self) -> Vec<&'static str> {
        let all = [
            (self.attempts, "attempts"),
            (self.tally, "tally"),
            (self.hosts, "hosts"),
            (self.presence, "presence"),
            (self.suspects, "suspects"),
            (self.verdicts, "verdicts"),
            (self.deaths, "deaths"),
            (self.retention, "retention"),
            (self.figures, "figures"),
            (self.lines, "lines"),
            (self.pauses, "pauses"),
            (self.audit, "audit"),
            (self.handlers, "handlers"),
            (self.follow_ups, "follow_ups"),
            (self.adjustments, "adjustments"),
            (self.causes, "causes"),
            (self.signers, "signers"),
        ];
        all.into_iter().filter_map(|(is_there, name)| (!is_there).then_some(name)).collect()
    }
}
