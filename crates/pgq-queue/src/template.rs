//! A statement's file, made into what is sent: with the names of this deployment, and without what
//! the database has not.
//!
//! The files under `sql/` are valid SQL with PgQueuer's default names, so that they can be pasted
//! into psql as they are. A name is swapped as a whole word. A part that needs an addition to the
//! schema stands between `/* IF feature */` and `/* END */`, or between `/* IF feature */` and `/*
//! ELSE what is there without it */`. `marked` stands like a feature for a claim that writes to the
//! rows of its jobs; without it, a claim only locks them. Comments are not sent.

use super::SchemaFeatures;
use crate::names::Names;

/// Which of a file's parts are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) features: SchemaFeatures,
    /// Whether it is about jobs that are marked in their rows, or about rows that are only locked.
    pub(super) marked: bool,
}

/// Statements are constants of this program, and a test renders all of them: a mistake in one is a
/// bug, and no statement is made of it.
pub(super) fn render(file: &str, names: &Names, form: Form) -> String {
    let swap = Swap::new(names);
    let (mut sql, mut part, mut rest) = (String::with_capacity(file.len()), Part::Kept, file);
    while let Some((token, after)) = Token::next(rest) {
        rest = after;
        let text = match token {
            Token::Blank(blank) => blank.to_owned(),
            Token::LineComment => continue,
            Token::BlockComment(comment) => match part.marker(comment, form) {
                Some(text) => render(text, names, form),
                None => continue,
            },
            Token::Literal(literal) => swap.literal(literal),
            Token::Word(word) => swap.word(word),
            Token::Other(other) => other.to_owned(),
        };
        if part != Part::Dropped && !(text == " " && sql.ends_with(' ')) {
            sql += &text;
        }
    }
    assert!(part == Part::Kept, "an IF without END or ELSE in {file}");
    // Lines that were comments are empty.
    sql.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
        .trim_start()
        .to_owned()
}

/// Where in the statement the renderer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Outside of IF and END.
    Kept,
    /// Inside, and the database has the feature.
    Optional,
    /// Inside, and it has not.
    Dropped,
}

impl Part {
    /// Read a comment: a marker changes the part. Returns what stands in the place of an ELSE.
    fn marker<'a>(&mut self, comment: &'a str, form: Form) -> Option<&'a str> {
        let (word, text) = comment.split_once(' ').unwrap_or((comment, ""));
        let before = *self;
        match (word, before) {
            ("IF", Part::Kept) => *self = if form.has_all(text) { Part::Optional } else { Part::Dropped },
            ("END", Part::Optional | Part::Dropped) if text.is_empty() => *self = Part::Kept,
            ("ELSE", Part::Optional | Part::Dropped) => {
                *self = Part::Kept;
                return (before == Part::Dropped).then_some(text);
            }
            _ => panic!("the marker {comment:?} is not known, or not where it belongs"),
        }
        None
    }
}

impl Form {
    /// Whether all of these hold, which stand apart by blanks.
    fn has_all(self, names: &str) -> bool {
        names.split(' ').all(|name| match name {
            "attempts" => self.features.attempts,
            "tally" => self.features.tally,
            "verdicts" => self.features.verdicts,
            "pauses" => self.features.pauses,
            "presence" => self.features.presence,
            "suspects" => self.features.suspects,
            "deaths" => self.features.deaths,
            "figures" => self.features.figures,
            "lines" => self.features.lines,
            "follow_ups" => self.features.follow_ups,
            "audit" => self.features.audit,
            "handlers" => self.features.handlers,
            "adjustments" => self.features.adjustments,
            "signers" => self.features.signers,
            "marked" => self.marked,
            name => panic!("no statement can depend on {name:?}"),
        })
    }
}

/// The names of this deployment for the default ones.
struct Swap {
    /// Default, as an identifier in SQL, and as it is spelled in a literal.
    names: Vec<(&'static str, String, String)>,
}

impl Swap {
    fn new(names: &Names) -> Swap {
        let relation = |default: &'static str, name: &str| (default, names.qualified(name), names.dotted(name));
        let channel = |default: &'static str, name: &str| (default, String::new(), name.to_owned());
        Swap {
            names: vec![
                relation("pgqueuer", &names.queue_table),
                relation("pgqueuer_log", &names.log_table),
                relation("pgqueuer_statistics", &names.statistics_table),
                relation("pgqueuer_schedules", &names.schedules_table),
                relation("pgqueuer_status", &names.status_type),
                relation("pgqueuer_output", &names.output_table()),
                relation("pgqueuer_plugin", &names.plugin_table()),
                relation("pgqueuer_attempt", &names.attempt_table()),
                relation("pgqueuer_tally", &names.tally_table()),
                relation("pgqueuer_host", &names.host_table()),
                relation("pgqueuer_suspect", &names.suspect_table()),
                relation("pgqueuer_verdict", &names.verdict_table()),
                relation("pgqueuer_retention", &names.retention_table()),
                relation("pgqueuer_lines", &names.lines_table()),
                relation("pgqueuer_pause", &names.pause_table()),
                relation("pgqueuer_audit", &names.audit_table()),
                relation("pgqueuer_adjustment", &names.adjustment_table()),
                relation("pgqueuer_cause", &names.cause_table()),
                channel("ch_pgqueuer", &names.channel),
                channel("ch_pgqueuer_host", &names.fleet_channel()),
            ],
        }
    }

