//! Servers of the Model Context Protocol, driven by the client of the Python registry's `mcp`.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::{Database, host_binary, pgq_host, python};

/// A session with a server.
pub struct McpSession(Value);

impl McpSession {
    /// Start `pgq-host mcp` with these arguments, ask for its tools, and call some of them.
    pub async fn ours(database: &Database, args: &[&str], calls: &[(&str, Value)]) -> McpSession {
        McpSession::ours_at(&database.dsn(), args, calls).await
    }

    /// The same on another address.
    pub async fn ours_at(dsn: &str, args: &[&str], calls: &[(&str, Value)]) -> McpSession {
        let binary = host_binary().display().to_string();
        let mut command = vec![binary.as_str(), "mcp"];
        command.extend(args);
        McpSession::with(dsn, &command, calls).await
    }

    /// The same with PgQueuer's own server.
    pub async fn pgqueuers(database: &Database, calls: &[(&str, Value)]) -> McpSession {
        let python = python().display().to_string();
        McpSession::with(&database.dsn(), &[&python, "-m", "pgqueuer.adapters.mcp"], calls).await
    }

    async fn with(dsn: &str, command: &[&str], calls: &[(&str, Value)]) -> McpSession {
        let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/mcp/session.py"));
        // Without the variables that would change what it does.
        let mut client = pgq_host(dsn);
        let kept: Vec<_> =
            client.as_std().get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        client = Command::new(python());
        for (name, value) in kept {
            match value {
                Some(value) => client.env(name, value),
                None => client.env_remove(name),
            };
        }
        client.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = client.spawn().expect("Python starts");
        let asked = json!({ "command": command, "calls": calls });
        let mut input = child.stdin.take().expect("piped");
        input.write_all(asked.to_string().as_bytes()).await.expect("written");
        drop(input);
        let output = child.wait_with_output().await.expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        McpSession(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")))
    }

    /// What the server says of itself, its tools and its prompts.
    pub fn told(&self) -> &Value {
        &self.0
    }

    pub fn tool(&self, name: &str) -> &Value {
        let tools = self.0["tools"].as_array().expect("tools");
        tools.iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("no tool {name}"))
    }

    /// The whole answer to the call at this place.
    pub fn answer(&self, place: usize) -> &Value {
        &self.0["answers"][place]
    }

    /// The rows of it.
    pub fn rows(&self, place: usize) -> &Vec<Value> {
        let answer = self.answer(place);
        answer["structuredContent"]["result"].as_array().unwrap_or_else(|| panic!("no rows: {answer}"))
    }

    /// The object of it.
    pub fn one(&self, place: usize) -> &Value {
        let answer = self.answer(place);
        assert!(answer["structuredContent"].is_object() && answer["isError"] != true, "no object: {answer}");
        &answer["structuredContent"]
    }

    /// What is wrong, in the words of the tool.
    pub fn failure(&self, place: usize) -> &str {
        let answer = self.answer(place);
        assert_eq!(answer["isError"], true, "{answer}");
        answer["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
    }
}
