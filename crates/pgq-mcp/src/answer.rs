//! An answer in the shape of the protocol, no larger than it may be.

use pgq_job::visible;
use pgq_queue::shorten_all;
use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::guide::DATA_OF_OTHERS;

/// Bytes of one text, and what is tried next while an answer is too long.
const TEXTS: [usize; 4] = [16 << 10, 4 << 10, 1 << 10, 256];
/// Items of one list, in the same tries.
const ITEMS: [usize; 4] = [usize::MAX, 200, 50, 10];

/// What a tool tells.
#[derive(Debug)]
pub(crate) enum Answer {
    /// As PgQueuer's tools do.
    Rows(Vec<Value>),
    One(Value),
}

impl Answer {
    pub(crate) fn rows<T: Serialize>(rows: &[T]) -> Answer {
        // Plain data has nothing that cannot be JSON.
        Answer::Rows(rows.iter().map(|row| serde_json::to_value(row).unwrap_or_default()).collect())
    }

    pub(crate) fn one<T: Serialize>(thing: &T) -> Answer {
        Answer::One(serde_json::to_value(thing).unwrap_or_default())
    }

    /// At most so many bytes of text. What is left out is said.
    pub(crate) fn within(self, most: usize) -> CallToolResult {
        match self {
            Answer::Rows(rows) => of_rows(rows, most),
            Answer::One(thing) => of_one(thing, most),
        }
    }
}

fn of_rows(rows: Vec<Value>, most: usize) -> CallToolResult {
    let (all, mut used) = (rows.len(), 0);
    let (mut kept, mut content) = (Vec::new(), Vec::new());
    for mut row in rows {
        show(&mut row);
        let fits = TEXTS.iter().find_map(|longest| {
            // Texts of later rows are not cut to make room: rather there are fewer rows.
            if *longest != TEXTS[0] && !kept.is_empty() {
                return None;
            }
            shorten_all(&mut row, *longest);
            Some(pretty(&row)).filter(|text| used + text.len() <= most)
        });
        let Some(text) = fits else { break };
        used += text.len();
        content.push(ContentBlock::text(text));
        kept.push(row);
    }
    let left = all - kept.len();
    if left > 0 {
        content.push(ContentBlock::text(format!(
            "({left} of {all} rows are left out: an answer has at most {most} bytes; ask for fewer, or for a part)"
        )));
    }
    let mut result = CallToolResult::success(content);
    result.structured_content = Some(json!({ "result": kept }));
    result.meta = Some(meta(left));
    result
}

fn of_one(mut thing: Value, most: usize) -> CallToolResult {
    show(&mut thing);
    let mut cut = Vec::new();
    let mut text = String::new();
    for (longest, items) in TEXTS.iter().zip(ITEMS) {
        shorten_all(&mut thing, *longest);
        shorten_lists(&mut thing, items, "", &mut cut);
        if let Value::Object(object) = &mut thing {
            object.insert("data_of_others".into(), DATA_OF_OTHERS.into());
            if !cut.is_empty() {
                object.insert("left_out".into(), cut.clone().into());
            }
        }
        text = pretty(&thing);
        if text.len() <= most {
            break;
        }
    }
    if text.len() > most {
        let why = format!("the answer has {} bytes, and {most} are allowed; ask for a part of it", text.len());
        return CallToolResult::error(vec![ContentBlock::text(why)]);
    }
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(thing);
    result.meta = Some(meta(cut.len()));
    result
}

fn meta(left_out: usize) -> MetaObject {
    let mut meta = Map::new();
    meta.insert("pgq-host/data-of-others".into(), DATA_OF_OTHERS.into());
    meta.insert("pgq-host/left-out".into(), left_out.into());
    MetaObject(meta)
}

/// As PgQueuer writes it.
fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Write out what nobody would see in texts and names of others.
fn show(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(shown) = visible(text) {
                *text = shown;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(show),
        Value::Object(pairs) => {
            let shown = std::mem::take(pairs).into_iter().map(|(key, mut value)| {
                show(&mut value);
                (visible(&key).into_owned(), value)
            });
            *pairs = shown.collect();
        }
        _ => {}
    }
}

/// Keep the first items of each list, and note where others are left out.
fn shorten_lists(value: &mut Value, most: usize, at: &str, cut: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            if items.len() > most {
                cut.push(format!("{at}: {} of {}", items.len() - most, items.len()));
                items.truncate(most);
            }
            items
                .iter_mut()
                .enumerate()
                .for_each(|(place, item)| shorten_lists(item, most, &format!("{at}/{place}"), cut));
        }
        Value::Object(pairs) => {
            let below = pairs.iter_mut().filter(|(key, _)| *key != "left_out");
            below.for_each(|(key, item)| shorten_lists(item, most, &format!("{at}/{key}"), cut));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(result: &CallToolResult) -> Vec<String> {
        let value = serde_json::to_value(&result.content).expect("JSON");
        value.as_array().expect("a list").iter().map(|one| one["text"].as_str().expect("a text").to_owned()).collect()
    }

    #[test]
    fn rows_are_left_out_from_the_end_and_that_is_said() {
        let rows: Vec<Value> = (0..100).map(|n| json!({ "n": n, "text": "x".repeat(100) })).collect();
        let result = Answer::Rows(rows.clone()).within(1_000);
        let kept = result.structured_content.as_ref().expect("a result")["result"].as_array().expect("rows").len();
        let texts = texts(&result);
        assert!(kept > 2 && kept < 20 && texts.len() == kept + 1, "{kept}");
        assert!(texts[kept].contains(&format!("{} of 100 rows", 100 - kept)), "{}", texts[kept]);
        assert!(texts[..kept].iter().map(String::len).sum::<usize>() <= 1_000);
        let whole = Answer::Rows(rows).within(1 << 20);
        assert_eq!(whole.structured_content.expect("a result")["result"].as_array().map(Vec::len), Some(100));
    }

    #[test]
    fn one_long_row_is_shortened_rather_than_left_out() {
        let result = Answer::Rows(vec![json!({ "text": "x".repeat(100_000) })]).within(2_000);
        let text = result.structured_content.expect("a result")["result"][0]["text"].as_str().expect("it").to_owned();
        assert!(text.len() < 1_100 && text.contains("bytes more)"), "{text}");
    }

    #[test]
    fn a_long_answer_loses_items_and_says_where() {
        let many: Vec<Value> = (0..1_000).map(|n| json!({ "n": n, "more": "y".repeat(50) })).collect();
        let result = Answer::One(json!({ "plugins": many })).within(10_000);
        let thing = result.structured_content.expect("an answer");
        assert_eq!(thing["plugins"].as_array().map(Vec::len), Some(50));
        assert_eq!(thing["left_out"], json!(["/plugins: 800 of 1000", "/plugins: 150 of 200"]));
        assert_eq!(thing["data_of_others"], DATA_OF_OTHERS);
        let hopeless = Answer::One(json!({ "text": "z".repeat(10) })).within(100);
        assert_eq!(hopeless.is_error, Some(true));
    }

    #[test]
    fn nothing_in_a_text_is_invisible_or_turns_it_around() {
        let row = json!({ "name\u{202e}": "a\u{1b}[31mred\u{200b}\u{e0041}" });
        let result = Answer::Rows(vec![row]).within(10_000);
        assert_eq!(
            result.structured_content.expect("it")["result"][0],
            json!({
                "name\\u{202e}": "a\\u{1b}[31mred\\u{200b}\\u{e0041}"
            })
        );
    }
}
