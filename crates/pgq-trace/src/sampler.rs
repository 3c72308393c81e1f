//! Which traces are kept from their beginning on: the samplers of OpenTelemetry's specification.

use pgq_job::{TraceContext, TraceId};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Do what whoever began the trace does, if somebody did.
    follows_parent: bool,
    root: Root,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Root {
    Always,
    Never,
    /// This share of all traces, by their ids, so that every process decides alike.
    Share(f64),
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler { follows_parent: true, root: Root::Always }
    }
}

const NAMES: &str =
    "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio";

impl Sampler {
    /// Read `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub(crate) fn parse(name: Option<&str>, argument: Option<&str>) -> Result<Sampler, String> {
        let Some(name) = name.map(str::trim) else { return Ok(Sampler::default()) };
        let share = || match argument.map(|argument| argument.trim().parse::<f64>()) {
            None => Ok(1.0),
            Some(Ok(share)) if (0.0..=1.0).contains(&share) => Ok(share),
            Some(_) => Err(format!(
                "OTEL_TRACES_SAMPLER_ARG is {:?}; it must be a share from 0 to 1, like 0.1",
                argument.unwrap_or_default()
            )),
        };
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::Always,
            "always_off" => Root::Never,
            "traceidratio" => Root::Share(share()?),
            _ => return Err(format!("OTEL_TRACES_SAMPLER is {name:?}; use {NAMES}")),
        };
        Ok(Sampler { follows_parent, root })
    }

    pub(crate) fn samples(&self, trace: TraceId, parent: Option<&TraceContext>) -> bool {
        match (parent, self.root) {
            (Some(parent), _) if self.follows_parent => parent.sampled,
            (_, Root::Always) => true,
            (_, Root::Never) => false,
            (_, Root::Share(share)) => {
                let [.., a, b, c, d, e, f, g, h] = trace.0;
                // 2^64 as a float; a share of 1 takes all.
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]) as f64) < share * 18_446_744_073_709_551_616.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids;

    fn sampler(name: &str, argument: Option<&str>) -> Sampler {
        Sampler::parse(Some(name), argument).expect("valid")
    }

    #[test]
    fn a_share_of_traces_is_that_share_and_the_same_everywhere() {
        let tenth = sampler("traceidratio", Some("0.1"));
        let sampled = (0..100_000).filter(|_| tenth.samples(ids::new_trace(), None)).count();
        assert!((9_000..11_000).contains(&sampled), "{sampled}");
        let trace = |low: u64| TraceId((1_u128 << 64 | u128::from(low)).to_be_bytes());
        let share = u64::MAX / 10;
        assert!(tenth.samples(trace(share - (1 << 20)), None) && !tenth.samples(trace(share + (1 << 20)), None));
        assert!(sampler("traceidratio", Some("1")).samples(trace(u64::MAX - (1 << 20)), None));
        assert!(!sampler("traceidratio", Some("0")).samples(trace(0), None));
    }

    #[test]
    fn a_parent_decides_where_it_may() {
        let parent = |sampled| TraceContext { trace: ids::new_trace(), span: ids::new_span(), sampled, state: None };
        for (name, unsampled, sampled, root) in [
            ("always_on", true, true, true),
            ("always_off", false, false, false),
            ("parentbased_always_on", false, true, true),
            ("parentbased_always_off", false, true, false),
        ] {
            let of = |parent: Option<&TraceContext>| sampler(name, None).samples(ids::new_trace(), parent);
            assert_eq!((of(Some(&parent(false))), of(Some(&parent(true))), of(None)), (unsampled, sampled, root));
        }
        assert_eq!(Sampler::parse(None, None), Ok(Sampler::default()));
        assert!(Sampler::parse(Some("xray"), None).is_err_and(|error| error.contains("xray")));
        assert!(Sampler::parse(Some("traceidratio"), Some("10%")).is_err_and(|error| error.contains("10%")));
    }
}
