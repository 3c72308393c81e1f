//! What a handler makes of a request: the inside of a page. The frame around it is put there later.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, PreEscaped};

/// A place of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Jobs,
    Failures,
    Plugins,
    Hosts,
    Schedules,
    Audit,
    /// No place of its own.
    Other,
}

/// The inside of a page.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) section: Section,
    pub(crate) title: String,
    /// What stays as it is while somebody looks: forms.
    pub(crate) above: Markup,
    pub(crate) body: Markup,
    /// Whether the body is read again at each tick.
    pub(crate) live: bool,
    pub(crate) status: StatusCode,
}

impl Content {
    pub(crate) fn new(section: Section, title: impl Into<String>, body: Markup) -> Content {
        let (title, above) = (title.into(), PreEscaped(String::new()));
        Content { section, title, above, body, live: false, status: StatusCode::OK }
    }

    /// With the body read again at each tick.
    pub(crate) fn live(self) -> Content {
        Content { live: true, ..self }
    }

    /// With this above it.
    pub(crate) fn below(self, above: Markup) -> Content {
        Content { above, ..self }
    }
}

impl IntoResponse for Content {
    /// Nothing yet but itself.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
