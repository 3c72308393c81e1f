//! A text of others as one word of a command that somebody may copy.

/// Quoted for a POSIX shell, unless it is plain.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_word_whatever_is_in_it() {
        assert_eq!(shell_word("send_mail.v2"), "send_mail.v2");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("x'; rm -rf ~ #"), r"'x'\''; rm -rf ~ #'");
        assert_eq!((shell_word(""), shell_word("--all")), ("''".into(), "'--all'".into()));
    }
}
