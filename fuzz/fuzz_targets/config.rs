//! Any text as pgq-host.toml, and any text as a time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgq_host::config::{Config, parse_duration};

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(text) {
        assert!(!format!("{error:#}").is_empty());
    }
    let _ = parse_duration(text);
});
