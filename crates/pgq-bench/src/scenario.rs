//! The scenarios, and how one round of each works.

use anyhow::ensure;
use clap::ValueEnum;

use super::claims::{self, Target};
use super::figures::{Measured, measure};
use super::load::{self, Mass};
use super::measurement::Measurement;
use super::plugin;
use super::settings::Handler;
use super::setup::{Setup, noise};

pub(super) const DONE: &str = "claimed to done";
const WHOLE: &str = "enqueued to done";
const LATENCY_RATE: u32 = 100;
const PAYLOADS: [usize; 4] = [16, 1 << 10, 16 << 10, 256 << 10];
/// Larger payloads come in fewer jobs, with this many bytes in total.
const PAYLOADS_TOGETHER: usize = 64 << 20;
const FLEET: usize = 4;
const MILLION: u64 = 1_000_000;
const IN_FLIGHT: u64 = 50_000;
const ENTRYPOINTS: u64 = 1_000;
/// How many jobs of an entrypoint with a limit may run, in addition to those already running.
const SLOTS: u64 = 100;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// --jobs jobs, enqueued at once
    Drain,
    /// A hundredth of --jobs, one by one, 100 a second, on idle hosts
    Latency,
    /// --jobs jobs at --rate
    Sustained,
    /// A new instance per job, compared with reused ones
    Reuse,
    /// Payloads from 16 bytes to 256 KiB
    Payload,
    /// 1, 2, 4, ... up to --hosts hosts (4 by default)
    Fleet,
    /// A million due jobs
    Backlog,
    /// A million deferred jobs in front of those that are due
    Future,
    /// 50,000 jobs that other workers run
    InFlight,
    /// 1,000 entrypoints
    Wide,
    /// A million old log rows, kept, and removed beside the jobs
    Retention,
}

impl Scenario {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Drain => "drain",
            Scenario::Latency => "latency",
            Scenario::Sustained => "sustained",
            Scenario::Reuse => "reuse",
            Scenario::Payload => "payload",
            Scenario::Fleet => "fleet",
            Scenario::Backlog => "backlog",
            Scenario::Future => "future",
            Scenario::InFlight => "in-flight",
            Scenario::Wide => "wide",
            Scenario::Retention => "retention",
        }
    }

    /// Whether it needs entrypoints that a user's plugin does not have.
    pub(super) fn needs_our_plugin(self) -> bool {
        matches!(self, Scenario::Reuse | Scenario::Wide | Scenario::Retention)
    }

    /// The most hosts that it starts.
    pub fn hosts(self, wanted: Option<usize>) -> usize {
        wanted.unwrap_or(if self == Scenario::Fleet { FLEET } else { 1 })
    }

    /// Run one round.
    pub(super) async fn round(self, setup: &Setup<'_>) -> anyhow::Result<Vec<Measured>> {
        let jobs = setup.settings.jobs;
        match self {
            Scenario::Drain => {
                Ok(vec![setup.drain(setup.instances(), self.hosts(setup.settings.hosts), setup.payload(), jobs).await?])
            }
            Scenario::Latency => setup.pace((jobs + 99) / 100, LATENCY_RATE).await,
            Scenario::Sustained => setup.pace(jobs, setup.settings.rate).await,
            Scenario::Reuse => {
                let mut measured = Vec::new();
                for reuse in [false, true] {
                    let setup = Setup { handler: &Handler::BuiltIn { reuse }, ..*setup };
                    measured.push(
                        setup.drain(setup.instances(), self.hosts(setup.settings.hosts), setup.payload(), jobs).await?,
                    );
                }
                Ok(measured)
            }
            Scenario::Payload => {
                let mut measured = Vec::new();
                for size in PAYLOADS {
                    let (payload, most) = (noise(size), i64::try_from(PAYLOADS_TOGETHER / size)?);
                    let case = if size < 1 << 10 { format!("{size} bytes") } else { format!("{} KiB", size >> 10) };
                    measured.push(setup.drain(case, self.hosts(setup.settings.hosts), &payload, jobs.min(most)).await?);
                }
                Ok(measured)
            }
            Scenario::Fleet => {
                let most = self.hosts(setup.settings.hosts);
                let mut measured = Vec::new();
                let doubling =
                    std::iter::successors(Some(1), |hosts| Some(hosts * 2)).take_while(|hosts| *hosts < most);
                for hosts in doubling.chain([most]) {
                    let case = if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") };
                    measured.push(setup.drain(case, hosts, setup.payload(), jobs).await?);
                }
                Ok(measured)
            }
            Scenario::Backlog => setup.beside(Mass::Backlog, setup.settings.size.unwrap_or(MILLION)).await,
            Scenario::Future => setup.beside(Mass::Future, setup.settings.size.unwrap_or(MILLION)).await,
            Scenario::InFlight => setup.beside(Mass::InFlight, setup.settings.size.unwrap_or(IN_FLIGHT)).await,
            Scenario::Wide => setup.wide(setup.settings.size.unwrap_or(ENTRYPOINTS)).await,
            Scenario::Retention => setup.retention(setup.settings.size.unwrap_or(MILLION)).await,
        }
    }
}

