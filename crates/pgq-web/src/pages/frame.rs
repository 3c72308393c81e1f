//! The frame around every page: where one is, where one can go, what is paused, what was just done.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use maud::{DOCTYPE, Markup, html};

use super::banner;
use super::content::{Content, Section};
use super::desk::Desk;
use super::flash::Flash;
use super::help;
use super::icon::Icon;
use super::shown::shown;
use crate::assets;
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// The places, in order, with the key that follows `g`.
const PLACES: [(Section, &str, &str, Icon, char); 7] = [
    (Section::Overview, "Overview", "/", Icon::Overview, 'o'),
    (Section::Jobs, "Jobs", "/jobs", Icon::Jobs, 'j'),
    (Section::Failures, "Failures", "/failures", Icon::Failures, 'f'),
    (Section::Plugins, "Plugins", "/plugins", Icon::Plugins, 'p'),
    (Section::Hosts, "Hosts", "/hosts", Icon::Hosts, 'h'),
    (Section::Schedules, "Schedules", "/schedules", Icon::Schedules, 's'),
    (Section::Audit, "Audit", "/audit", Icon::Audit, 'a'),
];

/// A request as far as its frame needs it.
struct Frame {
    visitor: Visitor,
    flash: Option<Flash>,
    /// Below the prefix.
    address: String,
}

/// Put what a handler made into its frame; an error, too, is a page.
pub(crate) async fn frame(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>().cloned();
    let (headers, address) = (request.headers().clone(), request.uri().path_and_query().map(ToString::to_string));
    let is_read = request.method() == Method::GET;
    let response = next.run(request).await;
    let content = response.extensions().get::<Content>().cloned();
    let problem = response.extensions().get::<Problem>().cloned();
    let (Some(visitor), Some(content)) = (visitor, content.or_else(|| problem.map(trouble))) else { return response };
    let is_part = headers.contains_key("hx-request");
    let flash = Flash::read(&headers).filter(|_| is_read && !is_part);
    let frame = Frame { visitor, flash, address: address.unwrap_or_default() };
    let page = if is_part { part(&desk, &content, &frame).await } else { whole(&desk, &content, &frame).await };
    let mut response = (content.status, page).into_response();
    own(response.headers_mut());
    if frame.flash.is_some()
        && let Some(cookie) = Flash::forgotten(&desk.link(""))
    {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Pages are of one visitor and one moment.
fn own(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("hx-request"));
}

fn trouble(problem: Problem) -> Content {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = html! {
        div.head { h1 { (problem.title) } }
        div.empty {
            p.empty-sign { (Icon::Warning.svg()) }
            p.lead { (shown(&problem.detail)) }
            @if status == StatusCode::SERVICE_UNAVAILABLE {
                p.muted { "The page asks the database again when you reload it. From a terminal, " code { "pgq-host doctor" } " says what is wrong." }
            }
        }
    };
    Content { status, ..Content::new(Section::Other, problem.title, body) }
}

/// What is read again at a tick.
async fn part(desk: &Desk, content: &Content, frame: &Frame) -> Markup {
    html! {
        (region(desk, content, frame))
        (banner::banners(desk, &frame.visitor, true).await)
    }
}

fn region(desk: &Desk, content: &Content, frame: &Frame) -> Markup {
    let again = content.live.then(|| desk.link(&frame.address));
    html! {
        div #content hx-get=[again] hx-trigger=[content.live.then_some("live from:body")] hx-swap=[content.live.then_some("morph:outerHTML")] hx-sync=[content.live.then_some("this:drop")] {
            (content.body)
        }
    }
}

async fn whole(desk: &Desk, content: &Content, frame: &Frame) -> Markup {
    let asset = |name: &str| desk.link(&assets::path(name));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content="{\"includeIndicatorStyles\":false,\"allowEval\":false,\"allowScriptTags\":false,\"selfRequestsOnly\":true,\"historyCacheSize\":0,\"timeout\":15000}";
                title { (shown(&content.title)) " \u{b7} pgq-host" }
                link rel="icon" type="image/svg+xml" href=(asset("icon.svg"));
                link rel="preload" href=(asset("inter.woff2")) as="font" type="font/woff2" crossorigin;
                link rel="stylesheet" href=(asset("style.css"));
                script src=(asset("app.js")) {}
                script src=(asset("htmx.min.js")) defer {}
                script src=(asset("idiomorph.min.js")) defer {}
            }
            body hx-ext="morph" data-base=(desk.link("")) data-live=(desk.link("/live")) {
                a.skip href="#main" { "Skip to the content" }
                (side(desk, content.section, &frame.visitor))
                main #main tabindex="-1" {
                    (banner::banners(desk, &frame.visitor, false).await)
                    @if let Some(flash) = &frame.flash {
                        div.flash.bad[!flash.good] role="status" {
                            (if flash.good { Icon::Done.svg() } else { Icon::Warning.svg() })
                            p { (shown(&flash.text)) }
                        }
                    }
                    (content.above)
                    (region(desk, content, frame))
                }
                (help::dialog(&PLACES.map(|(_, name, _, _, key)| (key, name))))
                div #tip role="presentation" hidden {}
            }
        }
    }
}

fn side(desk: &Desk, here: Section, visitor: &Visitor) -> Markup {
    html! {
        header.side {
            a.brand href=(desk.link("/")) {
                img src=(desk.link(&assets::path("icon.svg"))) alt="" width="28" height="28";
                span { "pgq-host" }
            }
            form.goto action=(desk.link("/jobs/go")) method="get" role="search" aria-label="Go to a job" {
                (Icon::Search.svg())
                input #goto name="id" inputmode="numeric" autocomplete="off" placeholder="Job id" aria-label="Go to the job with this id" required pattern="[0-9]+" title="the number of a job";
                kbd aria-hidden="true" { "/" }
            }
            nav aria-label="Pages" {
                ul {
                    @for (section, name, path, icon, key) in PLACES {
                        li { a href=(desk.link(path)) data-key=(key) aria-current=[(section == here).then_some("page")] { (icon.svg()) span { (name) } } }
                    }
                }
            }
            div.foot {
                p.live-state { span.dot aria-hidden="true" {} span #live-text role="status" { "Reload for news" } }
                div.tools {
                    button.plain #theme type="button" hidden { (Icon::Theme.svg()) span { "Theme" } }
                    button.plain #keys type="button" hidden { kbd { "?" } span { "Keys" } }
                }
                p.who title=(if visitor.role == Role::Operator { "sees and changes everything" } else { "sees no payloads and changes nothing" }) {
                    span.who-name { (shown(&visitor.name)) }
                    span.who-role { (if visitor.role == Role::Operator { "operator" } else { "viewer" }) }
                }
                @if visitor.has_session {
                    form.logout method="post" action=(desk.link("/logout")) {
                        input type="hidden" name="csrf" value=(visitor.csrf);
                        button.plain type="submit" { "Log out" }
                    }
                }
            }
        }
    }
}
