//! Converts the headers of a job from the stored JSON to what a handler gets.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The headers as a handler gets them: a string as its text, any other value as JSON, with all
/// digits and levels of nesting. Headers that are not an object have no names, so the map is empty.
///
/// # Errors
///
/// Fails if the text is not JSON.
pub fn header_texts(json: &str) -> serde_json::Result<BTreeMap<String, String>> {
    if !json.trim_start().starts_with('{') {
        return Ok(BTreeMap::new());
    }
    let headers: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
    let text = |value: &RawValue| match value.get() {
        text if text.starts_with('"') => serde_json::from_str(text),
        other => Ok(compact(other)),
    };
    headers.into_iter().map(|(name, value)| Ok((name, text(value)?))).collect()
}

/// The JSON without the spaces that PostgreSQL adds between tokens.
pub fn compact(json: &str) -> String {
    let (mut text, mut in_string, mut is_escaped) = (String::with_capacity(json.len()), false, false);
    for c in json.chars() {
        if !in_string && c.is_ascii_whitespace() {
            continue;
        }
        match c {
            '"' if !is_escaped => in_string = !in_string,
            _ => {}
        }
        is_escaped = in_string && c == '\\' && !is_escaped;
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_every_digit_and_every_level() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(
            r#"{{"big": 1e400, "long": 12345678901234567890123, "text": "a \"b\"\n", "list": [1, {{"a b": "c, \\\" d"}}], "deep": {deep}, "": null}}"#
        );
        let headers = header_texts(&json).expect("JSON");
        let wanted = [
            ("", "null"),
            ("big", "1e400"),
            ("deep", &*deep),
            ("list", r#"[1,{"a b":"c, \\\" d"}]"#),
            ("long", "12345678901234567890123"),
            ("text", "a \"b\"\n"),
        ];
        assert!(headers.iter().map(|(name, text)| (&**name, &**text)).eq(wanted));
        for no_object in ["null", "[1]", "\"x\"", "7"] {
            assert!(header_texts(no_object).expect("JSON").is_empty());
        }
        assert!(header_texts("{\"a\": ").is_err());
    }
}
