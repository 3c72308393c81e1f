//! Any text that a producer stored as headers, and any that was sent over the queue's channel.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgq_host::job::header_texts;
use pgq_host::queue::Event;

fuzz_target!(|text: &str| {
    for (name, value) in header_texts(text) {
        // Whatever it is, it comes as text: a string as it is, anything else as JSON.
        let _ = (name.len(), value.len());
    }
    let _ = Event::parse(text);
});
