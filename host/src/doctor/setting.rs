//! Server settings that the hosts' role gets, and the statement that changes one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::target::{Target, quoted};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// As set, in lower case. Durations may have a unit.
    pub(super) value: String,
    /// PostgreSQL's unit for a bare number.
    unit: Option<String>,
    from: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Server,
    Database,
    Role,
    /// Set by the client: `PGOPTIONS`, or the DSN.
    Client,
}

/// The values that this session started with. It has changed some since.
const OWN: &str = "SELECT name, lower(coalesce(reset_val, '')), unit, source FROM pg_settings WHERE name = ANY ($1)";

/// What another role would get: the setting for the role in this database, then for the role
/// anywhere, then for the database.
const OF_ROLE: &str = "SELECT DISTINCT ON (name) name, lower(value), setrole <> 0 FROM ( \
        SELECT split_part(item, '=', 1) AS name, substr(item, strpos(item, '=') + 1) AS value, setrole, \
            (setrole <> 0)::int * 2 + (setdatabase <> 0)::int AS rank \
        FROM pg_db_role_setting, unnest(setconfig) AS item \
        WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
          AND setrole IN (0, coalesce((SELECT oid FROM pg_roles WHERE rolname = $2), 0)) \
    ) AS items WHERE name = ANY ($1) ORDER BY name, rank DESC";

/// Read these settings. One that the server does not know is left out.
pub(super) async fn read(target: &Target<'_>, names: &[&str]) -> sqlx::Result<BTreeMap<String, Setting>> {
    let mut read_only = target.read_only_unbounded().await?;
    let own: Vec<(String, String, Option<String>, String)> =
        sqlx::query_as(OWN).bind(names).fetch_all(&mut *read_only).await?;
    let another = target.role != target.me;
    let mut settings: BTreeMap<String, Setting> = own
        .into_iter()
        .map(|(name, value, unit, source)| {
            let from = match source.as_str() {
                "database" => Source::Database,
                "user" | "database user" => Source::Role,
                "client" => Source::Client,
                _ => Source::Server,
            };
            (name, Setting { value, unit, from })
        })
        .collect();
    if another {
        let of_role: Vec<(String, String, bool)> =
            sqlx::query_as(OF_ROLE).bind(names).bind(&target.role).fetch_all(&mut *read_only).await?;
        for (name, value, of_the_role) in of_role {
            if let Some(setting) = settings.get_mut(&name) {
                setting.value = value;
                setting.from = if of_the_role { Source::Role } else { Source::Database };
            }
        }
    }
    Ok(settings)
}

impl Setting {
    pub(super) fn is_off(&self) -> bool {
        ["off", "false", "no", "0"].contains(&self.value.as_str())
    }

    /// The value as a duration. Zero and less mean none.
    pub(super) fn time(&self) -> Option<Duration> {
        let digits = self.value.find(|c: char| c.is_ascii_alphabetic() || c == ' ').unwrap_or(self.value.len());
        let (number, unit) = self.value.split_at(digits);
        let unit = match unit.trim() {
            "" => self.unit.as_deref().unwrap_or("ms"),
            unit => unit,
        };
        let millis = match unit {
            "us" => 0.001,
            "s" => 1e3,
            "min" => 60e3,
            "h" => 3600e3,
            "d" => 86_400e3,
            _ => 1.0,
        };
        let millis = number.parse::<f64>().ok()? * millis;
        (millis > 0.0).then(|| Duration::from_secs_f64(millis / 1e3))
    }

    /// Where it is set.
    pub(super) fn place(&self) -> &'static str {
        match self.from {
            Source::Server => "for the whole server",
            Source::Database => "for this database",
            Source::Role => "for this role",
            Source::Client => "by the client",
        }
    }

    /// The statement that sets it to `recommended`, with the smallest scope that works. Settings of the
    /// server can only be changed for the whole server.
    pub(super) fn remedy(&self, target: &Target<'_>, name: &str, recommended: &str) -> String {
        let (role, database) = (quoted(&target.role), quoted(&target.database));
        match self.from {
            Source::Server => format!("ALTER SYSTEM SET {name} = {recommended}; SELECT pg_reload_conf();"),
            Source::Database => format!("ALTER DATABASE {database} SET {name} = {recommended};"),
            Source::Role => format!("ALTER ROLE {role} IN DATABASE {database} SET {name} = {recommended};"),
            Source::Client => format!("remove {name} from PGOPTIONS and the DSN's options"),
        }
    }

    /// The statement that sets it to `recommended` for the hosts' role alone.
    pub(super) fn remedy_for_role(&self, target: &Target<'_>, name: &str, recommended: &str) -> String {
        let role_only =
            Setting { from: if self.from == Source::Client { Source::Client } else { Source::Role }, ..self.clone() };
        role_only.remedy(target, name, recommended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_postgresql_writes_them() {
        let time = |value: &str, unit: Option<&str>| {
            Setting { value: value.into(), unit: unit.map(str::to_owned), from: Source::Server }
                .time()
                .map(|time| time.as_secs_f64())
        };
        assert_eq!(time("0", Some("ms")), None);
        assert_eq!(time("-1", Some("ms")), None);
        assert_eq!(time("1500", Some("ms")), Some(1.5));
        assert_eq!(time("30", Some("s")), Some(30.0));
        assert_eq!(time("5s", Some("ms")), Some(5.0));
        assert_eq!(time("2 min", None), Some(120.0));
        assert_eq!(time("", None), None);
    }
}
