#!/bin/bash
# In a container whose first process is systemd: the service of the Debian package from its installation to its purge, with an update between.
# Works as root, on the container's own PostgreSQL.
set -euo pipefail
fail() {
	echo "service: $*" >&2
	journalctl --no-pager --unit pgq-host | tail -40 >&2 || true
	exit 1
}
trap "fail line \$LINENO" ERR
pid() { systemctl show --property MainPID --value pgq-host; }
as_owner() { setpriv --reuid postgres --regid postgres --init-groups env PGDSN='postgresql:///app?host=/var/run/postgresql&user=postgres' "$@"; }
run_job() {
	local job
	job=$(as_owner pgq-host queue hello '{"name": "Ada"}' | grep -o '[0-9]*')
	until as_owner pgq-host job "$job" --json | grep -q '"successful"'; do systemctl is-active --quiet pgq-host || fail "$1: it is $(systemctl is-active pgq-host)"; done
	echo "$1: job $job is done" >&2
}

systemctl start postgresql
until setpriv --reuid postgres --regid postgres --init-groups psql --quiet --command 'CREATE DATABASE app' 2>/dev/null; do systemctl is-active --quiet postgresql@15-main || systemctl start postgresql@15-main; done
dpkg --install /packages/pgq-host_*_"$(dpkg --print-architecture)".deb >&2
! systemctl is-active --quiet pgq-host || fail "it was started before anybody configured it"
[ "$(stat -c %a:%U /etc/pgq-host/env)" = 600:root ] || fail "others may read the password"

setpriv --reuid postgres --regid postgres --init-groups psql --quiet app --command "CREATE ROLE worker LOGIN PASSWORD 'secret'"
as_owner pgq-host upgrade --grant worker >&2
echo 'PGDSN=postgresql://worker:secret@localhost/app' >>/etc/pgq-host/env
cp /plugin/*.wasm /var/lib/pgq-host/plugins/
if ! systemd-run --quiet --wait --property PrivateUsers=yes true 2>/dev/null; then
	echo "a container here cannot make user namespaces: tried without PrivateUsers" >&2
	mkdir -p /run/systemd/system/pgq-host.service.d
	printf '[Service]\nPrivateUsers=no\n' >/run/systemd/system/pgq-host.service.d/kernel.conf
	systemctl daemon-reload
fi
systemctl enable --now pgq-host >&2
run_job installed
before=$(pid)

# The same with a higher version.
dpkg-deb --raw-extract /packages/pgq-host_*_"$(dpkg --print-architecture)".deb /tmp/newer
sed -i 's/^Version: .*/&+next/' /tmp/newer/DEBIAN/control
dpkg-deb -Znone --build --root-owner-group /tmp/newer /tmp/newer.deb >&2
dpkg --install /tmp/newer.deb >&2
[ "$(pid)" != "$before" ] || fail "the process of the version before goes on"
grep -q worker:secret /etc/pgq-host/env || fail "an update forgets the configuration"
run_job updated

dpkg --remove pgq-host >&2
! systemctl is-active --quiet pgq-host || fail "it runs after its removal"
grep -q worker:secret /etc/pgq-host/env || fail "a removal forgets the configuration"
dpkg --install /tmp/newer.deb >&2
! systemctl is-active --quiet pgq-host || fail "it is started again by itself"
rm /var/lib/pgq-host/plugins/*.wasm
dpkg --purge pgq-host >&2
left=$(find / -xdev -path /proc -prune -o -name '*pgq-host*' -print | grep -v -e ^/tmp/ -e ^/packages -e ^/proc -e ^/sys -e ^/var/log || true)
[ -z "$left" ] || fail "a purge leaves $left"
