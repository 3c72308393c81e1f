//! What a claim takes: the jobs that are due, as many of them as are light enough.

/// Put in for `{due}`: the index by priority, until there are enough. It reads over what is deferred, however much that is.
const DUE_BY_PRIORITY: &str = "due AS MATERIALIZED (
    SELECT id, priority, {bytes} AS bytes FROM {queue}
    WHERE {gate}status = 'queued' AND entrypoint = {served} AND execute_after <= now(){from}
    ORDER BY priority DESC, id ASC
    LIMIT {most}
    FOR UPDATE SKIP LOCKED
)";

/// Put in for `{due}`: while few jobs are due, they are found by the time at which they became due, and then put in order; no job that is
/// deferred is looked at. Where many are due, the index by priority it is.
const DUE_OF_FEW: &str = "few AS MATERIALIZED (
    SELECT next.id, next.priority FROM unnest({all}) AS served(entrypoint) CROSS JOIN LATERAL (
        SELECT id, priority FROM {queue}
        WHERE status = 'queued' AND entrypoint = served.entrypoint AND execute_after <= now()
        ORDER BY execute_after LIMIT {few}
    ) AS next
    LIMIT {few}
), of_few AS MATERIALIZED (
    SELECT q.id, q.priority, q.bytes
    FROM (SELECT id FROM few WHERE (SELECT count(*) FROM few) < {few} ORDER BY priority DESC, id ASC) AS f CROSS JOIN LATERAL (
        SELECT id, priority, {bytes} AS bytes FROM {queue}
        WHERE id = f.id AND status IS NOT DISTINCT FROM 'queued' AND execute_after <= now()
        FOR UPDATE SKIP LOCKED
    ) AS q
    LIMIT {most}
), {of_many}, due AS MATERIALIZED (
    SELECT * FROM of_few UNION ALL SELECT * FROM of_many
)";

/// So many are not few any more: as many rows as a look may read in vain. Of an entrypoint with a limit a claim takes a job or two.
const FEW: &str = "100";

/// Put in for `{bytes}`: what a row weighs, as its own header and the pointers in it say. Nothing is decompressed or fetched for it. (What
/// headers are as text is not known by that; see `inlined`.)
pub(super) const BYTES: &str = "coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0)";

/// A job of more bytes is claimed without its payload and headers. They are read when the claim is committed, job by job: the rows of a
/// claim are locked until its whole answer is sent, and a host that has stopped reading would keep them from all others.
pub(super) const INLINE_BYTES: i32 = 64 << 10;
/// In one answer, for the same reason; about what the buffers of a connection take from a server whose client has stopped.
const ANSWER_BYTES: &str = "524288";

/// Which of the jobs that are due the claim takes, in their order: those that fit into the answer and into what the host may hold. A job that
/// is not counted passes those that are too heavy; of these, none passes another. The windows have no order of their own: the rows come in it.
const FIT: &str = "fit AS MATERIALIZED (
    SELECT id, priority, weight = 0 OR total <= {left} OR ({alone} AND total = weight) AS is_light, ahead < {answer} AS is_near
    FROM (
        SELECT id, priority, weight, sum(weight) OVER so_far AS total, sum(sent) OVER so_far - sent AS ahead
        FROM (
            SELECT id, priority, CASE WHEN bytes > {uncounted} THEN bytes ELSE 0 END AS weight,
                   CASE WHEN bytes > {inline} OR (bytes > {uncounted} AND {left} = 0) THEN 0 ELSE bytes END AS sent
            FROM due
        ) AS weighed WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
    ) AS summed
)";

/// How many were left, and why.
pub(super) const LEFT: &str = "(
    SELECT count(*) FILTER (WHERE NOT is_light) AS too_heavy, count(*) FILTER (WHERE is_light AND NOT is_near) AS too_many FROM fit
) AS left_over";

/// The parameters of a statement that bound its claim: bytes that the host may hold more, whether it holds none, and the bytes of a job
/// that comes whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) left: &'static str,
    pub(super) alone: &'static str,
    pub(super) inline: &'static str,
}

/// Where jobs are looked for.
pub(super) struct Place<'a> {
    /// The entrypoints, an array.
    pub(super) all: &'a str,
    /// One of them.
    pub(super) served: &'a str,
    /// Jobs, at most.
    pub(super) most: &'a str,
    /// After which.
    pub(super) from: &'a str,
}

/// `due`, found by priority alone, and `fit`.
pub(super) fn by_priority(place: &Place<'_>, bounds: Bounds) -> String {
    fill(&format!("{DUE_BY_PRIORITY}, {FIT}").replace("{gate}", ""), place, bounds)
}

/// The same, found by time while few are due.
pub(super) fn of_few(place: &Place<'_>, bounds: Bounds) -> String {
    let of_many = DUE_BY_PRIORITY.replace("{gate}", "(SELECT count(*) FROM few) >= {few} AND ").replacen("due AS", "of_many AS", 1);
    fill(&format!("{}, {FIT}", DUE_OF_FEW.replace("{of_many}", &of_many)), place, bounds)
}

fn fill(template: &str, place: &Place<'_>, bounds: Bounds) -> String {
    bounds
        .fill(template)
        .replace("{bytes}", BYTES)
        .replace("{few}", FEW)
        .replace("{all}", place.all)
        .replace("{served}", place.served)
        .replace("{most}", place.most)
        .replace("{from}", place.from)
}

impl Bounds {
    pub(super) fn fill(self, template: &str) -> String {
        template
            .replace("{left}", &format!("{}::bigint", self.left))
            .replace("{alone}", &format!("{}::boolean", self.alone))
            .replace("{inline}", &format!("{}::integer", self.inline))
            .replace("{answer}", ANSWER_BYTES)
            .replace("{uncounted}", &crate::byte_budget::UNCOUNTED.to_string())
    }
}
