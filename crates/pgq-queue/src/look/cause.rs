//! Why runs failed, as groups: what differs from run to run is taken out of the message, and the
//! innermost frame of the guest's own code tells failures with equal messages apart.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Characters of a message that count.
const MOST_MESSAGE: usize = 400;
const MOST_FRAME: usize = 300;

/// What failures have in common that are one group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
pub struct Cause {
    pub entrypoint: String,
    /// `Trap`, `Retry`, `DeadlineExceeded` and so on; of a Python worker, the exception's class.
    pub exception_type: String,
    /// Numbers are `<n>` in it, and so on.
    pub message: String,
    /// The innermost frame of the guest's code, if there is a backtrace.
    pub frame: Option<String>,
}

impl Cause {
    pub(super) fn of(entrypoint: &str, exception_type: &str, message: &str, traceback: &str) -> Cause {
        Cause {
            entrypoint: entrypoint.to_owned(),
            exception_type: exception_type.to_owned(),
            message: normalised(message),
            frame: frame(traceback),
        }
    }

    /// Names it in addresses and filters.
    pub fn key(&self) -> String {
        let mut digest = Sha256::new();
        for part in
            [&self.entrypoint, &self.exception_type, &self.message, self.frame.as_ref().unwrap_or(&String::new())]
        {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The first line of a message that says something, without what differs from one run to the next.
fn normalised(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let (mut text, mut rest) = (String::new(), line);
    while let Some(first) = rest.chars().next() {
        if text.len() >= MOST_MESSAGE {
            text.push('…');
            break;
        }
        if let Some(end) = quoted(rest) {
            text += "<text>";
            rest = &rest[end..];
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "_-".contains(c))).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            text += &placeholder(word);
            rest = after;
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    text
}

/// Where a quoted text ends that begins here. An apostrophe within a word begins none, because words
/// are read whole.
fn quoted(text: &str) -> Option<usize> {
    let mark = text.chars().next().filter(|c| "\"'`".contains(*c))?;
    let end = text[1..].find(mark)? + 2;
    let inside = &text[1..end - 1];
    // What stands between two apostrophes of two words is no quotation.
    (!inside.is_empty() && (mark != '\'' || !inside.starts_with([' ', 's']) || !inside.contains(' '))).then_some(end)
}

/// A word as it is, or what kind of number or name it is.
fn placeholder(word: &str) -> String {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return word.to_owned();
    }
    let parts: Vec<&str> = word.split('-').collect();
    if parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| is_hex(part)) {
        return "<uuid>".into();
    }
    if word.strip_prefix("0x").is_some_and(is_hex) || (word.len() >= 8 && is_hex(word) && digits < word.len()) {
        return "<hex>".into();
    }
    // An id of letters and digits, like `ord_8fK2x91`: more digits than a name has.
    if word.len() >= 8 && digits >= 3 && digits < word.len() && !word.contains('-') {
        return "<id>".into();
    }
    let (mut text, mut in_number) = (String::new(), false);
    for c in word.chars() {
        match (c.is_ascii_digit(), in_number) {
            (true, false) => text += "<n>",
            (false, _) => text.push(c),
            (true, true) => {}
        }
        in_number = c.is_ascii_digit();
    }
    text
}

/// The innermost frame of a backtrace that is the handler's own code: not what panics, traps, or
/// comes with the language. Of a Python traceback, its last frame.
fn frame(traceback: &str) -> Option<String> {
    let own = traceback.lines().filter_map(wasm_frame).find(|frame| !is_runtime(frame));
    let first = || traceback.lines().find_map(wasm_frame);
    let python = || traceback.lines().rev().find_map(python_frame);
    let frame = own.map(str::to_owned).or_else(|| first().map(str::to_owned)).or_else(python)?;
    Some(frame.chars().take(MOST_FRAME).collect())
}

/// `   2: 0x1a2b - module.wasm!path::to::function`
fn wasm_frame(line: &str) -> Option<&str> {
    let (number, rest) = line.trim_start().split_once(": ")?;
    number.parse::<u32>().ok()?;
    let (address, name) = rest.trim_start().split_once(" - ")?;
    address.starts_with("0x").then_some(())?;
    let name = name.split_once('!').map_or(name, |(_, name)| name).trim();
    (!name.is_empty()).then(|| without_hash(name))
}

/// Without the digest that Rust appends, which each build changes.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => path,
        _ => name,
    }
}

fn is_runtime(frame: &str) -> bool {
    let path = frame.trim_start_matches('<');
    let begins = ["std::", "core::", "alloc::", "__", "rust_", "_rust", "dlmalloc", "abort", "pgq_plugin_sdk::"];
    begins.iter().any(|begin| path.starts_with(begin)) || path.contains("rust_begin_unwind") || path.contains("panick")
}

/// `  File "app.py", line 7, in handler`
fn python_frame(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("File \"")?;
    let (file, rest) = rest.split_once('"')?;
    let function = rest.rsplit_once(", in ").map_or("", |(_, function)| function.trim());
    Some(format!("{file} {function}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_no_part_of_a_cause() {
        for (message, cause) in [
            ("order 4711 is unknown", "order <n> is unknown"),
            ("no user \"Anna\" in 'eu-1'", "no user <text> in <text>"),
            (
                "can't reach 10.0.0.17:443: timed out after 1.5 s",
                "can't reach <n>.<n>.<n>.<n>:<n>: timed out after <n>.<n> s",
            ),
            ("job 7c9e6679-7425-40de-944b-e07fc1f90ae7 at 0xdeadbeef", "job <uuid> at <hex>"),
            ("blob 9f86d081884c7d65 of ord_8fK2x91b", "blob <hex> of <id>"),
            ("HTTP 503 from v2", "HTTP <n> from v<n>"),
            ("\n\n  first line\nsecond 5", "first line"),
            ("größe 7 für Zoë", "größe <n> für Zoë"),
            ("", ""),
        ] {
            assert_eq!(normalised(message), cause, "{message}");
        }
        assert!(normalised(&"long ".repeat(1_000)).len() < 2 * MOST_MESSAGE);
    }

    #[test]
    fn the_frame_is_the_innermost_one_of_the_handlers_own_code() {
        let wasm = "wasm backtrace:\n    0: 0x8f2a - plugin.wasm!std::sys::abort\n    1: 0x1a2b - \
                    plugin.wasm!core::panicking::panic_fmt::h0123456789abcdef\n    2:   0x33 - \
                    plugin.wasm!billing::charge::h0123456789abcdef\n    3: 0x44 - plugin.wasm!billing::run";
        assert_eq!(frame(wasm).as_deref(), Some("billing::charge"));
        let only_runtime = "0: 0x8f2a - plugin.wasm!std::sys::abort";
        assert_eq!(frame(only_runtime).as_deref(), Some("std::sys::abort"));
        let python = "Traceback (most recent call last):\n  File \"a.py\", line 3, in main\n    f()\n  File \"b.py\", line 9, in f\n    1/0\n";
        assert_eq!(frame(python).as_deref(), Some("b.py f"));
        assert_eq!(frame("connection refused"), None);
    }

    #[test]
    fn a_key_is_that_of_all_parts() {
        let cause = Cause::of("a", "Trap", "no 1", "");
        assert_eq!(cause.key(), Cause::of("a", "Trap", "no 22", "").key());
        assert_ne!(cause.key(), Cause::of("b", "Trap", "no 1", "").key());
        assert_ne!(cause.key(), Cause::of("a", "Trap", "no 1", "0: 0x1 - a!f").key());
        assert_eq!(cause.key().len(), 16);
    }
}
