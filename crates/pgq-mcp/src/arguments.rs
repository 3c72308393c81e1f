//! The arguments of a call, checked by the parameters of its tool.

use serde_json::{Map, Value};

use crate::parameter::Kind;
use crate::tool::ToolText;
use crate::wrong::Wrong;

/// Bytes of a text.
const MOST_TEXT: usize = 4 << 10;

/// What a tool was asked for.
#[derive(Debug)]
pub(crate) struct Arguments<'c> {
    tool: &'static ToolText,
    said: &'c Map<String, Value>,
}

impl<'c> Arguments<'c> {
    /// Whether all of them are known, and each is of its kind.
    pub(crate) fn new(tool: &'static ToolText, said: &'c Map<String, Value>) -> Result<Arguments<'c>, Wrong> {
        let known: Vec<&str> = tool.parameters.iter().map(|parameter| parameter.name).collect();
        if let Some(stray) = said.keys().find(|name| !known.contains(&name.as_str())) {
            let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Wrong::Asked(format!("{} has no parameter {stray:?}; it takes {takes}", tool.name)));
        }
        let arguments = Arguments { tool, said };
        for parameter in tool.parameters {
            match parameter.kind {
                Kind::Whole { .. } | Kind::Id => drop(arguments.whole(parameter.name)?),
                Kind::OptionalId => drop(arguments.number(parameter.name)?),
                Kind::Text { .. } | Kind::OptionalText => drop(arguments.text(parameter.name)?),
            }
        }
        Ok(arguments)
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.tool.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.kind)
    }

    /// A text; `None`: it is not said, and there is no default. An empty one is not said.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'c str>, Wrong> {
        let default = match self.kind(name) {
            Some(Kind::Text { default }) => Some(default),
            _ => None,
        };
        match self.said.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::String(text)) if text.is_empty() => Ok(default),
            Some(Value::String(text)) if text.len() > MOST_TEXT => {
                Err(Wrong::Asked(format!("{name}: it has {} bytes, and {MOST_TEXT} are enough", text.len())))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Wrong::Asked(format!("{name}: {other} is no text"))),
        }
    }

    /// The same as the queue takes it.
    pub(crate) fn owned(&self, name: &str) -> Result<Option<String>, Wrong> {
        Ok(self.text(name)?.map(str::to_owned))
    }

    /// A number in its bounds.
    pub(crate) fn whole(&self, name: &str) -> Result<i64, Wrong> {
        let said = self.number(name)?;
        match (self.kind(name), said) {
            (Some(Kind::Whole { default, .. }), None) => Ok(default),
            (Some(Kind::Whole { least, most, .. }), Some(number)) if !(least..=most).contains(&number) => {
                Err(Wrong::Asked(format!("{name}: {number} is not between {least} and {most}")))
            }
            (_, Some(number)) => Ok(number),
            (_, None) => Err(Wrong::Asked(format!("{name} is missing: {} needs it", self.tool.name))),
        }
    }

    /// A number, also written as text.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Wrong> {
        let wrong = |said: &dyn std::fmt::Display| Wrong::Asked(format!("{name}: {said} is no whole number"));
        match self.said.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(|| wrong(number)),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| wrong(&format!("{text:?}"))),
            Some(other) => Err(wrong(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::TOOLS;
    use serde_json::json;

    fn asked(tool: &str, arguments: &Value) -> Result<i64, String> {
        let tool = TOOLS.iter().find(|known| known.name == tool).expect("a tool");
        let said = arguments.as_object().expect("an object");
        let arguments = Arguments::new(tool, said).map_err(|wrong| wrong.to_string())?;
        arguments.whole("limit").map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn an_argument_is_named_when_it_is_wrong() {
        assert_eq!(asked("failed_jobs", &json!({})), Ok(50));
        assert_eq!(asked("failed_jobs", &json!({ "limit": "7" })), Ok(7), "as PgQueuer takes it");
        for (arguments, named) in [
            (json!({ "limit": 1001 }), "limit: 1001 is not between 0 and 1000"),
            (json!({ "limit": 1.5 }), "limit: 1.5"),
            (json!({ "limit": "many" }), "limit: \"many\""),
            (json!({ "limit": [1] }), "limit: [1]"),
            (json!({ "limits": 1 }), "no parameter \"limits\"; it takes limit"),
        ] {
            let said = asked("failed_jobs", &arguments).expect_err(named);
            assert!(said.contains(named), "{said}");
        }
        assert!(asked("queue_stats", &json!({ "period": 5 })).expect_err("a number").contains("period: 5 is no text"));
        assert!(asked("job", &json!({})).expect_err("no id").contains("id is missing"));
    }
}
