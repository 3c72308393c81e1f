//! Sealing what a run leaves: its output, and the payloads of its follow-ups.

use super::shared::Shared;
use crate::meter;
use crate::plugins::Served;
use crate::sealing::Seal;
use pgq_job::{Fault, FaultKind, Job, NewJob, Verdict};
use pgq_sealing::{Purpose, sealed_by};

impl Shared {
    /// The same verdict, with its output and the payloads of its follow-ups sealed where they are to
    /// be. A run whose outcome cannot be sealed is tried again: nothing of it is stored in clear.
    pub(super) fn seal(&self, verdict: Verdict, job: &Job, served: &Served) -> Verdict {
        let Verdict::Complete { output, follow_ups } = verdict else { return verdict };
        let seals = match served.seals.seal {
            Seal::Always => true,
            Seal::Never => false,
            Seal::LikePayload => job.payload.as_deref().is_some_and(|payload| sealed_by(payload).is_some()),
        };
        let needs = |follow_up: &NewJob| {
            let payload = follow_up.payload.as_deref();
            // A handler may have sealed it for somebody whose key we do not have.
            payload.is_some_and(|payload| sealed_by(payload).is_none())
                && (seals || self.requires_sealed(&follow_up.entrypoint))
        };
        let seals_output = seals && output.is_some();
        if !seals_output && !follow_ups.iter().any(needs) {
            return Verdict::Complete { output, follow_ups };
        }
        match self.sealed(output, follow_ups, job, seals, needs) {
            Ok(sealed) => sealed,
            Err(cause) => {
                let message = format!("what the run left could not be sealed, and is not stored: {cause}");
                Verdict::Retry { fault: Fault::new(FaultKind::HostError, message), after: None }
            }
        }
    }

    fn sealed(
        &self,
        output: Option<Vec<u8>>,
        mut follow_ups: Vec<NewJob>,
        job: &Job,
        seals: bool,
        needs: impl Fn(&NewJob) -> bool,
    ) -> Result<Verdict, String> {
        let (keys, name) = (self.keyring.keys(), self.keyring.seal_with());
        let key = keys.seals(name.as_deref())?;
        let mut count = 0;
        let mut seal = |content: &[u8], purpose: Purpose, entrypoint: &str| {
            count += 1;
            key.seal(content, purpose, entrypoint).map_err(|error| error.to_string())
        };
        let output = match output {
            Some(output) if seals => Some(seal(&output, Purpose::Output(job.id), &job.entrypoint)?),
            output => output,
        };
        for follow_up in follow_ups.iter_mut().filter(|follow_up| needs(follow_up)) {
            let payload = follow_up.payload.as_deref().unwrap_or_default();
            follow_up.payload = Some(seal(payload, Purpose::Payload, &follow_up.entrypoint)?);
        }
        meter::sealing("sealed", count);
        Ok(Verdict::Complete { output, follow_ups })
    }

    /// Whether payloads in clear would be refused by the plugin that serves this entrypoint here.
    fn requires_sealed(&self, entrypoint: &str) -> bool {
        let served = self.served.as_ref().map(|served| served.borrow());
        served.is_some_and(|set| set.get(entrypoint).is_some_and(|served| served.seals.requires))
    }
}
