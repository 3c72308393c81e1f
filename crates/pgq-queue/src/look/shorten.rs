//! Long texts made short, for whoever asks for many.

use serde_json::Value;

/// Cut a text after so many bytes, and say how much was cut.
pub fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        let cut = text.len() - text.floor_char_boundary(most);
        text.truncate(text.floor_char_boundary(most));
        text.push_str(&format!(" ... ({cut} bytes more)"));
    }
}

/// The same for every text in a value.
pub fn shorten_all(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => shorten(text, most),
        Value::Array(items) => items.iter_mut().for_each(|item| shorten_all(item, most)),
        Value::Object(pairs) => pairs.values_mut().for_each(|item| shorten_all(item, most)),
        _ => {}
    }
}
