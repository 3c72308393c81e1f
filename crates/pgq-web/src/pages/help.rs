//! The keys, as a dialog.

use maud::{Markup, html};

pub(crate) fn dialog(places: &[(char, &str)]) -> Markup {
    let key = |keys: &[&str], what: &str| {
        html! { div { dt { @for key in keys { kbd { (key) } } } dd { (what) } } }
    };
    html! {
        dialog #help aria-labelledby="help-title" {
            div.help-head {
                h2 #help-title { "Keys" }
                form method="dialog" { button.plain type="submit" { "Close" } }
            }
            dl.keys {
                @for (letter, name) in places { (key(&["g", &letter.to_string()], name)) }
                (key(&["/"], "Go to a job by its id"))
                (key(&["j", "k"], "Next row, row before"))
                (key(&["\u{23ce}"], "Open the row"))
                (key(&["x"], "Choose the row"))
                (key(&["."], "Freeze the page, or let it go on"))
                (key(&["r"], "Read it again now"))
                (key(&["t"], "Light, dark, or as the system says"))
                (key(&["?"], "This help"))
            }
            label.switch { input type="checkbox" #keys-on checked; "Use single keys as shortcuts" }
        }
    }
}
