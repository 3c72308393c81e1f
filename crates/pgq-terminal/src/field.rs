//! A line that is typed.

use pgq_job::printable::is_unfit;

/// As much as a reason in the audit may have in the pages.
const MOST: usize = 500;

#[derive(Debug, Clone, Default)]
pub(crate) struct Field {
    pub(crate) text: String,
}

impl Field {
    pub(crate) fn new(text: String) -> Field {
        Field { text }
    }

    /// Add what was typed or pasted, as far as it can be shown.
    pub(crate) fn add(&mut self, text: &str) {
        let room = MOST.saturating_sub(self.text.chars().count());
        self.text.extend(text.chars().filter(|c| !is_unfit(*c)).take(room));
    }

    pub(crate) fn delete(&mut self) {
        self.text.pop();
    }

    /// The last word.
    pub(crate) fn delete_word(&mut self) {
        let kept = self.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
        self.text.truncate(kept);
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_takes_what_can_be_shown_and_no_more_than_it_may_have() {
        let mut field = Field::new("a ".into());
        field.add("b\u{1b}[2J\nc");
        assert_eq!(field.text, "a b[2Jc");
        field.delete();
        field.delete_word();
        assert_eq!(field.text, "a ");
        field.add(&"x".repeat(10_000));
        assert_eq!(field.text.len(), MOST);
        field.clear();
        assert_eq!(field.text, "");
    }
}
