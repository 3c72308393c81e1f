//! A tool as a client sees it.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::guide::DATA_OF_OTHERS;
use crate::parameter::Parameter;

/// What a tool is called, takes and tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToolText {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) answers: Answers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// A list of objects, as PgQueuer's tools do.
    Rows,
    /// One object.
    One,
}

impl ToolText {
    pub(crate) fn tool(&self) -> Tool {
        let about = format!("{}\n\n{DATA_OF_OTHERS}", self.about);
        let annotations = ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false);
        Tool::new(self.name, about, self.input())
            .with_raw_output_schema(Arc::new(self.output()))
            .with_annotations(annotations)
    }

    fn input(&self) -> JsonObject {
        let properties: Map<String, Value> =
            self.parameters.iter().map(|parameter| (parameter.name.to_owned(), parameter.schema())).collect();
        let required: Vec<&str> = self
            .parameters
            .iter()
            .filter(|parameter| parameter.is_required())
            .map(|parameter| parameter.name)
            .collect();
        let mut schema = object(json!({
            "type": "object", "title": format!("{}Arguments", self.name), "properties": properties,
            "additionalProperties": false,
        }));
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        schema
    }

    fn output(&self) -> JsonObject {
        let title = format!("{}Output", self.name);
        object(match self.answers {
            Answers::Rows => json!({
                "type": "object", "title": title, "required": ["result"],
                "properties": {
                    "result": { "type": "array", "title": "Result", "items": { "type": "object", "additionalProperties": true } },
                },
            }),
            Answers::One => json!({ "type": "object", "title": title, "additionalProperties": true }),
        })
    }
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}
