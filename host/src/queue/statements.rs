//! A worker's statements, rendered once from checked names, for the database as it is.

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::claim::Way;
use super::times::bounded;
use super::{
    Lacking, attempt, body, claim, depth, enqueue, fleet, handover, heartbeat, outcome, presence, rescue, schedules, statistics, suspect,
};
use crate::names::Names;

#[derive(Debug)]
pub(super) struct Statements {
    pub(super) claim: SqlStr,
    pub(super) claim_of_many: SqlStr,
    pub(super) claim_on: SqlStr,
    pub(super) claim_limited: SqlStr,
    pub(super) read_body: SqlStr,
    pub(super) read_raw_body: SqlStr,
    pub(super) next_due: SqlStr,
    pub(super) work_left: SqlStr,
    pub(super) count_left: SqlStr,
    pub(super) heartbeat: SqlStr,
    pub(super) any_lost: SqlStr,
    pub(super) depth: SqlStr,
    pub(super) rescue: SqlStr,
    pub(super) rescue_from: SqlStr,
    pub(super) announce: SqlStr,
    pub(super) look: SqlStr,
    pub(super) forget: SqlStr,
    pub(super) withdraw: SqlStr,
    pub(super) prune_attempts: SqlStr,
    pub(super) begin_suspect: SqlStr,
    pub(super) clear_suspects: SqlStr,
    pub(super) prune_suspects: SqlStr,
    pub(super) finish: SqlStr,
    pub(super) finish_with_extras: SqlStr,
    pub(super) put_back: SqlStr,
    pub(super) hand_over: SqlStr,
    pub(super) aggregate: SqlStr,
    pub(super) enqueue: SqlStr,
    pub(super) enqueue_or_skip: SqlStr,
    pub(super) look_at_schedules: SqlStr,
    pub(super) add_schedules: SqlStr,
    pub(super) fire: SqlStr,
    pub(super) move_back: SqlStr,
    pub(super) enqueue_or_update: SqlStr,
    /// What they go without. Those that are about nothing else are not to be used.
    pub(super) lacking: Lacking,
}

impl Statements {
    pub(super) fn render(names: &Names, lacking: Lacking) -> Statements {
        let render = |template: &str| AssertSqlSafe(names.render(&bounded(&lacking.fill(template)))).into_sql_str();
        let outcome = |template: &str| render(&template.replace("{ours}", outcome::OURS).replace("{attempted}", attempt::ATTEMPTED));
        let recorded = |template: &str| outcome(&format!("{template}{}", outcome::RECORDED));
        Statements {
            claim: render(&claim::claim(Way::Front)),
            claim_of_many: render(&claim::claim(Way::FrontOfMany)),
            claim_on: render(&claim::claim(Way::On)),
            claim_limited: render(&claim::claim_limited()),
            read_body: render(&body::read(body::AS_TEXT)),
            read_raw_body: render(&body::read(body::AS_STORED)),
            next_due: render(claim::NEXT_DUE),
            work_left: render(claim::WORK_LEFT),
            count_left: render(claim::COUNT_LEFT),
            heartbeat: render(heartbeat::HEARTBEAT),
            any_lost: render(rescue::ANY_LOST),
            depth: render(depth::DEPTH),
            rescue: render(&rescue::rescue(lacking.suspects)),
            rescue_from: render(&rescue::rescue_from(lacking.suspects)),
            finish: recorded(outcome::FINISH),
            finish_with_extras: recorded(&outcome::FINISH_WITH_EXTRAS.replace("{on_conflict}", enqueue::SKIP).replace("{logged}", "")),
            put_back: recorded(outcome::PUT_BACK),
            hand_over: outcome(&handover::hand_over()),
            announce: render(&fleet::announce(names, !lacking.presence)),
            look: render(presence::LOOK),
            forget: render(presence::FORGET),
            withdraw: render(fleet::WITHDRAW),
            prune_attempts: render(attempt::PRUNE),
            begin_suspect: render(suspect::BEGIN),
            clear_suspects: render(suspect::CLEAR),
            prune_suspects: render(suspect::PRUNE),
            aggregate: render(statistics::AGGREGATE),
            enqueue: render(&enqueue::ENQUEUE.replace("{on_conflict}", "")),
            enqueue_or_skip: render(&enqueue::ENQUEUE.replace("{on_conflict}", enqueue::SKIP)),
            look_at_schedules: render(schedules::LOOK),
            add_schedules: render(schedules::ADD),
            fire: render(schedules::FIRE),
            move_back: render(schedules::MOVE_BACK),
            enqueue_or_update: render(enqueue::ENQUEUE_OR_UPDATE),
            lacking,
        }
    }
}
