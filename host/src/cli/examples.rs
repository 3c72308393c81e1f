//! Examples for the help of every verb.

use clap::Command;

/// A verb, and commands that begin with `pgq-host` and it, each with what it does.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "run",
        &[
            ("run --plugins plugins", "Serve all components of a folder"),
            ("run --plugins plugins --listen 127.0.0.1:9187", "The same with pages, probes and metrics"),
            ("run --plugins plugins --mode drain", "Run what is in the queue, and end"),
        ],
    ),
    ("dev", &[("dev --source my-plugin", "A private PostgreSQL, and a plugin that is built whenever it is saved")]),
    ("probe", &[("probe --listen 127.0.0.1:9187 --ready", "For a container's health check")]),
    ("bench", &[("bench drain latency", "Jobs a second, and the wait of a single one")]),
    (
        "queue",
        &[
            ("queue thumbnail '{\"image\": 7}' --delay 15m", "Not before 15 minutes"),
            ("queue report --payload-file data.csv --dedupe-key today", "At most once at a time"),
            ("queue charge --payload-file order.json --seal", "Sealed with the key of [sealing]"),
        ],
    ),
    ("job", &[("job 4711", "Everything about it"), ("job 4711 --payload", "Its payload, byte for byte")]),
    (
        "jobs",
        &[
            ("jobs --status failed --error timeout", "Held jobs by their last error"),
            ("jobs --status picked --json", "What runs, where and since when"),
        ],
    ),
    ("logs", &[("logs --entrypoint thumbnail -f", "Follow what its runs print")]),
    ("overview", &[("overview", "What is due, running, held and failing, and what is wrong around it")]),
    ("failures", &[("failures --younger 1h", "Why runs failed in the last hour, by cause")]),
    ("failed", &[("failed --wide", "Held jobs with their whole errors")]),
    (
        "requeue",
        &[
            ("requeue 4711 4712", "These jobs"),
            (
                "requeue --entrypoint mail --error 'connection refused' --yes",
                "All that match; without --yes they are counted",
            ),
        ],
    ),
    (
        "cancel",
        &[
            ("cancel 4711 --reason spam", "Also if it runs"),
            ("cancel --entrypoint import --older 2d --yes", "All that match"),
        ],
    ),
    ("retry-now", &[("retry-now --entrypoint mail --yes", "Do not wait for the back-off")]),
    ("reschedule", &[("reschedule --entrypoint report --delay 2h --yes", "Two hours from now")]),
    (
        "edit",
        &[
            ("edit 4711 --payload-file fixed.json", "Another payload"),
            ("edit --entrypoint mail --priority 9 --yes", "Another priority"),
        ],
    ),
    ("sealing keygen", &[("sealing keygen 2026-11 --keys-file sealing.jwks", "A first key, or one more in that file")]),
    ("sealing seal", &[("sealing seal --entrypoint charge > order.jwe", "Standard input, for `edit --payload-file`")]),
    (
        "sealing open",
        &[("sealing open 4711", "The payload of a job"), ("sealing open 4711 --output", "What it returned")],
    ),
    ("sealing reseal", &[("sealing reseal --all --yes", "All that wait or are held, with the key that seals now")]),
    ("sealing reseal-outputs", &[("sealing reseal-outputs --all --yes", "All outputs, with the key that seals now")]),
    ("audit", &[("audit -n 100", "The last hundred changes by hand")]),
    ("stale", &[("stale --threshold 5m", "Running jobs without a heartbeat for five minutes")]),
    ("workers", &[("workers", "Who holds jobs, and how many")]),
    ("backlog", &[("backlog --json", "How much waits, for a script")]),
    (
        "pause",
        &[
            ("pause --entrypoint mail --reason 'the server is down' --for 30m", "For half an hour"),
            ("pause --all --reason upgrade", "Until it is resumed"),
        ],
    ),
    ("resume", &[("resume --entrypoint mail", "Go on")]),
    ("pauses", &[("pauses", "What is paused, by whom, and why")]),
    (
        "schedules",
        &[
            ("schedules", "When each runs next"),
            ("schedules --pause 3 --reason 'month end'", "Skip the ticks of one"),
            ("schedules --remove 3", "Remove one"),
        ],
    ),
    ("prune", &[("prune --plan", "What would go"), ("prune --apply --for 10m", "Remove it, for ten minutes at most")]),
    (
        "web",
        &[
            ("web", "At http://127.0.0.1:8080, without a login"),
            ("web --host 0.0.0.0 --user ops --password-file secret", "For others, with one"),
        ],
    ),
    (
        "dashboard",
        &[
            ("dashboard", "Live, on the whole terminal; ? explains the keys"),
            ("dashboard --once --json", "For a script"),
        ],
    ),
    ("mcp", &[("mcp", "For an assistant's program, which starts it"), ("mcp --payloads", "The same, with payloads")]),
    ("listen", &[("listen", "Each notification as it comes")]),
    ("plugin new", &[("plugin new thumbnail --lang python", "A folder with a handler and its tests")]),
    ("plugin build", &[("plugin build thumbnail --out plugins", "Build it, and put it where a host finds it")]),
    ("plugin inspect", &[("plugin inspect plugins/thumbnail.wasm", "What it declares and needs")]),
    ("plugin run", &[("plugin run thumbnail --payload '{\"image\": 7}'", "Run its handler once, without a queue")]),
    ("plugin list", &[("plugin list --hosts", "What the hosts serve")]),
    ("plugin reset", &[("plugin reset thumbnail", "Try again what was paused or rolled back")]),
    ("plugin versions", &[("plugin versions thumbnail", "What the fleet knows of each version")]),
    ("plugin quarantine", &[("plugin quarantine 3f6a91c2 --reason 'loses orders'", "No host serves it from now on")]),
    ("plugin lift", &[("plugin lift 3f6a91c2", "Hosts may serve it again")]),
    ("plugin keygen", &[("plugin keygen release", "release.key signs, release.pub goes to the hosts")]),
    ("plugin sign", &[("plugin sign plugins/thumbnail.wasm --key release.key", "Write thumbnail.wasm.sig beside it")]),
    ("plugin verify", &[("plugin verify plugins/thumbnail.wasm --key release.pub", "Is it signed by this key?")]),
    (
        "plugin push",
        &[(
            "plugin push thumbnail.wasm oci://registry.example.com/thumbnail:1.4.0 --key release.key",
            "Signed as well",
        )],
    ),
    ("plugin pull", &[("plugin pull oci://registry.example.com/thumbnail:1.4.0 --out plugins", "Into a folder")]),
    ("plugin lock", &[("plugin lock --plugins oci://registry.example.com/thumbnail:1", "Pin the digest that it has")]),
    ("plugin reload", &[("plugin reload", "Let all hosts look at their folders")]),
    (
        "install",
        &[
            ("install", "In a database that has none of the tables"),
            ("install --schema jobs", "In a schema of its own"),
        ],
    ),
    ("verify", &[("verify --expect present", "Exit with 1 unless the tables are as they should be")]),
    (
        "upgrade",
        &[
            ("upgrade --plan", "Print what would be done"),
            ("upgrade --grant worker", "Do it, and grant the role what is new"),
        ],
    ),
    ("uninstall", &[("uninstall", "Asks before jobs are lost")]),
    ("doctor", &[("doctor --plugins plugins", "Is everything fit for `run` with them?")]),
    ("durability", &[("durability balanced", "Keep the queue, not the log, over a crash")]),
    (
        "autovac",
        &[("autovac", "Settings for tables that change fast"), ("autovac --rollback", "Those of the server again")],
    ),
    ("grant", &[("grant worker --apply", "What a worker's role needs, and no more")]),
    ("completions", &[("completions bash > ~/.local/share/bash-completion/completions/pgq-host", "For this user")]),
    ("man", &[("man jobs | man -l -", "Read the page of a verb"), ("man --out man/man1", "Write all of them")]),
    ("sql install", &[("sql install > install.sql", "For somebody else to run")]),
    ("sql uninstall", &[("sql uninstall", "What `uninstall` runs")]),
    ("sql upgrade", &[("sql upgrade > upgrade.sql", "From any earlier release")]),
    ("sql durability", &[("sql durability durable", "What `durability` runs")]),
    ("sql autovac", &[("sql autovac", "What `autovac` runs")]),
    ("sql worker", &[("sql worker claim", "One statement, for EXPLAIN")]),
];

/// The same command, whose verbs have their examples in their help.
pub(super) fn with_examples(command: Command) -> Command {
    add(command, "")
}

fn add(command: Command, path: &str) -> Command {
    let of = EXAMPLES.iter().find(|(verb, _)| *verb == path).map(|(_, examples)| *examples);
    let command = match of {
        Some(examples) => command.after_help(text(examples)),
        None => command,
    };
    command.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        add(verb, path.trim_start())
    })
}

fn text(examples: &[(&str, &str)]) -> String {
    let lines = examples.iter().map(|(command, meaning)| format!("  # {meaning}\n  pgq-host {command}"));
    format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
