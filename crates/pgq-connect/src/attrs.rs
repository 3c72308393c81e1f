//! `target_session_attrs`: which server is the one that is looked for.

use std::fmt;

/// What a server says of itself when a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    pub is_standby: bool,
    /// Transactions of the session are read-only, by `default_transaction_read_only`.
    pub is_read_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionAttrs {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

const NAMES: [(&str, SessionAttrs); 6] = [
    ("any", SessionAttrs::Any),
    ("read-write", SessionAttrs::ReadWrite),
    ("read-only", SessionAttrs::ReadOnly),
    ("primary", SessionAttrs::Primary),
    ("standby", SessionAttrs::Standby),
    ("prefer-standby", SessionAttrs::PreferStandby),
];

impl SessionAttrs {
    pub(crate) fn named(text: &str) -> Option<SessionAttrs> {
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, attrs)| *attrs)
    }

    /// All hosts are tried for the first of these, then for the next.
    pub(crate) fn passes(self) -> &'static [SessionAttrs] {
        match self {
            SessionAttrs::Any => &[SessionAttrs::Any],
            SessionAttrs::ReadWrite => &[SessionAttrs::ReadWrite],
            SessionAttrs::ReadOnly => &[SessionAttrs::ReadOnly],
            SessionAttrs::Primary => &[SessionAttrs::Primary],
            SessionAttrs::Standby => &[SessionAttrs::Standby],
            SessionAttrs::PreferStandby => &[SessionAttrs::Standby, SessionAttrs::Any],
        }
    }

    /// Why the server is not the one, if it is not.
    pub fn refusal(self, role: Role) -> Option<&'static str> {
        let writable = !role.is_standby && !role.is_read_only;
        match self {
            SessionAttrs::ReadWrite if !writable => Some("the session is read-only"),
            SessionAttrs::ReadOnly if writable => Some("the session is not read-only"),
            SessionAttrs::Primary if role.is_standby => Some("the server is a standby"),
            SessionAttrs::Standby if !role.is_standby => Some("the server is not a standby"),
            _ => None,
        }
    }
}

impl fmt::Display for SessionAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, attrs)| attrs == self).map_or("?", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_as_libpq_does() {
        let role = |is_standby, is_read_only| Role { is_standby, is_read_only };
        let (primary, frozen, standby) = (role(false, false), role(false, true), role(true, false));
        for (name, wanted) in [
            ("any", [true, true, true]),
            ("read-write", [true, false, false]),
            ("read-only", [false, true, true]),
            ("primary", [true, true, false]),
            ("standby", [false, false, true]),
        ] {
            let attrs = SessionAttrs::named(name).expect(name);
            assert_eq!([primary, frozen, standby].map(|role| attrs.refusal(role).is_none()), wanted, "{name}");
            assert_eq!(attrs.to_string(), name);
        }
        assert_eq!(SessionAttrs::PreferStandby.passes(), [SessionAttrs::Standby, SessionAttrs::Any]);
        assert_eq!(SessionAttrs::named("readwrite"), None);
    }
}
