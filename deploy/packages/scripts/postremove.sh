#!/bin/sh
# dpkg says "purge" when nothing is to be left; rpm knows no such thing, and says 0 for a removal.
set -e
case "$1" in
purge)
	# Compiled code. Plugins are the operator's: the folder goes only if it is empty.
	rm -rf /var/cache/pgq-host /var/cache/private/pgq-host /var/cache/pgq-host-[1-9] /var/cache/private/pgq-host-[1-9]
	rmdir --ignore-fail-on-non-empty /var/lib/pgq-host/plugins /var/lib/pgq-host /etc/pgq-host 2>/dev/null || true
	;;
0)
	rm -rf /var/cache/pgq-host /var/cache/private/pgq-host /var/cache/pgq-host-[1-9] /var/cache/private/pgq-host-[1-9]
	;;
esac
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
