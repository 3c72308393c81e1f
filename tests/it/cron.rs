//! Our cron expressions compared with croniter, which PgQueuer uses: the same texts are accepted,
//! stored and due.

use std::path::PathBuf;
use std::process::Stdio;

use chrono::{DateTime, Utc};
use pgq_cron::Schedule;
use pgq_host_tests::python;
use serde_json::{Value, json};
use tokio::process::Command;

const COUNT: usize = 20;
/// Leap days, ends of years and months, a second past a minute, and changes to and from daylight
/// saving time (which UTC does not have).
const STARTS: [&str; 7] = [
    "2026-01-01T00:00:00Z",
    "2024-02-28T23:59:59Z",
    "2027-12-31T23:58:30Z",
    "2028-02-29T12:34:56Z",
    "2026-03-29T00:59:59Z",
    "2099-12-30T22:00:00Z",
    "2100-02-27T00:00:01Z",
];

/// Expressions from real life, and the corners of the grammar.
const BY_HAND: &[&str] = &[
    // Plain.
    "* * * * *",
    "*/5 * * * *",
    "0 0 * * *",
    "0 9 * * 1-5",
    "0 9 * * mon-fri",
    "30 4 1,15 * *",
    "0 22 * * 1-5",
    "23 0-20/2 * * *",
    "5 4 * * sun",
    "0 0 1 1 *",
    "15 14 1 * *",
    "0 0,12 1 */2 *",
    "0 4 8-14 * *",
    "*/15 8-18 * * mon-fri",
    "59 23 31 12 *",
    "0 0 29 2 *",
    // Macros.
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
    "@HOURLY",
    "@reboot",
    "@every 5m",
    "@hourly ",
    " @daily",
    // Seconds last, years.
    "* * * * * *",
    "* * * * * */10",
    "0 0 * * * 30",
    "0 0 * * * 15-20,40",
    "*/2 * * * * 5/20",
    "0 0 1 1 * 0 2027",
    "0 0 1 1 * 0 2026-2030/2",
    "0 0 1 1 * 0 */10",
    "0 0 29 2 * 0 2028",
    "0 0 29 2 * 0 2027",
    "* * * * * * 2020",
    "0 0 1 1 * 0 2099",
    "0 0 1 1 * 0 1969",
    "0 0 1 1 * 0 2100",
    "0 0 1 1 * 0 1969-1969",
    "0 0 1 1 * 0 2098-1975",
    "0 0 * * * 0 1970-2099",
    "* * * * * * * *",
    // Names, in any case.
    "0 0 * JAN,jul *",
    "0 0 * jan-mar *",
    "0 0 * nov-feb *",
    "0 0 * dec/3 *",
    "0 0 * feb/3 *",
    "0 0 * jan-jan *",
    "0 0 * * SUN",
    "0 0 * * fri-mon",
    "0 0 * * sun-sun",
    "0 0 * * sat-sun",
    "0 0 * * january",
    "0 0 * mon *",
    "0 0 * * jan",
    "0 0 * * mon,wed,fri",
    "0 0 * * mon-7/2",
    "0 0 * * thu/2",
    "0 0 jan * *",
    "mon * * * *",
    // Sunday, zero and seven.
    "0 0 * * 0",
    "0 0 * * 7",
    "0 0 * * 0-7",
    "0 0 * * 7-7",
    "0 0 * * 1-7",
    "0 0 * * 5-7",
    "0 0 * * 7-2",
    "0 0 * * 8",
    "0 0 * * 6-8",
    "0 0 * * 0,7",
    "0 0 * * 07",
    // Both day fields.
    "0 0 13 * 5",
    "0 0 1,15 * wed",
    "0 0 1 * */2",
    "0 0 */2 * 1",
    "0 0 */2 * */3",
    "0 0 1-31 * 1",
    "0 0 */1 * 1",
    "0 0 */1 * */2",
    "0 0 1 * 0-6",
    "0 0 */2 * 0-6",
    "0 0 1 * *",
    "0 0 * * 1",
    "0 0 31 2 1",
    "0 0 30 2 *",
    "0 0 31 2 *",
    "0 0 31 4,6,9,11 *",
    "0 0 31 4,6,9,11 sun",
    "0 0 1 * 1,*",
    "0 0 1,* * 1",
    "0 0 ? * 1",
    "0 0 1 * ?",
    "0 0 ? * ?",
    "? 0 * * *",
    "0 0 1,? * *",
    "0 0 ?/2 * *",
    // The last day.
    "0 0 l * *",
    "0 0 L * *",
    "0 0 l 2 *",
    "0 0 1,l * *",
    "0 0 28-l * *",
    "0 0 l-31 * *",
    "0 0 31-l * *",
    "0 0 l/2 * *",
    "0 0 l * 1",
    "0 0 1-30,l * *",
    "0 0 2-31,l * *",
    "0 0 2-31,l * 1",
    "0 0 30,l 2 *",
    "0 0 * * l",
    "0 0 l-3 * *",
    "l * * * *",
    // The n-th weekday.
    "0 0 * * 5#2",
    "0 0 * * fri#2",
    "0 0 * * FRI#2",
    "0 0 * * 1#5",
    "0 0 * * 1#6",
    "0 0 * * 1#0",
    "0 0 * * l5",
    "0 0 * * L7",
    "0 0 * * l0",
    "0 0 * * l8",
    "0 0 * * l05",
    "0 0 * * mon-fri#1",
    "0 0 * * fri-mon#3",
    "0 0 * * sun-sun#1",
    "0 0 * * 1-5#2",
    "0 0 * * 7#1",
    "0 0 * * 1#1,3#3",
    "0 0 * * 1#1,l5",
    "0 0 * * 1#1,2",
    "0 0 * * 1#1,1",
    "0 0 * * 0-6,1#1",
    "0 0 * * 1#1,*",
    "0 0 * * *,2,1#1",
    "0 0 1 * 1#1",
    "0 0 1-7 * 1#1",
    "0 0 20 * 1#1",
    "0 0 l * l5",
    "0 0 * * 1/2#1",
    "0 0 * * 1#2/2",
    "0 0 * * #1",
    "0 0 * * 1#",
    "0 0 * * *#1",
    "0 0 1 * 0-6,1#1",
    "0 0 1#1 * *",
    "0 0 * * mon#01",
    "0 0 * * lmon",
    "0 0 * * jan-mar#1",
    "0 0 1 1 1#1",
    // The nearest working day.
    "0 0 15w * *",
    "0 0 1W * *",
    "0 0 w15 * *",
    "0 0 31w * *",
    "0 0 31w 2 *",
    "0 0 32w * *",
    "0 0 0w * *",
    "0 0 15w,1 * *",
    "0 0 1,15w * *",
    "0 0 15w * 1",
    "0 0 15w * 6",
    "0 0 1w-5 * *",
    "0 0 lw * *",
    "0 0 015w * *",
    "0 0 w * *",
    "0 0 15w * 1#1",
    "0 0 * * 1w",
    "0 0 99999999999w * *",
    // Ranges and steps.
    "50-10 * * * *",
    "50-10/7 * * * *",
    "55-5/3 * * * *",
    "5-5 * * * *",
    "5-5/15 * * * *",
    "59/15 * * * *",
    "50/5 * * * *",
    "0/5 * * * *",
    "*/70 * * * *",
    "*/0 * * * *",
    "10-20/0 * * * *",
    "1-2-3 * * * *",
    "1-/2 * * * *",
    "-5 * * * *",
    "5- * * * *",
    "/5 * * * *",
    "5/ * * * *",
    "*/5/2 * * * *",
    "5/10/2 * * * *",
    "*-5 * * * *",
    "5-* * * * *",
    "** * * * *",
    "1,,2 * * * *",
    "1, * * * *",
    ",1 * * * *",
    "05,007 * * * *",
    "60 * * * *",
    "0 24 * * *",
    "0 0 0 * *",
    "0 0 0-0 * *",
    "0 0 0-5 * *",
    "0 0 5-0 * *",
    "0 0 0/5 * *",
    "0 0 32 * *",
    "0 0 * 0 *",
    "0 0 * 0-0 *",
    "0 0 * 13 *",
    "0 22-4 * * *",
    "0 22-4/3 * * *",
    "0 20-19 * * *",
    "0 0 25-5 * *",
    "0 0 25-5/4 * *",
    "*,5 * * * *",
    "0-59 0-23 1-31 1-12 0-6",
    "*/99999999999999999999 * * * *",
    "99999999999999999999 * * * *",
    "5/99999999999999999999 * * * *",
    "1.5 * * * *",
    "+5 * * * *",
    "5_0 * * * *",
    "a * * * *",
    "0 0 * apr-jan/3 *",
    "0 0 * apr-jan/5 *",
    "0 0 * * 4-2/3",
    "0 0 * * 4-2/9",
    "1/59 * * * *",
    "59-59/7 * * * *",
    "*/2,*/3 * * * *",
    // Hashed.
    "h * * * *",
    "H/5 * * * *",
    "h(0-10) * * * *",
    "hh * * * *",
    "r, * * * *",
    "0 0 * * * h",
    // Whitespace and garbage.
    "",
    " ",
    "*",
    "* * * *",
    "  *   *\t* * *  ",
    "*\n* * * *",
    "*\u{a0}* * * *",
    "* * * *\u{2003}*",
    "*\u{1c}* * * *",
    "０ * * * *",
    "٣ * * * *",
    "@wee\u{212a}ly",
    "CRON_TZ=Europe/Berlin 0 9 * * *",
];

