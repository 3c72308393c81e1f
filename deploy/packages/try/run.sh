#!/bin/bash
# In a clean container: install one kind of package, run a job, remove it. The last line of stdout is what it took, as JSON.
set -euo pipefail
kind=$1
arch=$(uname -m)
now() { date +%s.%N; }
took() { python3 -c "print(round($(now) - $1, 2))"; }
fail() {
	echo "$kind: $*" >&2
	exit 1
}
kilobytes() { du -sk --total --apparent-size "$@" | tail -1 | cut -f1; }

case $kind in
archive)
	install_it() { mkdir /opt/pgq-host && tar -xzf /packages/pgq-host-*-"$arch"-linux.tar.gz -C /opt/pgq-host --strip-components 1 && ln -s /opt/pgq-host/pgq-host /usr/local/bin/; }
	size_it() { kilobytes /opt/pgq-host; }
	remove_it() { rm -r /opt/pgq-host /usr/local/bin/pgq-host; }
	;;
deb)
	install_it() { dpkg --install /packages/pgq-host_*_"$(dpkg --print-architecture)".deb >&2; }
	size_it() { dpkg-query --show --showformat '${Installed-Size}' pgq-host; }
	remove_it() { dpkg --purge pgq-host >&2; }
	;;
rpm)
	# This is Debian: rpm does not know that glibc is there.
	install_it() { rpm --install --nodeps /packages/pgq-host-*."$arch".rpm >&2; }
	size_it() { echo $(($(rpm --query --queryformat '%{SIZE}' pgq-host) / 1024)); }
	remove_it() { rm -rf /etc/pgq-host/*.rpmsave && rpm --erase --nodeps pgq-host >&2; }
	;;
wheel)
	install_it() { python3 -m venv /opt/venv && /opt/venv/bin/pip install --quiet --no-index --find-links /packages pgq-host >&2 && ln -s /opt/venv/bin/pgq-host /usr/local/bin/; }
	size_it() { kilobytes /opt/venv/bin/pgq-host /opt/venv/lib/python3*/site-packages/pgq_host*; }
	remove_it() { /opt/venv/bin/pip uninstall --quiet --yes pgq-host >&2 && rm /usr/local/bin/pgq-host && [ ! -e /opt/venv/bin/pgq-host ]; }
	;;
npm)
	python3 /try/registry.py /packages /tmp/registry.port &
	while [ ! -s /tmp/registry.port ]; do kill -0 $!; done
	install_it() { npm install --global --silent --no-audit --no-fund --registry "http://127.0.0.1:$(cat /tmp/registry.port)" pgq-host >&2; }
	size_it() { kilobytes "$(npm root --global)/pgq-host"; }
	remove_it() { npm uninstall --global --silent pgq-host >&2; }
	;;
*) fail "no such kind" ;;
esac

began=$(now)
install_it
install=$(took "$began")
kilobytes=$(size_it)
command -v pgq-host >/dev/null || fail "not on PATH"
pgq-host --version >&2

# As somebody who has a plugin, and nothing else.
useradd --create-home user
install -d -o user /home/user/work /home/user/work/plugins
cp /plugin/*.wasm /home/user/work/plugins/
began=$(now)
cd /home/user/work
as_user=(setpriv --reuid user --regid user --init-groups env HOME=/home/user)
mkfifo /tmp/log
"${as_user[@]}" pgq-host dev --plugins plugins >/tmp/log 2>&1 &
dev=$!
# Reads on, or dev would wait for a reader.
exec 3</tmp/log
while read -r line <&3; do
	echo "$line" >&2
	case $line in *" ready "*) break ;; esac
done
[ -s .pgq-host/dsn ] || fail "dev is not ready"
cat <&3 >&2 &
as_user+=("PGDSN=$(cat .pgq-host/dsn)")
job=$("${as_user[@]}" pgq-host queue hello '{"name": "Ada"}' | grep -o '[0-9]*')
until "${as_user[@]}" pgq-host job "$job" --json | grep -q '"successful"'; do kill -0 $dev || fail "dev has ended"; done
job_took=$(took "$began")
"${as_user[@]}" pgq-host job "$job" >&2
kill -TERM $dev
wait $dev || fail "dev ended with $?"

began=$(now)
remove_it
remove=$(took "$began")
hash -r
! command -v pgq-host >/dev/null || fail "still on PATH"
case $kind in
deb) [ ! -e /etc/pgq-host ] && [ ! -e /var/lib/pgq-host ] || fail "a purge leaves $(find /etc/pgq-host /var/lib/pgq-host)" ;;
esac
echo "{\"install\": $install, \"job\": $job_took, \"remove\": $remove, \"kilobytes\": $kilobytes}"
