//! A filter as it is typed: the options of `jobs`.

use pgq_queue::JobFilterBody;

const NAMES: [&str; 8] = ["status", "entrypoint", "older", "younger", "error", "header", "plugin", "cause"];

/// `--status failed --error 'no luck'`, or the same as `status=failed error='no luck'`.
pub(crate) fn parse(line: &str) -> Result<JobFilterBody, String> {
    let mut filter = JobFilterBody::default();
    let mut words = words(line)?.into_iter();
    while let Some(word) = words.next() {
        let (name, value) = match (word.strip_prefix("--"), word.split_once('=')) {
            (Some(option), _) if !option.contains('=') => (option.to_owned(), words.next()),
            (_, Some((name, value))) => (name.trim_start_matches("--").to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let place = place(&mut filter, &name).ok_or_else(|| {
            format!("{word:?} is no part of a filter; write --NAME VALUE, where NAME is one of {}", NAMES.join(", "))
        })?;
        let value = value.filter(|value| !value.is_empty());
        *place = Some(value.ok_or_else(|| format!("--{name}: its value is missing"))?);
    }
    filter.filter().map_err(|error| error.to_string())?;
    Ok(filter)
}

/// The same again, to be changed.
pub(crate) fn write(filter: &JobFilterBody) -> String {
    let mut filter = filter.clone();
    let part = |name: &&str| {
        let value = place(&mut filter, name)?.clone()?;
        let is_plain = !value.contains(|c: char| c.is_whitespace() || "'\"".contains(c));
        Some(match (is_plain, value.contains('\'')) {
            (true, _) => format!("--{name} {value}"),
            (false, false) => format!("--{name} '{value}'"),
            (false, true) => format!("--{name} \"{}\"", value.replace('"', "'")),
        })
    };
    NAMES.iter().filter_map(part).collect::<Vec<_>>().join(" ")
}

fn place<'f>(filter: &'f mut JobFilterBody, name: &str) -> Option<&'f mut Option<String>> {
    Some(match name {
        "status" => &mut filter.status,
        "entrypoint" => &mut filter.entrypoint,
        "older" => &mut filter.older,
        "younger" => &mut filter.younger,
        "error" => &mut filter.error,
        "header" => &mut filter.header,
        "plugin" => &mut filter.plugin,
        "cause" => &mut filter.cause,
        _ => return None,
    })
}

/// As a shell splits a line: quotation marks keep spaces.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut mark) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (mark, c) {
            (Some(open), c) if c == open => mark = None,
            (None, '\'' | '"') => {
                mark = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(mark) = mark {
        return Err(format!("a quotation mark {mark} is missing at the end"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_typed_as_the_options_of_jobs_and_written_back() {
        let typed = "--status failed --entrypoint=a older=15m --error 'no \"luck\"'";
        let filter = parse(typed).expect("a filter");
        assert_eq!(
            (filter.status.as_deref(), filter.entrypoint.as_deref(), filter.older.as_deref()),
            (Some("failed"), Some("a"), Some("15m"))
        );
        assert_eq!(filter.error.as_deref(), Some("no \"luck\""));
        assert_eq!(parse(&write(&filter)).map(|again| write(&again)), Ok(write(&filter)));
        assert_eq!(parse("--header a=b").map(|filter| filter.header), Ok(Some("a=b".into())));
        assert_eq!(parse(" ").map(|filter| write(&filter)), Ok(String::new()));
    }

    #[test]
    fn what_is_no_filter_is_refused_by_name() {
        for (typed, named) in [
            ("--statsu failed", "statsu"),
            ("failed", "\"failed\""),
            ("--status", "--status"),
            ("--status lost", "\"lost\""),
            ("--older soon", "\"soon\""),
            ("--error 'no", "'"),
            ("--status successful --header a", "header"),
        ] {
            let error = parse(typed).expect_err(typed);
            assert!(error.contains(named), "{typed}: {error}");
        }
    }
}