async fn croniter(expressions: &[String]) -> Vec<Value> {
    let starts: Vec<i64> = STARTS.iter().map(|start| start.parse::<DateTime<Utc>>().unwrap().timestamp()).collect();
    let question = json!({ "expressions": expressions, "starts": starts, "count": COUNT });
    let program = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/cron.py"));
    let output = Command::new(python())
        .arg(program)
        .arg(question.to_string())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ours(schedule: &Schedule, start: &str) -> Vec<i64> {
    let first: DateTime<Utc> = start.parse().unwrap();
    std::iter::successors(schedule.next_after(first), |time| schedule.next_after(*time))
        .take(COUNT)
        .map(|time| time.timestamp())
        .collect()
}

fn difference(expression: &str, theirs: &Value) -> Option<String> {
    let schedule = match (Schedule::new(expression, "UTC"), theirs) {
        (Err(_), Value::Null) => return None,
        (Ok(_), Value::Null) => return Some("croniter refuses it, we do not".into()),
        (Err(error), theirs) => {
            // An expression that is never due is rejected here when it is declared, and there when
            // it is run.
            let never = theirs["times"].as_array().unwrap().iter().all(|times| times == &json!([]));
            return (!never).then(|| format!("only we refuse it: {error}"));
        }
        (Ok(schedule), _) => schedule,
    };
    if theirs["stored"] != schedule.key() {
        return Some(format!("stored as {:?}, by PgQueuer as {}", schedule.key(), theirs["stored"]));
    }
    STARTS.iter().zip(theirs["times"].as_array().unwrap()).find_map(|(start, theirs)| {
        let ours = json!(ours(&schedule, start));
        (ours != *theirs).then(|| format!("from {start}\n  we say {ours}\n  croniter {theirs}"))
    })
}

async fn agree(expressions: Vec<String>) -> usize {
    let theirs = croniter(&expressions).await;
    let differences: Vec<String> = expressions
        .iter()
        .zip(&theirs)
        .filter_map(|(expression, theirs)| {
            difference(expression, theirs).map(|difference| format!("{expression:?}: {difference}"))
        })
        .collect();
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), expressions.len(), differences.join("\n"));
    theirs.iter().filter(|theirs| !theirs.is_null()).count()
}

