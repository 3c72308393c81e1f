//! Groups the rows of a CSV file and sums up one of its columns, in one pass over megabytes.

mod stats;
mod table;

use pgq_plugin_sdk::prelude::*;

use crate::table::{Stop, Table};

fn report(job: &Job, Bytes(file): Bytes) -> Result<Outcome> {
    let group_by = column(job, "group-by")?;
    let value = column(job, "value")?;

    let table = Table::open(&file, &group_by, &value).or_reject()?;
    match table.summarise(|| !job.heartbeat().should_stop()) {
        Ok(report) => {
            log::info!(rows = report.rows, skipped = report.skipped, "reported");
            Outcome::json(&report)
        }
        // The host is about to stop, or the job is no longer ours. Nothing is half done here, so the
        // job starts over elsewhere, and this run does not count as an attempt.
        Err(Stop::Interrupted) => Ok(Outcome::snooze(Duration::ZERO)),
        Err(Stop::Unreadable(reason)) => Err(Failure::reject(reason)),
    }
}

/// A header that names a column.
fn column(job: &Job, header: &str) -> Result<String> {
    let missing = || Failure::reject(format!("header `{header}` must name a column"));
    job.header(header).ok_or_else(missing)
}

fn plugin() -> Plugin {
    Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).entrypoint(
        Entrypoint::new("report", report).max_attempts(3).timeout(Duration::from_secs(60)).memory(256 << 20),
    )
}

pgq_plugin_sdk::export!(plugin);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use pgq_plugin_sdk::testing::{TestJob, TestRun};
    use serde_json::Value;

    use super::*;

    const WEATHER: &[u8] = include_bytes!("../samples/seattle-weather.csv");

    fn job(file: &[u8]) -> TestJob {
        TestJob::new("report").payload(file).header("group-by", "weather").header("value", "temp_max")
    }

    fn output(job: TestJob) -> Value {
        let Ok(Outcome::Complete(Some(json))) = TestRun::of(&plugin(), job).result else {
            panic!("the job did not complete")
        };
        serde_json::from_slice(&json).unwrap()
    }

    fn rejected(job: TestJob) -> String {
        let failure = TestRun::of(&plugin(), job).result.unwrap_err();
        assert!(failure.is_final(), "{failure:?}");
        failure.to_string()
    }

    #[test]
    fn four_years_of_weather() {
        let run = TestRun::of(&plugin(), job(WEATHER));
        // The figures are those of Python's `csv` and `math.fsum` for the same file.
        let expected = [
            r#"{"group_by":"weather","value":"temp_max","rows":1461,"skipped":0,"first_skipped":[],"#,
            r#""groups":[{"group":"drizzle","count":54,"#,
            r#""sum":859.1,"mean":15.90925925925926,"min":1.1,"max":31.7},{"group":"fog","count":411,"#,
            r#""sum":5947.3,"mean":14.470316301703164,"min":1.7,"max":30.6},{"group":"rain","count":259,"#,
            r#""sum":3259.5,"mean":12.584942084942085,"min":4.4,"max":35.6},{"group":"snow","count":23,"#,
            r#""sum":126.60000000000001,"mean":5.504347826086957,"min":-1.1,"max":11.1},{"group":"sun","count":714,"#,
            r#""sum":13825.0,"mean":19.362745098039216,"min":-1.6,"max":35.0}]}"#,
        ];
        assert_eq!(run.result, Ok(Outcome::output(expected.concat())));
        assert_eq!(run.logs[0].field("rows"), Some("1461"));
    }

    #[test]
    fn gzip_makes_no_difference() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(WEATHER).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(output(job(&gzip)), output(job(WEATHER)));
        assert!(rejected(job(&gzip[..gzip.len() / 2])).contains("cannot be read on"));
    }

    #[test]
    fn rows_that_do_not_parse_are_counted_and_shown() {
        let file = "weather,temp_max\nsun,20\nsun,warm\nrain\nsun,NaN\nrain,8.5\n";
        let report = output(job(file.as_bytes()));
        assert_eq!(report["rows"], 2);
        assert_eq!(report["skipped"], 3);
        assert_eq!(
            report["first_skipped"],
            json!([
                { "line": 3, "reason": "`temp_max` is not a number: `warm`" },
                { "line": 4, "reason": "1 fields instead of 2" },
                { "line": 5, "reason": "`temp_max` is not a number: `NaN`" },
            ])
        );
    }

    #[test]
    fn a_column_that_does_not_exist_is_final_and_the_others_are_named() {
        let text = rejected(job(b"day,temp_max\n1,2\n"));
        assert_eq!(text, "no column `weather`; there are `day`, `temp_max`");
        let text = rejected(TestJob::new("report").payload(WEATHER));
        assert_eq!(text, "header `group-by` must name a column");
    }

    #[test]
    fn a_host_that_stops_gets_the_job_back() {
        let run = TestRun::of(&plugin(), job(WEATHER).directive(Directive::ShuttingDown));
        assert_eq!(run.result, Ok(Outcome::snooze(Duration::ZERO)));
    }
}
