//! Any text of a guest, a producer or the database, on its way into a row of a database of any encoding, and to a log or a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgq_engine::printable::{printable, printable_lines};
use serde_json::json;

#[path = "../../crates/pgq-queue/src/text.rs"]
#[allow(dead_code, unused_imports, reason = "what reads rows is not called here")]
mod text;

use text::Charset;

fuzz_target!(|text: &str| {
    for (encoding, most) in [("UTF8", char::MAX), ("SQL_ASCII", char::MAX), ("LATIN1", '\u{FF}'), ("EUC_JP", '\u{7F}')]
    {
        let charset = Charset::of(encoding);
        let fit = charset.fit(text);
        assert!(fit.chars().all(|c| c != '\0' && c <= most), "{encoding} {fit:?}");
        if fit.len() <= 64 << 10 {
            assert_eq!(charset.fit(&fit), fit, "it fits");
        }
        // As a traceback has it. `jsonb` refuses NUL, and characters that its encoding has not, escaped or not.
        let stored = charset.json(&json!({ "exception_message": fit, "n": { text: [text] } })).to_string();
        assert!(stored.chars().all(|c| c != '\0' && c <= most), "{encoding} {stored}");
        let escaped = stored.replace("\\\\", "");
        assert!(!escaped.contains("\\u0000"), "{stored}");
    }
    let shown = printable(text);
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(printable_lines(text, "  ").lines().skip(1).all(|line| line.starts_with("  ")));
});
