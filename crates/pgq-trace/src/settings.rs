//! What the `OTEL_*` variables say of traces.

use std::path::PathBuf;
use std::time::Duration;

use super::sampler::Sampler;
use super::variables::Reading;

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    /// Protobuf over HTTP.
    Http,
}

/// Where traces go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    pub protocol: Protocol,
    /// The whole URL.
    pub endpoint: String,
    /// For one request to the collector.
    pub timeout: Duration,
    /// Files in PEM: whom to trust instead of whom the system trusts, and how to show who we are.
    pub certificate: Option<PathBuf>,
    pub client: Option<(PathBuf, PathBuf)>,
    pub sampler: Sampler,
    /// Whether contexts are taken from jobs and passed on.
    pub propagates: bool,
    /// Spans that may wait to be sent.
    pub max_queue_size: usize,
    /// Spans of one request.
    pub max_batch_size: usize,
    /// How long a span may wait for others.
    pub schedule_delay: Duration,
    /// For one batch, repeated requests included.
    pub export_timeout: Duration,
}

impl TraceSettings {
    /// Read the variables by `variable`, which knows none that is empty. `None`: no traces are
    /// wanted.
    ///
    /// # Errors
    ///
    /// Names everything that cannot be used, and what could be instead.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<TraceSettings>, Vec<String>> {
        let reading = Reading { variable, mistakes: Vec::new() };
        reading.settings()
    }
}

