//! `key=value` settings, as libpq reads them.

/// The settings in their order. No error repeats a value.
pub(crate) fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let Some(behind) = behind.trim_start().strip_prefix('=') else {
            return Err("a setting in the DSN has no = behind its name; write blanks within values as 'a b'".into());
        };
        let (value, behind) = value(behind.trim_start())?;
        settings.push((name.to_owned(), value));
        rest = behind.trim_start();
    }
    Ok(settings)
}

/// The value, and what is behind it.
fn value(text: &str) -> Result<(String, &str), String> {
    let (quoted, text) = text.strip_prefix('\'').map_or((false, text), |text| (true, text));
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            blank if !quoted && blank.is_ascii_whitespace() => return Ok((value, &text[at..])),
            plain => value.push(plain),
        }
    }
    if quoted {
        return Err("a value in the DSN begins with a ' and does not end with one".into());
    }
    Ok((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_are_libpqs() {
        let settings = read(r" host = a  password='it\'s \\ s e' user=a\ b dbname='' port=1").expect("settings");
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            settings,
            [("host", "a"), ("password", r"it's \ s e"), ("user", "a b"), ("dbname", ""), ("port", "1")]
        );
        for wrong in ["host", "host a=b", "password='secret"] {
            assert!(read(wrong).is_err_and(|error| !error.contains("secret")), "{wrong}");
        }
    }
}