#[tokio::test]
async fn expressions_picked_by_hand_mean_what_croniter_says() {
    agree(BY_HAND.iter().map(ToString::to_string).collect()).await;
}

#[tokio::test]
async fn generated_expressions_mean_what_croniter_says() {
    let seed = std::env::var("PGQ_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101);
    let count = std::env::var("PGQ_TEST_EXPRESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    let mut random = fastrand::Rng::with_seed(seed);
    let accepted = agree((0..count).map(|_| generated(&mut random)).collect()).await;
    assert!(accepted > count / 3, "only {accepted} of {count} were worth comparing");
}

fn generated(random: &mut fastrand::Rng) -> String {
    let fields = [5, 5, 5, 6, 6, 7][random.usize(..6)];
    (0..fields).map(|field| generated_field(random, field)).collect::<Vec<_>>().join(" ")
}

fn generated_field(random: &mut fastrand::Rng, field: usize) -> String {
    if random.u8(..) < 90 {
        return "*".into();
    }
    let items = [1, 1, 1, 1, 2, 3][random.usize(..6)];
    (0..items).map(|_| generated_item(random, field)).collect::<Vec<_>>().join(",")
}

fn generated_item(random: &mut fastrand::Rng, field: usize) -> String {
    let (low, high) = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7), (0, 59), (2020, 2060)][field];
    let names: &[&str] = match field {
        3 => &["jan", "Feb", "mar", "JUN", "oct", "dec"],
        4 => &["sun", "Mon", "tue", "WED", "fri", "sat"],
        _ => &[],
    };
    let mut value = || match names {
        [] => random.u32(low..=high).to_string(),
        names if random.bool() => names[random.usize(..names.len())].into(),
        _ => random.u32(low..=high).to_string(),
    };
    let (from, to) = (value(), value());
    let step = random.u32(1..=high.min(40));
    match (random.u8(..14), field) {
        (0, _) => format!("*/{step}"),
        (1, _) => format!("{from}/{step}"),
        (2 | 3, _) => format!("{from}-{to}"),
        (4, _) => format!("{from}-{to}/{step}"),
        (5, 2) => "L".into(),
        (6, 2) => format!("{}w", random.u32(1..=31)),
        (5 | 6, 4) => format!("{from}#{}", random.u32(1..=5)),
        (7, 4) => format!("L{}", random.u32(0..=7)),
        (7, 2) => format!("{from}-L"),
        (8, 2 | 4) => "?".into(),
        _ => from,
    }
}
