//! Any text as a DSN: it is read, or refused without a word of what may be a password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgq_queue::connect_options;

fuzz_target!(|text: &str| {
    const SECRET: &str = "Tr0ub4dor-and-3";
    let _ = connect_options(Some(text));
    for dsn in [
        format!("postgresql://u:{SECRET}@{text}"),
        format!("postgres://h/d?password={SECRET}&{text}"),
        format!("host=h password={SECRET} {text}"),
    ] {
        if let Err(error) = connect_options(Some(&dsn)) {
            assert!(!error.contains(SECRET), "{error}");
        }
    }
});
