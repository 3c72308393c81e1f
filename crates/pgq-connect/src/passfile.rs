//! libpq's password file: lines of host:port:database:user:password.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The longest file that is read.
const MOST: u64 = 1 << 20;

/// Whom a password is for.
#[derive(Debug)]
pub(crate) struct Login<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

/// The password of the first line that fits. A file that others may read is not used, as with libpq.
pub(crate) fn password(file: &Path, login: &Login<'_>) -> Option<String> {
    let metadata = fs::metadata(file).ok()?;
    let shown = file.display();
    if !metadata.is_file() {
        tracing::warn!("the password file {shown} is no regular file, and is not used");
        return None;
    }
    if metadata.mode() & 0o077 != 0 {
        tracing::warn!("the password file {shown} may be read by others, and is not used: chmod 600 it");
        return None;
    }
    if metadata.len() > MOST {
        tracing::warn!("the password file {shown} is longer than {MOST} bytes, and is not used");
        return None;
    }
    let text =
        fs::read_to_string(file).inspect_err(|error| tracing::warn!(%error, "cannot read the password file {shown}"));
    text.ok()?.lines().find_map(|line| of_line(line, login))
}

fn of_line(line: &str, login: &Login<'_>) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let port = login.port.to_string();
    let mut rest = line;
    for wanted in [login.host, &port, login.database, login.user] {
        let (field, behind) = field(rest);
        rest = behind?;
        if field.1 != "*" && field.0 != wanted {
            return None;
        }
    }
    Some(field(rest).0.0)
}

/// A field without its escapes and as written, and what is behind its colon.
fn field(text: &str) -> ((String, &str), Option<&str>) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next().map_or('\\', |(_, escaped)| escaped)),
            ':' => return ((value, &text[..at]), Some(&text[at + 1..])),
            plain => value.push(plain),
        }
    }
    ((value, text), None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_line_that_fits_counts_with_its_escapes() {
        let login = |host| Login { host, port: 5432, database: "d", user: "u" };
        for (line, password) in [
            ("h:5432:d:u:secret", Some("secret")),
            ("*:*:*:*:a:b", Some("a")),
            (r"h:*:d:u:a\:b\\c ", Some(r"a:b\c ")),
            (r"\h:5432:*:u:p", Some("p")),
            ("h:5433:d:u:secret", None),
            ("#h:5432:d:u:secret", None),
            ("h:5432:d:u", None),
            (r"\*:5432:d:u:secret", None),
        ] {
            assert_eq!(of_line(line, &login("h")).as_deref(), password, "{line}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "# all\nh:1:d:u:no\n*:*:*:*:yes\n").expect("written");
        let login = Login { host: "h", port: 2, database: "d", user: "u" };
        let with = |mode| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("set");
            password(file.path(), &login)
        };
        assert_eq!((with(0o600).as_deref(), with(0o640)), (Some("yes"), None));
        assert_eq!(password(Path::new("/dev/null"), &login), None);
    }
}