    fn word(&self, word: &str) -> String {
        match self.names.iter().find(|(default, identifier, _)| *default == word && !identifier.is_empty()) {
            Some((_, identifier, _)) => identifier.clone(),
            None if word.contains("pgqueuer") => panic!("{word:?} is no name that can be swapped"),
            None => word.to_owned(),
        }
    }

    /// A literal that is a name: of a table for a function that wants its text, or of a channel.
    fn literal(&self, literal: &str) -> String {
        let text = literal.trim_matches('\'');
        match self.names.iter().find(|(default, ..)| *default == text) {
            Some((_, _, spelled)) => format!("'{spelled}'"),
            None if text.contains("pgqueuer") => panic!("{literal} is no name that can be swapped"),
            None => literal.to_owned(),
        }
    }
}

/// As much of SQL as has to be told apart.
enum Token<'a> {
    Blank(&'a str),
    LineComment,
    BlockComment(&'a str),
    Literal(&'a str),
    Word(&'a str),
    Other(&'a str),
}

impl<'a> Token<'a> {
    /// The first token, and what is after it.
    fn next(text: &'a str) -> Option<(Token<'a>, &'a str)> {
        let first = text.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let until = |end: Option<usize>| text.split_at(end.unwrap_or(text.len()));
        Some(if first.is_whitespace() {
            let (blank, after) = until(text.find(|c: char| !c.is_whitespace()));
            (Token::Blank(blank), after)
        } else if text.starts_with("--") {
            let (_, after) = until(text.find('\n'));
            (Token::LineComment, after)
        } else if text.starts_with("/*") {
            let (comment, after) = until(text.find("*/").map(|end| end + 2));
            (Token::BlockComment(comment.trim_start_matches("/*").trim_end_matches("*/").trim()), after)
        } else if first == '\'' {
            // A doubled quote ends one literal and begins the next, which comes to the same.
            let (literal, after) = until(text[1..].find('\'').map(|end| end + 2));
            (Token::Literal(literal), after)
        } else if is_word(first) {
            let (word, after) = until(text.find(|c: char| !is_word(c)));
            (Token::Word(word), after)
        } else {
            let (other, after) = text.split_at(first.len_utf8());
            (Token::Other(other), after)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameSettings;

    const ALL: Form = Form { features: SchemaFeatures::ALL, marked: true };

    fn names(schema: &str) -> Names {
        let settings = NameSettings { prefix: Some("My_".into()), schema: Some(schema.into()) };
        Names::new(&settings, |_| None).expect("valid names")
    }

    #[test]
    fn names_are_swapped_as_whole_words() {
        let sql = "SELECT pgqueuer.id, 'x'::pgqueuer_status FROM pgqueuer JOIN pgqueuer_log";
        let wanted = r#"SELECT "my_pgqueuer".id, 'x'::"my_pgqueuer_status" FROM "my_pgqueuer" JOIN "my_pgqueuer_log""#;
        assert_eq!(render(sql, &names(""), ALL), wanted);
    }

    #[test]
    fn a_literal_is_spelled_as_pgqueuer_spells_the_name() {
        let sql = "SELECT hashtext('pgqueuer_statistics'), pg_notify('ch_pgqueuer_host', 'it''s')";
        let wanted = "SELECT hashtext('jobs.My_pgqueuer_statistics'), pg_notify('My_ch_pgqueuer_host', 'it''s')";
        assert_eq!(render(sql, &names("jobs"), ALL), wanted);
    }

    #[test]
    fn optional_parts_are_kept_or_replaced_and_comments_go() {
        let sql = "-- What it does.\nSELECT /* IF tally */ a, /* END */ -- why\n  /* IF suspects */ s /* ELSE NULL::int */ AS s FROM pgqueuer";
        let none = SchemaFeatures { tally: false, suspects: false, ..SchemaFeatures::ALL };
        let none = Form { features: none, marked: false };
        assert_eq!(render(sql, &names(""), ALL), "SELECT a,\n  s AS s FROM \"my_pgqueuer\"");
        assert_eq!(render(sql, &names(""), none), "SELECT\n  NULL::int AS s FROM \"my_pgqueuer\"");
        let both = "SELECT a /* IF tally marked */ , b /* END */";
        assert_eq!(render(both, &names(""), ALL), "SELECT a , b");
        assert_eq!(render(both, &names(""), Form { marked: false, ..ALL }), "SELECT a");
    }

    #[test]
    fn leftovers_are_mistakes() {
        let mistakes = [
            "SELECT FROM pgqueuer_unknown",
            "SELECT 'pgqueuer_unknown'",
            "/* IF tally */ x",
            "x /* END */",
            "/* IF colour */ x /* END */",
        ];
        for sql in mistakes {
            let rendered = std::panic::catch_unwind(|| render(sql, &names(""), ALL));
            assert!(rendered.is_err(), "{sql}");
        }
    }
}
