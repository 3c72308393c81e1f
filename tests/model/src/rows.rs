//! What the rows say, as everybody can read them.

use crate::state::*;

impl Protocol {
    /// Whether one claim can take these jobs, given as a bit mask.
    pub fn claimable(&self, state: &State, place: usize, which: u8) -> bool {
        let python = place == PYTHON;
        let due = |job: &Job| match job.row {
            Row::Queued { .. } => job.lock.is_none(),
            // PgQueuer takes over jobs in place, as soon as any lease has expired.
            row => python && is_expired(row),
        };
        let asked = (0..JOBS).filter(|job| which & (1 << job) != 0);
        if !asked.clone().all(|job| due(&state.jobs[job])) {
            return false;
        }
        let picked = |job: &Job| matches!(job.row, Row::Picked { .. });
        if self.size.limited
            && (which.count_ones() > 1
                || asked.clone().any(|job| !picked(&state.jobs[job])) && state.jobs.iter().any(picked))
        {
            return false;
        }
        true
    }
}

/// Whoever wants to change a locked row waits.
pub fn may_cancel(job: &Job) -> bool {
    job.row != Row::Gone && job.lock.is_none()
}

pub fn is_expired(row: Row) -> bool {
    matches!(row, Row::Picked { age, .. } if age >= LEASE)
}

/// The owners of all rows, according to the database.
pub fn owners(state: &State) -> Vec<Who> {
    let mut owners: Vec<Who> = Vec::new();
    for job in &state.jobs {
        if let Row::Picked { by, .. } = job.row
            && !owners.contains(&by)
        {
            owners.push(by);
        }
    }
    owners
}
