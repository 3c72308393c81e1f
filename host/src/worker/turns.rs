//! Who claims first: what is locked and what is marked are two statements, and jobs of a higher
//! priority go first in whichever of them.

/// What a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    Lock,
    Mark,
}

/// What the last claims left.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The least priority that a claim took, where it took all that was asked for: more may be left.
    locked: Option<i32>,
    marked: Option<i32>,
    marked_first: bool,
}

impl Turns {
    fn left(&mut self, means: Means) -> &mut Option<i32> {
        match means {
            Means::Lock => &mut self.locked,
            Means::Mark => &mut self.marked,
        }
    }

    /// Both, the one first that has left jobs of a higher priority. They take turns otherwise.
    pub(super) fn order(&mut self) -> [Means; 2] {
        self.marked_first = !self.marked_first;
        let marked_first = match (self.locked, self.marked) {
            (Some(locked), Some(marked)) if locked != marked => marked > locked,
            _ => self.marked_first,
        };
        if marked_first { [Means::Mark, Means::Lock] } else { [Means::Lock, Means::Mark] }
    }

    /// The least priority that this one may take: the other has left jobs of that priority.
    pub(super) fn least(&self, means: Means) -> i32 {
        let other = match means {
            Means::Lock => self.marked,
            Means::Mark => self.locked,
        };
        other.unwrap_or(i32::MIN)
    }

    /// A claim of jobs from `least` on took jobs of these priorities.
    pub(super) fn took(&mut self, means: Means, least: i32, priorities: impl Iterator<Item = i32>, is_full: bool) {
        let left = self.left(means);
        if is_full {
            *left = priorities.min().or(*left);
        } else if left.is_none_or(|priority| priority >= least) {
            *left = None;
        }
    }

    /// This one has no part in the next claims.
    pub(super) fn forget(&mut self, means: Means) {
        *self.left(means) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter;

    #[test]
    fn with_the_same_priority_they_take_turns() {
        let mut turns = Turns::default();
        for means in [Means::Lock, Means::Mark] {
            turns.took(means, i32::MIN, iter::once(0), true);
        }
        let first: Vec<Means> = (0..4).map(|_| turns.order()[0]).collect();
        assert_eq!(first, [Means::Mark, Means::Lock, Means::Mark, Means::Lock]);
        assert_eq!((turns.least(Means::Lock), turns.least(Means::Mark)), (0, 0));
    }

    #[test]
    fn a_higher_priority_goes_first_in_whichever_it_is() {
        let mut turns = Turns::default();
        turns.took(Means::Lock, i32::MIN, iter::once(5), true);
        turns.took(Means::Mark, i32::MIN, iter::once(0), true);
        assert_eq!((turns.order()[0], turns.least(Means::Mark)), (Means::Lock, 5));
        turns.took(Means::Mark, 5, iter::empty(), false);
        assert_eq!(turns.least(Means::Lock), 0, "what is left below that is still there");
        turns.took(Means::Lock, 0, iter::empty(), false);
        assert_eq!((turns.least(Means::Lock), turns.least(Means::Mark)), (0, i32::MIN));
    }
}
