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
    let lines = printed.lines().skip_while(|line| !line.starts_with("Error of run ")).skip(1);
    let error = lines.take_while(|line| line.is_empty() || line.starts_with("  "));
    let mut error: Vec<String> = error.filter(|line| !line.contains("was to run again")).map(steady).collect();
    while error.pop_if(|line| line.is_empty()).is_some() {}
    assert!(!error.is_empty(), "there is no error in {printed}");
    // The last words of an allocator, or of a run-time that is out of memory, are many, and never the same.
    if error[0].starts_with("  OutOfMemory: ") {
        let end = error[0].find("; stderr: ").unwrap_or(error[0].len());
        error[0].truncate(end);
        error.truncate(1);
    }
    let left_out = if error.len() > MOST_LINES { "  …\n" } else { "" };
    error.truncate(MOST_LINES);
    error.join("\n") + "\n" + left_out
}

/// Without addresses, and without the hashes of Rust's crates and symbols.
fn steady(line: &str) -> String {
    // A frame: its number, its address, its function.
    let mut text = match line.split_once(" - ") {
        Some((head, function)) if head.contains("0x") && head.contains(": ") => {
            let number = head.split(':').next().unwrap_or_default();
            format!("{number}: {function}")
        }
        _ => line.trim_end().to_owned(),
    };
    while let Some(at) = text.find("0x") {
        let digits = text[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        text.replace_range(at..at + 2 + digits, "…");
    }
    let is_hash = |text: &str| text.len() >= 16 && text.bytes().take(16).all(|byte| byte.is_ascii_hexdigit());
    while let Some(at) = text.match_indices('[').map(|(at, _)| at).find(|at| is_hash(&text[at + 1..])) {
        text.replace_range(at..at + 18, "");
    }
    if let Some((name, hash)) = text.rsplit_once("::h")
        && hash.len() == 16
        && is_hash(hash)
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