impl Reading<'_> {
    fn settings(mut self) -> Result<Option<TraceSettings>, Vec<String>> {
        if !self.is_wanted() {
            return if self.mistakes.is_empty() { Ok(None) } else { Err(self.mistakes) };
        }
        let protocol = self.protocol();
        let sampler =
            Sampler::parse(self.get("OTEL_TRACES_SAMPLER").as_deref(), self.get("OTEL_TRACES_SAMPLER_ARG").as_deref());
        let sampler = sampler.unwrap_or_else(|mistake| {
            self.mistakes.push(mistake);
            Sampler::default()
        });
        let max_queue_size = self.number("OTEL_BSP_MAX_QUEUE_SIZE", 2_048, 1, 1_000_000);
        let max_batch_size = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", max_queue_size.min(512), 1, 100_000);
        if max_batch_size > max_queue_size {
            self.mistakes.push(format!(
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is {max_batch_size}; it can be up to OTEL_BSP_MAX_QUEUE_SIZE, {max_queue_size}"
            ));
        }
        self.check_compression(protocol);
        self.check_headers();
        let settings = TraceSettings {
            protocol,
            endpoint: self.endpoint(protocol),
            timeout: self.time("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT", 10_000),
            certificate: self.certificate(),
            client: self.client(),
            sampler,
            propagates: self.propagates(),
            max_queue_size,
            max_batch_size,
            schedule_delay: self.time("OTEL_BSP_SCHEDULE_DELAY", "", 5_000),
            export_timeout: self.time("OTEL_BSP_EXPORT_TIMEOUT", "", 30_000),
        };
        if self.mistakes.is_empty() { Ok(Some(settings)) } else { Err(self.mistakes) }
    }

    /// Only where somebody says where to, or that there are to be traces: an exporter that nobody
    /// asked for would look for a collector on every machine.
    fn is_wanted(&mut self) -> bool {
        if self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return false;
        }
        match self.get("OTEL_TRACES_EXPORTER").as_deref().map(str::trim) {
            Some("none") => false,
            Some("otlp") => true,
            Some(other) => {
                self.mistakes.push(format!("OTEL_TRACES_EXPORTER is {other:?}; use otlp or none"));
                false
            }
            None => self.of_signal("ENDPOINT").is_some(),
        }
    }

    fn protocol(&mut self) -> Protocol {
        match self.of_signal("PROTOCOL").as_ref().map(|(name, value)| (name, value.trim())) {
            None | Some((_, "http/protobuf")) => Protocol::Http,
            Some((_, "grpc")) => Protocol::Grpc,
            Some((name, other)) => {
                self.mistakes.push(format!("{name} is {other:?}; use grpc or http/protobuf"));
                Protocol::Http
            }
        }
    }

    fn endpoint(&mut self, protocol: Protocol) -> String {
        let of_traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let (name, told) = match (self.of_signal("ENDPOINT"), protocol) {
            (Some(told), _) => told,
            (None, Protocol::Grpc) => (String::new(), "http://localhost:4317".to_owned()),
            (None, Protocol::Http) => (String::new(), "http://localhost:4318".to_owned()),
        };
        let told = told.trim();
        let is_insecure =
            self.of_signal("INSECURE").is_some_and(|(_, value)| value.trim().eq_ignore_ascii_case("true"));
        // Without a scheme, as gRPC's own tools write it.
        let url = match protocol {
            Protocol::Grpc if !told.contains("://") && is_insecure => format!("http://{told}"),
            Protocol::Grpc if !told.contains("://") => format!("https://{told}"),
            _ => told.to_owned(),
        };
        let parsed = reqwest::Url::parse(&url).ok();
        let is_fit = parsed.as_ref().is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        });
        if !is_fit {
            // What stands there may be a password.
            self.mistakes.push(format!(
                "{name} is not the URL of a collector; write it like http://collector:{}, without a user, and credentials in OTEL_EXPORTER_OTLP_HEADERS",
                if protocol == Protocol::Grpc { 4317 } else { 4318 }
            ));
        }
        match protocol {
            Protocol::Http if name != of_traces => format!("{}/v1/traces", url.trim_end_matches('/')),
            _ => url,
        }
    }

    /// The exporter reads it itself, and ignores what it does not know.
    fn check_compression(&mut self, protocol: Protocol) {
        let Some((name, value)) = self.of_signal("COMPRESSION") else { return };
        match (value.trim(), protocol) {
            ("none", _) | ("gzip", Protocol::Grpc) => {}
            ("gzip", Protocol::Http) => self.mistakes.push(format!(
                "{name} is gzip, which this host has for grpc only; use none, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
            )),
            (other, _) => self.mistakes.push(format!("{name} is {other:?}; use gzip or none")),
        }
    }

    /// The exporter reads them itself, and leaves out what it cannot use. Their values are secrets.
    fn check_headers(&mut self) {
        let Some((name, value)) = self.of_signal("HEADERS") else { return };
        let is_pair =
            |pair: &str| pair.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty() && key.is_ascii());
        if let Some(place) = value.split(',').position(|pair| !pair.trim().is_empty() && !is_pair(pair)) {
            self.mistakes
                .push(format!("entry {} of {name} is not a header; write them like key=value,key=value", place + 1));
        }
    }

    fn propagates(&mut self) -> bool {
        let Some(told) = self.get("OTEL_PROPAGATORS") else { return true };
        let names: Vec<&str> = told.split(',').map(str::trim).collect();
        if names.contains(&"tracecontext") {
            return true;
        }
        if names != ["none"] {
            self.mistakes.push(format!(
                "OTEL_PROPAGATORS is {told:?}; use tracecontext (which is all that this host knows) or none"
            ));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, Vec<String>> {
        TraceSettings::read(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn there_are_traces_where_somebody_asks_for_them() {
        for off in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "jobs")],
            &[("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")],
            &[("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "otlp")],
        ] {
            assert_eq!(read(off), Ok(None), "{off:?}");
        }
        let on = |variables: &[(&str, &str)]| read(variables).expect("valid").expect("wanted");
        assert_eq!(on(&[("OTEL_TRACES_EXPORTER", "otlp")]).endpoint, "http://localhost:4318/v1/traces");
        let all = on(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/")]);
        assert_eq!((all.endpoint.as_str(), all.protocol), ("http://c:4318/base/v1/traces", Protocol::Http));
        assert_eq!(on(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/own")]).endpoint, "http://c/own");
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert_eq!(on(&[grpc, ("OTEL_TRACES_EXPORTER", "otlp")]).endpoint, "http://localhost:4317");
        assert_eq!(on(&[grpc, ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317")]).endpoint, "https://c:4317");
        let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
        assert_eq!(on(&[grpc, insecure, ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317")]).endpoint, "http://c:4317");
        let tuned = on(&[
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_PROPAGATORS", "none"),
        ]);
        assert_eq!((tuned.schedule_delay, tuned.timeout), (Duration::from_millis(100), Duration::from_secs(2)));
        assert!(!tuned.propagates);
    }

    #[test]
    fn all_mistakes_are_named_at_once_and_no_secret_is() {
        let mistakes = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@c:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2,hunter2"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/nowhere/ca.pem"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
            ("OTEL_PROPAGATORS", "b3"),
        ])
        .expect_err("invalid")
        .join("\n");
        for part in [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http/json",
            "entry 2 of OTEL_EXPORTER_OTLP_HEADERS",
            "gzip",
            "CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE: the file /nowhere/ca.pem cannot be read",
            "jaeger_remote",
            "\"many\"",
            "OTEL_BSP_EXPORT_TIMEOUT",
            "b3",
        ] {
            assert!(mistakes.contains(part), "{part} is missing in: {mistakes}");
        }
        assert!(!mistakes.contains("hunter2"), "{mistakes}");
        assert!(read(&[("OTEL_TRACES_EXPORTER", "zipkin")]).is_err_and(|mistakes| mistakes[0].contains("zipkin")));
    }
}
