//! Settings of libpq that cannot be honoured.

/// Settings that libpq reads and the driver does not: variable, parameter of a DSN, harmless
/// values, remedy. To connect elsewhere, or with fewer checks than were asked for, is worse than
/// not to connect.
pub(super) const NOT_SUPPORTED: [(&str, &str, &[&str], &str); 7] = [
    ("PGSERVICE", "service", &[], "write the service's settings as a DSN, or as PGHOST, PGPORT, PGUSER, PGDATABASE"),
    ("PGSSLCRL", "sslcrl", &[], "revocation lists are not read"),
    ("PGSSLCRLDIR", "sslcrldir", &[], "revocation lists are not read"),
    ("PGREQUIREPEER", "requirepeer", &[], "the peer's user is not checked; use TLS with sslmode=verify-full"),
    ("PGREQUIREAUTH", "require_auth", &[], "the way to authenticate is the server's choice; say it in pg_hba.conf"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs", &["any"], "name the primary server itself"),
    (
        "PGCHANNELBINDING",
        "channel_binding",
        &["prefer", "disable"],
        "use sslmode=verify-full, which proves the server's identity as well",
    ),
];

/// Whether this parameter of a DSN is one of them.
pub(super) fn is_refused(parameter: &str) -> bool {
    NOT_SUPPORTED.iter().any(|(_, name, _, _)| *name == parameter)
}
