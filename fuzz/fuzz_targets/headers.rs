//! Any text that a producer stored as headers, and any that was sent over the channels of a queue and of its hosts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgq_job::{compact, header_texts};
use pgq_queue::{Event, FleetCommand};
use serde_json::Value;

fuzz_target!(|text: &str| {
    // Whatever it is, it comes as text: a string as it is, anything else as JSON, to the last digit.
    if let (Ok(headers), Ok(Value::Object(stored))) = (header_texts(text), serde_json::from_str(text)) {
        assert_eq!(headers.len(), stored.len());
        for (name, value) in stored {
            match value {
                Value::String(value) => assert_eq!(headers[&name], value),
                value => assert_eq!(serde_json::from_str::<Value>(&headers[&name]).expect("JSON"), value),
            }
        }
    }
    let short = compact(text);
    assert_eq!(compact(&short), short);
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        assert_eq!(serde_json::from_str::<Value>(&short).expect("still JSON"), value);
    }
    let _ = Event::parse(text);
    if let Ok(command) = serde_json::from_str::<FleetCommand>(text) {
        let sent = serde_json::to_string(&command).expect("as it came");
        let heard: FleetCommand = serde_json::from_str(&sent).expect("as it went");
        assert_eq!(format!("{heard:?}"), format!("{command:?}"));
    }
});
