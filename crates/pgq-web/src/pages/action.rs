//! Buttons that change something: a form each, with the token and the way back. Whoever may not use
//! them does not see them.

use maud::{Markup, html};

use super::desk::Desk;
use super::fields::TOKEN;
use super::icon::Icon;
use crate::visitor::{Role, Visitor};

/// How a button looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Button<'a> {
    icon: Icon,
    text: &'a str,
    class: &'static str,
}

impl<'a> Button<'a> {
    pub(crate) fn calm(icon: Icon, text: &'a str) -> Button<'a> {
        Button { icon, text, class: "button" }
    }

    pub(crate) fn main(icon: Icon, text: &'a str) -> Button<'a> {
        Button { icon, text, class: "button main" }
    }

    pub(crate) fn danger(icon: Icon, text: &'a str) -> Button<'a> {
        Button { icon, text, class: "button danger" }
    }
}

/// What every form carries.
pub(crate) fn hidden(visitor: &Visitor, fields: &[(&str, &str)]) -> Markup {
    html! {
        input type="hidden" name=(TOKEN) value=(visitor.csrf);
        @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
    }
}

/// A button that does it at once.
pub(crate) fn form(desk: &Desk, visitor: &Visitor, path: &str, fields: &[(&str, &str)], button: &Button<'_>) -> Markup {
    html! {
        @if visitor.role >= Role::Operator {
            form.inline method="post" action=(desk.link(path)) {
                (hidden(visitor, fields))
                button class=(button.class) type="submit" { (button.icon.svg()) (button.text) }
            }
        }
    }
}

/// A button that opens a form: what else it needs, and a sentence on what it does.
pub(crate) fn opens(
    desk: &Desk,
    visitor: &Visitor,
    path: &str,
    fields: &[(&str, &str)],
    button: &Button<'_>,
    inside: Markup,
) -> Markup {
    html! {
        @if visitor.role >= Role::Operator {
            details.act {
                summary class=(button.class) { (button.icon.svg()) (button.text) "\u{2026}" }
                form.pop method="post" action=(desk.link(path)) {
                    (hidden(visitor, fields))
                    (inside)
                    div.pop-end { button class={ (button.class) " go" } type="submit" { (button.icon.svg()) (button.text) } }
                }
            }
        }
    }
}

/// The field for the audit's reason.
pub(crate) fn reason(needed: bool) -> Markup {
    html! {
        label { span { "Reason" @if !needed { span.muted { " (for the audit)" } } } input name="reason" maxlength="500" autocomplete="off" required[needed]; }
    }
}
