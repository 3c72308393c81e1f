#!/bin/sh
# dpkg says "configure" and the version that was there; rpm says 1 for a new installation and 2 for an update.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
case "$1:$2" in
configure:?* | 2:*)
	# Those that run go on with the new binary, one after the other: each is claiming again before the next one stops.
	for unit in $(systemctl list-units --plain --no-legend --state=active 'pgq-host.service' 'pgq-host@*.service' | cut -d' ' -f1); do
		systemctl restart "$unit" || echo "pgq-host: $unit does not start with the new version: journalctl -u $unit" >&2
	done
	;;
*)
	echo "pgq-host: put PGDSN into /etc/pgq-host/env and plugins into /var/lib/pgq-host/plugins, then: systemctl enable --now pgq-host"
	;;
esac
