#!/bin/sh
# dpkg says "remove" or "upgrade"; rpm says 0 for a removal and 1 for an update.
set -e
[ -d /run/systemd/system ] || exit 0
case "$1" in
remove | 0)
	# Each drains first: running jobs end, or go back into the queue.
	for unit in $(systemctl list-units --all --plain --no-legend 'pgq-host.service' 'pgq-host@*.service' | cut -d' ' -f1); do
		systemctl disable --now "$unit" || true
	done
	;;
esac
