#!/bin/bash
# A rehearsal of what happens to a deployment, on the real thing: three hosts run JOBS jobs while one is killed, one is added, a plugin is
# replaced, all are restarted one by one, and PostgreSQL is restarted. Then it counts: every job must have ended once, whatever happened.
#
#   deploy/compose/rehearse.sh          # in an empty project of its own; its volumes are removed before and after
#
# ENTRYPOINT and PAYLOAD (base64) are the job's, PLUGINS the folder of plugins, SWAP the file in it that is replaced (by itself with a mark at
# its end). Jobs must take long enough to be there when things happen: by default each shrinks a black PNG of 512 by 512 pixels, some 5 ms.
set -euo pipefail
cd "$(dirname "$0")/../.."
JOBS=${JOBS:-30000} ENTRYPOINT=${ENTRYPOINT:-thumbnail}
PAYLOAD=${PAYLOAD:-iVBORw0KGgoAAAANSUhEUgAAAgAAAAIACAAAAADRE4smAAABFUlEQVR42u3BMQEAAADCoPVP7WkJoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA4AYCPAAByZWgVQAAAABJRU5ErkJggg==}
export PLUGINS=${PLUGINS:-plugins-example/dist} COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-rehearsal}
SWAP=${SWAP:-$PLUGINS/$ENTRYPOINT.wasm}
# Each event waits until so many more jobs are done.
STEP=$((JOBS / 8))
compose=(docker compose); docker compose version >/dev/null 2>&1 || compose=(docker-compose)
trap '"${compose[@]}" down --volumes --timeout 40 >/dev/null 2>&1' EXIT

say() { printf '%(%H:%M:%S)T  %s\n' -1 "$*"; }
hosts() { docker ps --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter label=com.docker.compose.service=host; }
sql() { "${compose[@]}" exec -T postgres psql --username pgq --dbname pgq --no-align --tuples-only --quiet --command "$1"; }
ended() { sql "SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE status IN ('successful', 'exception', 'canceled', 'failed')"; }
until_ended() { until [ "$(ended 2>/dev/null || echo 0)" -ge "$1" ]; do sleep 0.5; done; }
until_healthy() { for id in $(hosts); do until docker exec "$id" pgq-host probe --ready >/dev/null 2>&1; do sleep 0.2; done; done; }

"${compose[@]}" down --volumes >/dev/null 2>&1
"${compose[@]}" up --no-build --detach --scale host=3 >/dev/null 2>&1
until_healthy
say "three hosts are ready"
sql "INSERT INTO pgqueuer (priority, entrypoint, payload, status)
     SELECT 0, '$ENTRYPOINT', decode('$PAYLOAD', 'base64'), 'queued' FROM generate_series(1, $JOBS)"
say "$JOBS jobs are queued"
begun=$SECONDS

until_ended $STEP
victim=$(hosts | head -1)
held=$(sql "SELECT count(*) FROM pgqueuer AS q JOIN pgqueuer_host AS h ON h.id = q.queue_manager_id WHERE h.name = '${victim:0:12}'")
docker kill --signal KILL "$victim" >/dev/null
say "one host is killed, which held $held jobs just before"

until_ended $((2 * STEP))
"${compose[@]}" up --no-build --no-recreate --detach --scale host=4 host >/dev/null 2>&1
until_healthy
say "$(hosts | wc -l) hosts are ready"

until_ended $((3 * STEP))
# A custom section that nobody reads: another file, the same behaviour. Renamed into place, so that nobody sees half of it.
{ cat "$SWAP"; printf '\0\2\1v'; } >"$SWAP.next" && chmod 644 "$SWAP.next" && mv "$SWAP.next" "$SWAP"
say "the plugin is replaced"

until_ended $((4 * STEP))
for id in $(hosts); do
  from=$EPOCHREALTIME
  docker stop -t 40 "$id" >/dev/null
  to=$EPOCHREALTIME
  say "a host stopped within $(((${to/./} - ${from/./}) / 1000)) ms, exit code $(docker inspect --format '{{.State.ExitCode}}' "$id")"
  docker start "$id" >/dev/null
  until_healthy
done
say "all are restarted, one by one"

until_ended $((6 * STEP))
docker restart -t 60 "$("${compose[@]}" ps --quiet postgres)" >/dev/null
say "PostgreSQL is restarted"

until_ended "$JOBS"
say "all jobs have ended, after $((SECONDS - begun)) s"
sleep 1
left=$(sql "SELECT count(*) FROM pgqueuer")
once=$(sql "SELECT count(*) FROM (SELECT FROM pgqueuer_log GROUP BY job_id HAVING count(*) FILTER (WHERE status NOT IN ('queued', 'picked')) = 1) AS once")
cat <<EOF

jobs in the queue      $left
jobs in the log        $(sql "SELECT count(DISTINCT job_id) FROM pgqueuer_log")
jobs that ended once   $once

how the jobs went, as the log says:
$(sql "SELECT jobs || E'\t' || history FROM (
         SELECT count(*) AS jobs, history FROM (
           SELECT string_agg(CASE WHEN traceback ->> 'exception_type' IS NULL THEN status::text
                                  ELSE status || ' (' || (traceback ->> 'exception_type') || ')' END, ', ' ORDER BY id) AS history
           FROM pgqueuer_log GROUP BY job_id) AS h GROUP BY history) AS g ORDER BY jobs DESC")

when jobs went back into the queue, and why:
$(sql "SELECT to_char(date_trunc('second', created), 'HH24:MI:SS') || E'\t' || count(*) || E'\t' || coalesce(traceback ->> 'exception_type', 'given back by a host that stops, uncounted')
       FROM pgqueuer_log WHERE status = 'queued' GROUP BY date_trunc('second', created), traceback ->> 'exception_type' ORDER BY 1")

runs that were recorded, by plugin version:
$(sql "SELECT left(p.sha256, 12) || E'\t' || count(*) FROM pgqueuer_attempt AS a JOIN pgqueuer_plugin AS p ON p.key = a.plugin GROUP BY p.sha256")
EOF
[ "$left" = 0 ] && [ "$once" = "$JOBS" ]
