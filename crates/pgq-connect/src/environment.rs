//! Where variables come from: the process, or a test.

/// The value of a variable that is set, and not to nothing.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;
