//! What was asked for: the DSN, else the service that it or `PGSERVICE` names, else variables.

use std::collections::BTreeMap;

use crate::environment::Environment;
use crate::origin::Origin;
use crate::parameter::{Kind, PARAMETERS, Parameter};
use crate::{conninfo, service, uri};

/// Every parameter that somebody named, by its name, and who did.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<&'static str, (String, Origin)>);

impl Settings {
    /// All mistakes at once. None repeats a password.
    pub fn read(dsn: Option<&str>, environment: &Environment<'_>) -> Result<Settings, String> {
        let mut settings = Settings::default();
        let mut mistakes = Vec::new();
        if let Some(dsn) = dsn {
            let named = if dsn.contains("://") || !dsn.contains('=') { uri::read(dsn) } else { conninfo::read(dsn) }?;
            let mut options = Vec::new();
            for (name, value) in named {
                // The driver's way to write one of a session's options.
                if let Some(option) = name.strip_prefix("options[").and_then(|name| name.strip_suffix(']')) {
                    options.push(format!("-c {}={}", escaped(option), escaped(&value)));
                    continue;
                }
                match Parameter::named(&name) {
                    Some(parameter) => drop(settings.0.insert(parameter.name, (value, Origin::Dsn))),
                    None => mistakes.push(format!(
                        "the DSN has a parameter {name:?} that nobody knows; correct it, or take it out"
                    )),
                }
            }
            if !options.is_empty() {
                let (all, _) = settings.0.entry("options").or_insert((String::new(), Origin::Dsn));
                options.insert(0, std::mem::take(all));
                *all = options.join(" ").trim_start().to_owned();
            }
        }
        // An empty parameter is an unset one.
        settings.0.retain(|_, (value, _)| !value.is_empty());
        for name in ["service", "servicefile"] {
            settings.fill_in_variable(name, environment);
        }
        if let Some((name, _)) = settings.0.get("service").cloned() {
            match service::find(&name, settings.get("servicefile"), environment) {
                Ok((parameters, file)) => mistakes.extend(settings.fill_in(&name, parameters, &file)),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for name in PARAMETERS.iter().map(|parameter| parameter.name) {
            settings.fill_in_variable(name, environment);
        }
        mistakes.extend(settings.refused());
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes.join("\n")) }
    }

    /// What the service names and the DSN does not. Returns mistakes.
    fn fill_in(&mut self, service: &str, parameters: Vec<(String, String)>, file: &str) -> Vec<String> {
        let origin = Origin::Service(service.to_owned(), file.to_owned());
        let mut mistakes = Vec::new();
        for (name, value) in parameters {
            match Parameter::named(&name) {
                Some(parameter) => drop(self.0.entry(parameter.name).or_insert((value, origin.clone()))),
                None => mistakes.push(format!("{origin} has a parameter {name:?} that nobody knows")),
            }
        }
        self.0.retain(|_, (value, _)| !value.is_empty());
        mistakes
    }

    fn fill_in_variable(&mut self, name: &str, environment: &Environment<'_>) {
        let Some(Parameter { name, variable: Some(variable), .. }) = Parameter::named(name) else { return };
        if !self.0.contains_key(name)
            && let Some(value) = environment(variable)
        {
            self.0.insert(name, (value, Origin::Variable(variable)));
        }
    }

    fn refused(&self) -> Vec<String> {
        let refused = |(name, (value, origin)): (&&'static str, &(String, Origin))| {
            let Some(Parameter { kind: Kind::Refused(harmless, remedy), .. }) = Parameter::named(name) else {
                return None;
            };
            let said = origin.of(name);
            (!harmless.contains(&value.as_str()))
                .then(|| format!("{said} is set, which pgq-host cannot honour: {remedy}; then take it out"))
        };
        self.0.iter().filter_map(refused).collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str())
    }

    /// The parameter as somebody wrote it, for a message.
    pub(crate) fn named(&self, name: &str) -> String {
        self.0.get(name).map_or_else(|| name.to_owned(), |(_, origin)| origin.of(name))
    }

    /// Whether its value is a variable's, which the driver reads as well.
    pub fn is_variables(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some((_, Origin::Variable(_))))
    }

    /// What counts, and who said it, without those that make no difference. No values.
    pub fn used(&self) -> Vec<(&'static str, Origin)> {
        let counts = |name: &str| Parameter::named(name).is_some_and(|found| found.kind != Kind::WithoutEffect);
        self.0.iter().filter(|(name, _)| counts(name)).map(|(name, (_, origin))| (*name, origin.clone())).collect()
    }
}

fn escaped(option: &str) -> String {
    option.replace('\\', r"\\").replace(' ', r"\ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dsn: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(Some(dsn).filter(|dsn| !dsn.is_empty()), &|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_dsn_goes_before_a_service_and_a_service_before_variables() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[jobs]\nhost=s1,s2\nport=2\nuser=\nsslmode=require\n").expect("written");
        let path = file.path().display().to_string();
        let variables = [("PGSERVICEFILE", path.as_str()), ("PGPORT", "3"), ("PGUSER", "v"), ("PGHOST", "v")];
        let found = read("postgresql://d/db?service=jobs", &variables).expect("read");
        let value = |name| found.get(name).unwrap_or("-").to_owned();
        assert_eq!([value("host"), value("port"), value("user"), value("sslmode")], ["d", "2", "v", "require"]);
        assert_eq!(found.named("port"), format!("port in the service \"jobs\" of {path}"));
        let by_variable = read("", &[&variables[..], &[("PGSERVICE", "jobs")]].concat()).expect("read");
        assert_eq!(by_variable.get("host"), Some("s1,s2"));
    }

    #[test]
    fn options_of_a_session_are_joined() {
        let found = read("postgresql:///?options=-c%20a=1&options[b]=x%20y&options[c]=2", &[]).expect("read");
        assert_eq!(found.get("options"), Some(r"-c a=1 -c b=x\ y -c c=2"));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_no_password_is() {
        for (dsn, said) in [
            ("mysql://u@h/db", "mysql://"),
            ("localhost", "postgresql://user@host"),
            ("postgresql://u:sec/secret@h/db", "%2F"),
            ("postgresql://u:sec#secret@h/db", "%23"),
            ("postgresql://u:100%secret@h/db", "%25"),
            ("postgresql://u:%ffsecret@h/db", "UTF-8"),
            ("postgresql://u@[::g]/db", "::g"),
            ("postgresql://u@[::1]x/db", "behind the ]"),
            ("postgresql://u@::1/db", "brackets"),
            ("postgresql://h/db?sslmod=require", "\"sslmod\""),
            ("host=h passwort=secret", "\"passwort\""),
            ("host=h password='secret", "does not end"),
            ("postgresql://h/db?sslmode", "no value"),
            ("postgresql://h/db\n", "newline"),
            ("postgresql://h/db?sslpassword=secret", "sslpassword in the DSN"),
            ("postgresql://h/db?require_auth=scram-sha-256", "require_auth in the DSN"),
            ("postgresql://h/db?gssencmode=require", "gssencmode in the DSN"),
        ] {
            let found = read(dsn, &[]).err().unwrap_or_else(|| panic!("{dsn} is read"));
            assert!(found.contains(said) && !found.contains("secret"), "{dsn}: {found}");
        }
        let said = read("postgresql://h/?x=1", &[("PGREQUIREPEER", "postgres"), ("PGSERVICE", "none")]);
        let said = said.err().expect("refused");
        assert!(["\"x\"", "PGREQUIREPEER", "\"none\""].iter().all(|part| said.contains(part)), "{said}");
    }
}
