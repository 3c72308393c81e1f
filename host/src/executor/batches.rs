//! Groups claimed jobs into calls.

use std::collections::HashMap;
use std::sync::Arc;

use pgq_job::Job;

/// Jobs of one entrypoint together, in the order of the claim, up to `size` of the entrypoint; 1
/// where it takes no batches.
pub(super) fn batches(jobs: Vec<Job>, size: impl Fn(&str) -> usize) -> Vec<Vec<Job>> {
    let mut batches: Vec<Vec<Job>> = Vec::with_capacity(jobs.len());
    let mut open: HashMap<Arc<str>, usize> = HashMap::new();
    for job in jobs {
        let size = size(&job.entrypoint);
        match open.get(&job.entrypoint) {
            Some(&batch) if batches[batch].len() < size => batches[batch].push(job),
            _ => {
                if size > 1 {
                    open.insert(Arc::clone(&job.entrypoint), batches.len());
                }
                batches.push(vec![job]);
            }
        }
    }
    batches
}

/// The same jobs in order, at most `size` at a time.
pub(super) fn chunks(jobs: Vec<Job>, size: usize) -> impl Iterator<Item = Vec<Job>> {
    let mut jobs = jobs.into_iter();
    std::iter::from_fn(move || {
        Some(jobs.by_ref().take(size.max(1)).collect::<Vec<_>>()).filter(|chunk| !chunk.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgq_job::Claim;

    #[test]
    fn entrypoints_are_kept_apart_and_in_order() {
        let job = |id: i64, entrypoint: &str| Job {
            id,
            priority: 0,
            created_ms: 0,
            due: chrono::DateTime::UNIX_EPOCH,
            entrypoint: entrypoint.into(),
            payload: None,
            headers: None,
            attempts: 0,
            unread: None,
            share: None,
            claim: Claim { id, at: chrono::DateTime::UNIX_EPOCH },
            suspicion: None,
        };
        let names = ["one", "two", "one", "three", "two", "three", "two", "one"];
        let jobs = names.iter().zip(1..).map(|(name, id)| job(id, name)).collect();
        let size = |name: &str| match name {
            "two" => 2,
            "three" => 3,
            _ => 1,
        };
        let ids: Vec<Vec<i64>> =
            batches(jobs, size).iter().map(|batch| batch.iter().map(|job| job.id).collect()).collect();
        assert_eq!(ids, [vec![1], vec![2, 5], vec![3], vec![4, 6], vec![7], vec![8]]);
    }
}
