//! docs/languages/failures.md: what `job` prints of each failure, from runs of the tests.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// More lines of an error are left out.
const MOST_LINES: usize = 12;
/// Longer lines are cut.
const MOST_CHARS: usize = 200;

/// Tests of languages write one page.
static PAGE: Mutex<()> = Mutex::new(());

/// The error of what `pgq-host job` printed, without what differs from run to run.
pub fn error_of(printed: &str) -> String {
    let mut lines = printed.lines().skip_while(|line| !line.starts_with("Error of run ")).skip(1);
    let error: Vec<String> =
        lines.by_ref().take_while(|line| line.is_empty() || line.starts_with("  ")).map(steady).collect();
    let end = error.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    assert!(end > 0, "there is no error in {printed}");
    let mut text: String = error[..end.min(MOST_LINES)].iter().map(|line| format!("{line}\n")).collect();
    if end > MOST_LINES {
        text += "  …\n";
    }
    text
}

/// Addresses, and the hashes of Rust's symbols.
fn steady(line: &str) -> String {
    let mut text = String::new();
    let mut rest: &str = line.trim_end();
    while let Some(at) = rest.find("0x") {
        let (before, number) = rest.split_at(at);
        text += before;
        text += "0x…";
        rest = number[2..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    text += rest;
    if let Some((name, hash)) = text.rsplit_once("::h")
        && hash.len() == 16
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        text.truncate(name.len());
    }
    match text.char_indices().nth(MOST_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Compare the page's part about this language with what came of each of these, or write it.
pub fn failures_are_documented(language: &str, seen: &[(String, String)]) {
    let _one_at_a_time = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs/languages/failures.md");
    let made: String = seen.iter().map(|(what, error)| format!("**{what}**\n\n```text\n{error}```\n\n")).collect();
    let page = std::fs::read_to_string(&path).expect("the page");
    let (begin, end) = (format!("<!-- {language} -->\n\n"), format!("<!-- /{language} -->"));
    let (before, rest) = page.split_once(&begin).expect("where it begins");
    let (kept, after) = rest.split_once(&end).expect("where it ends");
    if std::env::var_os("PGQ_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{made}{end}{after}")).expect("written");
    } else {
        assert_eq!(kept, made, "if that is meant, run this test with PGQ_UPDATE_SNAPSHOTS=1 and read the diff");
    }
}
