//! The lock that keeps two upgrades of one installation apart; the key is PgQueuer's, so that the
//! two tools exclude each other as well.

use sqlx::PgConnection;

use super::error::SchemaError;
use crate::names::Names;

/// CRC-32 of the queue table's name as PgQueuer spells it: unquoted, after the schema if one is
/// set, in the given case.
pub(super) fn key(names: &Names) -> i64 {
    let table = &names.queue_table;
    let qualified = names.schema.as_ref().map_or_else(|| table.clone(), |schema| format!("{schema}.{table}"));
    i64::from(crc32(qualified.as_bytes()))
}

/// Hold the lock until the transaction ends.
pub(super) async fn lock_transaction(conn: &mut PgConnection, names: &Names) -> Result<(), SchemaError> {
    call("SELECT pg_advisory_xact_lock($1)", conn, names).await
}

/// Hold the lock until [`unlock`] or the end of the session.
pub(super) async fn lock(conn: &mut PgConnection, names: &Names) -> Result<(), SchemaError> {
    call("SELECT pg_advisory_lock($1)", conn, names).await
}

pub(super) async fn unlock(conn: &mut PgConnection, names: &Names) -> Result<(), SchemaError> {
    call("SELECT pg_advisory_unlock($1)", conn, names).await
}

async fn call(sql: &'static str, conn: &mut PgConnection, names: &Names) -> Result<(), SchemaError> {
    match sqlx::query(sql).bind(key(names)).execute(conn).await {
        Ok(_) => Ok(()),
        Err(error) => Err(SchemaError::refused(sql, error)),
    }
}

/// The CRC-32 of zlib (polynomial 0xEDB88320, reflected).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameSettings;

    #[test]
    fn the_key_is_pgqueuers() {
        let names = |schema: Option<&str>| {
            Names::new(&NameSettings { prefix: None, schema: schema.map(Into::into) }, |_| None).expect("valid")
        };
        assert_eq!(key(&names(None)), 2_389_487_409);
        assert_eq!(key(&names(Some("Jobs"))), i64::from(crc32(b"jobs.pgqueuer")));
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
