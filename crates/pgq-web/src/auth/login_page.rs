//! The page to log in at.

use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::site::Site;

/// The form. `failed` says why the last login, of this name, was none.
pub(super) fn form(site: &Site, next: &str, name: &str, failed: Option<&str>) -> Markup {
    document(
        site,
        "Log in",
        html! {
            form.login method="post" action=(site.link("/login")) {
                h1 { "pgq-host" }
                @if let Some(failed) = failed {
                    p.error role="alert" { (failed) }
                }
                input type="hidden" name="next" value=(next);
                label for="name" { "Name" }
                input #name type="text" name="name" value=(name) maxlength="128" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus;
                label for="password" { "Password" }
                input #password type="password" name="password" autocomplete="current-password" required;
                p.hint { "With a token, leave the name empty." }
                button type="submit" { "Log in" }
            }
        },
    )
}

/// A page that only says something.
pub(super) fn message(site: &Site, title: &str, text: &str) -> Markup {
    document(site, title, html! { main.message { h1 { (title) } p { (text) } } })
}

fn document(site: &Site, title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " \u{b7} pgq-host" }
                link rel="icon" type="image/svg+xml" href=(site.link(&assets::path("icon.svg")));
                link rel="stylesheet" href=(site.link(&assets::path("style.css")));
            }
            body { (body) }
        }
    }
}