impl Setup<'_> {
    async fn drain(&self, case: String, hosts: usize, payload: &[u8], jobs: i64) -> anyhow::Result<Measured> {
        (self.say)(&format!("  {case}: {} jobs", grouped(jobs.unsigned_abs())));
        let entrypoints = [self.entrypoint()];
        let measurement = Measurement::start(self, self.environment.fresh().await?, hosts, &entrypoints).await?;
        Ok(Measured { case, timed: DONE, figures: measurement.drain(&entrypoints, payload, jobs).await? })
    }

    async fn pace(&self, jobs: i64, rate: u32) -> anyhow::Result<Vec<Measured>> {
        (self.say)(&format!("  {} jobs, {} a second", grouped(jobs.unsigned_abs()), grouped(rate.into())));
        let entrypoints = [self.entrypoint()];
        let measurement =
            Measurement::start(self, self.environment.fresh().await?, self.settings.hosts.unwrap_or(1), &entrypoints)
                .await?;
        let (done, claimed) = measurement.pace(&entrypoints, jobs, rate).await?;
        let case = format!("{}/s, {}", grouped(rate.into()), self.instances());
        let wait = Measured { case: format!("{case}, claim"), timed: "enqueued to claimed", figures: claimed };
        Ok(vec![Measured { case, timed: WHOLE, figures: done }, wait])
    }

    /// Jobs and claims next to a large number of rows, and claims of a queue without them.
    async fn beside(&self, mass: Mass, size: u64) -> anyhow::Result<Vec<Measured>> {
        let (entrypoint, count) = (self.entrypoint(), i64::try_from(size)?);
        let what = format!(
            "{} {}",
            grouped(size),
            match mass {
                Mass::Backlog => "due",
                Mass::Future => "deferred",
                Mass::InFlight => "running",
            }
        );
        // Each running job holds a slot.
        let slots = u32::try_from(SLOTS + if mass == Mass::InFlight { size } else { 0 })?;
        let limited = |entrypoint: &str, slots: u32| Target::Limited(entrypoint.to_owned(), slots);
        let mut targets =
            vec![("no limit", Target::Unlimited(vec![entrypoint.clone()])), ("limited", limited(&entrypoint, slots))];
        if mass == Mass::InFlight {
            targets.push(("limited, others run", limited(&plugin::entrypoint(1), u32::try_from(SLOTS)?)));
        }
        let empty = self.empty(&targets).await?;
        let mut connection = self.environment.fresh().await?;
        let (entrypoints, hosts) = ([entrypoint.clone()], self.settings.hosts.unwrap_or(1));
        let jobs = self.settings.jobs;
        let figures = if mass == Mass::Backlog {
            (self.say)(&format!(
                "  putting {what} jobs into the queue, until {} are done",
                grouped(jobs.min(count).unsigned_abs())
            ));
            Measurement::start(self, connection, hosts, &entrypoints)
                .await?
                .take(&entrypoint, jobs.min(count), count)
                .await?
        } else {
            (self.say)(&format!(
                "  putting {what} jobs into the queue, and {} beside them",
                grouped(jobs.unsigned_abs())
            ));
            mass.put(&mut connection, self.environment, &entrypoint, self.payload(), count).await?;
            load::tidy(&mut connection, self.environment).await?;
            Measurement::start(self, connection, hosts, &entrypoints)
                .await?
                .drain(&entrypoints, self.payload(), jobs)
                .await?
        };
        let mut measured = vec![Measured { case: format!("{what}, jobs"), timed: DONE, figures }];
        measured.extend(self.claims(&what, &targets, empty).await?);
        Ok(measured)
    }

    async fn wide(&self, size: u64) -> anyhow::Result<Vec<Measured>> {
        ensure!(
            size <= plugin::MAX_ENTRYPOINTS,
            "--size is {size}; one plugin serves at most {} entrypoints here",
            plugin::MAX_ENTRYPOINTS
        );
        let names: Vec<String> = (0..size).map(plugin::entrypoint).collect();
        let what = format!("{} entrypoints", grouped(size));
        let one = [
            ("no limit", Target::Unlimited(names[..1].to_vec())),
            ("limited", Target::Limited(names[0].clone(), u32::try_from(SLOTS)?)),
        ];
        let empty = self.empty(&one).await?;
        (self.say)(&format!("  {} jobs of {what}", grouped(self.settings.jobs.unsigned_abs())));
        let measurement =
            Measurement::start(self, self.environment.fresh().await?, self.settings.hosts.unwrap_or(1), &names).await?;
        let figures = measurement.drain(&names, self.payload(), self.settings.jobs).await?;
        let mut measured = vec![Measured { case: format!("{what}, jobs"), timed: DONE, figures }];
        // Each entrypoint has waiting jobs. Otherwise a claim could skip all but one of them.
        let mut connection = self.environment.connect().await?;
        load::enqueue(&mut connection, self.environment, &names, self.payload(), i64::try_from(size)? * 10).await?;
        let [_, limited] = one;
        measured.extend(self.claims(&what, &[("no limit", Target::Unlimited(names)), limited], empty).await?);
        Ok(measured)
    }

    /// Claims of a queue that has nothing but what is claimed, for comparison.
    async fn empty(&self, targets: &[(&str, Target)]) -> anyhow::Result<Vec<Measured>> {
        (self.say)("  claims of an empty queue");
        let mut connection = self.environment.fresh().await?;
        let mut measured = Vec::new();
        for (name, target) in targets {
            load::tidy(&mut connection, self.environment).await?;
            let case = format!("empty, {name}");
            measured.push(claims::measure(self.environment, &mut connection, target, self.samples(), case).await?);
        }
        Ok(measured)
    }

    /// Claims of the queue as it is now, compared with those of the empty one.
    async fn claims(
        &self,
        what: &str,
        targets: &[(&str, Target)],
        empty: Vec<Measured>,
    ) -> anyhow::Result<Vec<Measured>> {
        (self.say)("  claims beside them");
        let mut connection = self.environment.connect().await?;
        let mut measured = Vec::new();
        for ((name, target), empty) in targets.iter().zip(empty) {
            load::tidy(&mut connection, self.environment).await?;
            let mut claims =
                claims::measure(self.environment, &mut connection, target, self.samples(), format!("{what}, {name}"))
                    .await?;
            let ratio =
                claims.figures.get(measure::P99).zip(empty.figures.get(measure::P99)).map(|(now, empty)| now / empty);
            claims.figures = claims.figures.with(measure::P99_RATIO, ratio);
            measured.extend([empty, claims]);
        }
        Ok(measured)
    }

    fn samples(&self) -> i64 {
        (self.settings.jobs / 50).clamp(20, 400)
    }
}

/// With grouped digits: 1,000,000.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1_000, 50_000, 1_234_567].map(grouped), ["0", "999", "1,000", "50,000", "1,234,567"]);
    }
}
