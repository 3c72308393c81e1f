#!/usr/bin/env python3
"""Runs `cargo test`, then runs each failed test once more, alone.

A test that fails and then passes alone is flaky: it is named prominently at the end, but does not fail the run. A test
that fails twice does, and so does a failed build. Takes the arguments of `cargo test`. CARGO names another cargo, with
arguments if need be.
"""

import os
import re
import shlex
import subprocess
import sys

TARGET_FAILED = re.compile(r"^ +`(.+)`$")  # Cargo's list of failed targets: "    `-p pgq-host-tests --test it`".
TESTS_PER_CORE = 3
# Each has a few hosts, and all of them share the connections of one server.
MOST_TESTS = 16
TEST_FAILED = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. FAILED")


def run(command):
    """Run it, passing on its output as it comes. Returns the exit code and the lines."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line.rstrip("\n"))
    return process.wait(), lines


def failed_targets(lines):
    """The targets that cargo lists after `error: N targets failed:`, as its own arguments. A single failed one is named by a hint."""
    targets = []
    for number, line in enumerate(lines):
        if re.match(r"^error: \d+ targets? failed:", line):
            for listed in lines[number + 1 :]:
                match = TARGET_FAILED.match(listed)
                if not match:
                    break
                targets.append(match[1].split())
    return targets


def without_package(target):
    """`-p some-package --test it` as `--test it`."""
    return target[2:] if target[:1] == ["-p"] else target


def main():
    cargo = shlex.split(os.environ.get("CARGO", "cargo"))
    arguments = sys.argv[1:]
    options, filters = (arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]) if "--" in arguments else (arguments, [])
    if not any(filter.startswith("--test-threads") for filter in filters):
        filters = ["--test-threads", str(min(TESTS_PER_CORE * (os.cpu_count() or 1), MOST_TESTS)), *filters]
    code, lines = run([*cargo, "test", "--no-fail-fast", *options, "--", *filters])
    if code == 0:
        return 0
    failed = sorted({match[1] for line in lines if (match := TEST_FAILED.match(line))})
    targets = failed_targets(lines)
    if not failed or not targets:
        return code  # The build failed, or a test process died: there is nothing to run again.
    if "--workspace" in options:
        # With one package alone, dependencies would be rebuilt with fewer features.
        targets = [list(target) for target in dict.fromkeys(tuple(without_package(target)) for target in targets)]
    print(f"\n{len(failed)} failed, and run once more, alone: {', '.join(failed)}\n", flush=True)
    passed, failed_again = set(), False
    for target in targets:
        doc = "--doc" in target
        chosen = failed if doc else ["--exact", *failed]
        again, lines = run([*cargo, "test", *options, *target, "--", "--test-threads", "1", *chosen])
        failed_again |= again != 0
        passed |= {match[1] for line in lines if (match := re.match(r"^test (.+?)(?: - should panic)? \.\.\. ok", line))}
    flaky = [name for name in failed if name in passed]
    if flaky:
        print("\n" + "!" * 78)
        for name in flaky:
            print(f"FLAKY: {name} failed, and passed when it was run again alone. Find out why.")
        print("!" * 78 + "\n", flush=True)
    missed = [name for name in failed if name not in passed]
    if missed:
        print(f"Failed twice: {', '.join(missed)}", file=sys.stderr)
    return 1 if failed_again or missed else 0


if __name__ == "__main__":
    sys.exit(main())
