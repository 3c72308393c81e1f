//! Where to go after a login: a page of this site, whatever the link says that led there.

/// A path of the site that was asked for, if it is one. Browsers read `//host` and `/\host` as
/// another site.
pub(super) fn within(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain && next.len() <= 2_000 { next } else { "/" }
}

/// As the value of a field in a link.
pub(super) fn escaped(next: &str) -> String {
    form_urlencoded::byte_serialize(next.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_path_of_this_site_or_the_first_page() {
        for path in ["/", "/jobs/5?x=%2F%2Fevil.example", "/jobs#1"] {
            assert_eq!(within(path), path);
        }
        let long = format!("/{}", "a".repeat(2_000));
        for elsewhere in [
            "",
            "jobs",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "/a\r\nSet-Cookie: x",
            "/\t/evil.example",
            "/ä",
            "javascript:alert(1)",
            &long,
        ] {
            assert_eq!(within(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(escaped("/jobs?a=1&b=\""), "%2Fjobs%3Fa%3D1%26b%3D%22");
    }
}
