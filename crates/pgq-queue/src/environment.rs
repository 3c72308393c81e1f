//! Variables of the environment: one rule for all of them. An empty one is an unset one, as Compose
//! files leave what they do not have; a truth is said in any of the usual ways.

/// A variable that is set, and not to nothing.
pub fn variable(name: &str) -> Option<String> {
    // What is no text is kept as something that no check lets pass, rather than taken for unset.
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
}

/// Yes or no.
pub fn truth(said: &str) -> Result<bool, String> {
    match said.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err("use true or false (or 1, yes, on; 0, no, off)".into()),
    }
}

/// The name of the system's user, as far as the system has one.
pub fn system_user() -> Option<String> {
    whoami::username().ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truths_are_said_in_any_of_the_usual_ways() {
        for (said, meant) in [
            ("1", true),
            ("TRUE", true),
            ("Yes", true),
            ("on", true),
            ("0", false),
            ("False", false),
            ("no", false),
            ("OFF", false),
        ] {
            assert_eq!(truth(said), Ok(meant));
        }
        assert!(truth("maybe").is_err_and(|error| error.contains("true or false")));
        assert!(truth("").is_err());
    }
}
