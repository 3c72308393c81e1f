//! What a tool is asked for.

use serde_json::{Value, json};

/// A parameter, as its schema tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A whole number between these, and one if it is not said.
    Whole {
        least: i64,
        most: i64,
        default: i64,
    },
    /// A whole number that has to be said.
    Id,
    /// The same, if it is wanted.
    OptionalId,
    /// A text, and one if it is not said.
    Text {
        default: &'static str,
    },
    OptionalText,
}

impl Parameter {
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
        Parameter { name, kind, about }
    }

    /// In the shape of PgQueuer's.
    pub(crate) fn schema(&self) -> Value {
        let mut schema = match self.kind {
            Kind::Whole { least, most, default } => {
                json!({ "type": "integer", "minimum": least, "maximum": most, "default": default })
            }
            Kind::Id => json!({ "type": "integer" }),
            Kind::OptionalId => json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }], "default": null }),
            Kind::Text { default } => json!({ "type": "string", "default": default }),
            Kind::OptionalText => json!({ "anyOf": [{ "type": "string" }, { "type": "null" }], "default": null }),
        };
        schema["title"] = title(self.name).into();
        schema["description"] = self.about.into();
        schema
    }

    pub(crate) fn is_required(&self) -> bool {
        matches!(self.kind, Kind::Id)
    }
}

fn title(name: &str) -> String {
    let mut words: Vec<String> = name.split('_').map(str::to_owned).collect();
    words.iter_mut().for_each(|word| word[..1].make_ascii_uppercase());
    words.join(" ")
}
