//! What lies over a page: the help, a question, and the line of a filter.

use super::canvas::Canvas;
use crate::field::Field;
use crate::keys::KEYS;
use crate::text::{width, wrap};
use crate::todo::Todo;
use crate::tone::Tone;

/// Columns of a question, and of the keys in the help.
const QUESTION: u16 = 72;
const KEY: usize = 18;

pub(super) fn help(canvas: &mut Canvas<'_, '_>, top: u16, height: u16) {
    let room = usize::from(canvas.width).saturating_sub(KEY);
    let lines = KEYS.iter().flat_map(|(key, meaning)| {
        let lines = wrap(meaning, room).into_iter();
        lines.enumerate().map(|(place, line)| (if place == 0 { *key } else { "" }, line)).collect::<Vec<_>>()
    });
    for ((key, line), row) in lines.take(usize::from(height)).zip(top..) {
        canvas.put(0, row, Tone::Strong, key);
        canvas.put(KEY, row, Tone::Plain, &line);
    }
}

/// The end of what was typed, in so much room.
fn end(text: &str, room: usize) -> &str {
    let mut start = 0;
    while width(&text[start..]) > room {
        start += text[start..].chars().next().map_or(1, char::len_utf8);
    }
    &text[start..]
}

pub(super) fn filter(canvas: &mut Canvas<'_, '_>, row: u16, field: &Field, error: Option<&str>) {
    const LABEL: &str = "Filter: ";
    if let Some(error) = error {
        canvas.put(0, row - 1, Tone::Plain, &" ".repeat(usize::from(canvas.width)));
        canvas.put(0, row - 1, Tone::Bad, error);
    }
    let shown = end(&field.text, usize::from(canvas.width) - LABEL.len() - 1).to_owned();
    canvas.put(0, row, Tone::Strong, LABEL);
    canvas.put(LABEL.len(), row, Tone::Plain, &shown);
    if field.text.is_empty() {
        canvas.put(
            LABEL.len() + 1,
            row,
            Tone::Dim,
            "--status failed --entrypoint NAME --error TEXT --older 15m --header a=b",
        );
    }
    canvas.cursor(LABEL.len() + width(&shown), row);
}

pub(super) fn question(canvas: &mut Canvas<'_, '_>, todo: &Todo, reason: &Field, error: Option<&str>) {
    const LABEL: &str = "Reason: ";
    let room = usize::from(QUESTION.min(canvas.width)) - 4;
    let mut lines: Vec<(Tone, String)> =
        wrap(&todo.question(), room).into_iter().map(|line| (Tone::Strong, line)).collect();
    lines.extend(todo.meaning().iter().flat_map(|text| wrap(text, room)).map(|line| (Tone::Plain, line)));
    let keys = match (todo.is_ready(), todo.needs_reason()) {
        (false, _) => "Esc leaves everything as it is.",
        (true, true) => "Enter does it, Esc leaves everything as it is. A reason is needed.",
        (true, false) => "Enter does it, Esc leaves everything as it is.",
    };
    let rows = lines.len() + 5;
    let (column, top) = canvas.frame_box(QUESTION, u16::try_from(rows).unwrap_or(u16::MAX));
    let column = usize::from(column);
    for ((tone, line), row) in lines.iter().zip(top..) {
        canvas.put_within(column, row, room, *tone, line);
    }
    let row = top + u16::try_from(lines.len()).unwrap_or_default();
    let shown = end(&reason.text, room - LABEL.len() - 1).to_owned();
    canvas.put(column, row + 1, Tone::Dim, LABEL);
    canvas.put(column + LABEL.len(), row + 1, Tone::Plain, &shown);
    canvas.put_within(
        column,
        row + 2,
        room,
        if error.is_some() { Tone::Bad } else { Tone::Dim },
        error.unwrap_or(keys),
    );
    canvas.cursor(column + LABEL.len() + width(&shown), row + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_typed_the_end_is_shown() {
        assert_eq!((end("abcdef", 3), end("ab", 3), end("ab日本", 4)), ("def", "ab", "日本"));
    }
}
