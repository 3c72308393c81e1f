//! Signs beside words: every state has a shape as well as a colour.

use maud::{Markup, html};

/// A sign, for the eye alone: what it means stands beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Icon {
    Overview,
    Jobs,
    Failures,
    Plugins,
    Hosts,
    Schedules,
    Audit,
    Queued,
    Deferred,
    Running,
    Done,
    Failed,
    Canceled,
    Removed,
    Paused,
    Play,
    Retry,
    Back,
    Search,
    Theme,
    Warning,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Overview => "M3 3h7v9H3zM14 3h7v5h-7zM14 12h7v9h-7zM3 16h7v5H3z",
            Icon::Jobs => "M4 6h16M4 12h16M4 18h10",
            Icon::Failures => "M12 3 2.5 20h19zM12 10v4M12 17v.5",
            Icon::Plugins => "M12 2.5 21 7v10l-9 4.5L3 17V7zM3 7l9 4.5L21 7M12 11.5v10",
            Icon::Hosts => "M3 4h18v7H3zM3 13h18v7H3zM7 7.5h.5M7 16.5h.5",
            Icon::Schedules => "M4 5h16v16H4zM4 10h16M8 2.5V7M16 2.5V7",
            Icon::Audit => "M6 3h9l4 4v14H6zM9.5 12h6M9.5 16h6",
            Icon::Queued => "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z",
            Icon::Deferred => "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4.5l3 2",
            Icon::Running => "M7 4.5 19 12 7 19.5z",
            Icon::Done => "M4.5 12.5 10 18 20 6.5",
            Icon::Failed => "M6 6l12 12M18 6 6 18",
            Icon::Canceled => "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM6.5 6.5l11 11",
            Icon::Removed => "M5 12h14",
            Icon::Paused => "M8 5v14M16 5v14",
            Icon::Play => "M7 4.5 19 12 7 19.5z",
            Icon::Retry => "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9M20 4v5h-5",
            Icon::Back => "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
            Icon::Search => "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
            Icon::Theme => "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
            Icon::Warning => "M12 3 2.5 20h19zM12 10v4M12 17v.5",
        }
    }

    pub(crate) fn svg(self) -> Markup {
        let solid = matches!(self, Icon::Running | Icon::Play);
        html! {
            svg.icon.solid[solid] viewBox="0 0 24 24" aria-hidden="true" focusable="false" { path d=(self.path()) {} }
        }
    }
}
