//! The server: its tools, and the one prompt that PgQueuer has too.

use std::time::Duration;

use pgq_queue::Operator;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, Implementation, ListPromptsResult, ListToolsResult, PaginatedRequestParams, Prompt, PromptMessage,
    Role, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::Semaphore;

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::guide::{GUIDE, INSTRUCTIONS, PROMPT, PROMPT_ABOUT};
use crate::tools::TOOLS;
use crate::wrong::Wrong;
use crate::{ours, pgqueuers};

/// Calls that are answered at a time. The others wait.
pub(crate) const AT_ONCE: usize = 4;
/// How long a call may wait and take, whatever it asks for.
const WITHIN: Duration = Duration::from_secs(120);

/// How much is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether payloads, headers, outputs and printed lines are shown.
    pub shows_contents: bool,
    /// Bytes of an answer.
    pub most_bytes: usize,
    /// The version of the program.
    pub version: String,
}

/// Answers an assistant.
#[derive(Debug)]
pub struct Server {
    operator: Operator,
    settings: Settings,
    places: Semaphore,
}

impl Server {
    /// `operator`: whose sessions are read-only.
    pub fn new(operator: Operator, settings: Settings) -> Server {
        Server { operator, settings, places: Semaphore::new(AT_ONCE) }
    }

    async fn answer(&self, request: &CallToolRequestParams) -> Result<Answer, Wrong> {
        let unknown = || Wrong::NoTool(request.name.chars().take(100).collect());
        let tool = TOOLS.iter().find(|tool| tool.name == request.name).ok_or_else(unknown)?;
        let none = serde_json::Map::new();
        let asked = Arguments::new(tool, request.arguments.as_ref().unwrap_or(&none))?;
        // It is never closed.
        let _place = self.places.acquire().await;
        let shows = self.settings.shows_contents;
        if let Some(answer) = pgqueuers::answer(&self.operator, tool.name, &asked, shows).await? {
            return Ok(answer);
        }
        ours::answer(&self.operator, tool.name, &asked, shows).await?.ok_or_else(unknown)
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().build();
        let mut config = ServerConfig::new(capabilities).with_instructions(INSTRUCTIONS);
        config.server_info = Implementation::new("pgq-host", self.settings.version.clone());
        config
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().map(|tool| tool.tool()).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).map(|tool| tool.tool())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = tokio::select! {
            answer = tokio::time::timeout(WITHIN, self.answer(&request)) => answer,
            // Nobody waits for it any more; the statement ends with its session.
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("the call was cancelled", None)),
        };
        let failed = |why: String| CallToolResult::error(vec![ContentBlock::text(why)]);
        let result = match answer {
            Ok(Ok(answer)) => answer.within(self.settings.most_bytes),
            Ok(Err(wrong @ Wrong::NoTool(_))) => return Err(ErrorData::invalid_params(wrong.to_string(), None)),
            Ok(Err(wrong)) => failed(pgq_job::visible(&wrong.to_string()).into_owned()),
            Err(_) => failed(format!("no answer within {WITHIN:?}; ask for less")),
        };
        Ok(result.into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new(PROMPT, Some(PROMPT_ABOUT), None)]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != PROMPT {
            let name: String = request.name.chars().take(100).collect();
            return Err(ErrorData::invalid_params(format!("there is no prompt {name:?}; there is {PROMPT:?}"), None));
        }
        let message = PromptMessage::new_text(Role::User, GUIDE);
        Ok(GetPromptResult::new(vec![message]).with_description(PROMPT_ABOUT).into())
    }
}
