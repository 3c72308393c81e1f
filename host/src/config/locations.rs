//! `plugins` under `[run]`: one place, or a list of places.

use serde::Deserialize;

use crate::location::Location;

/// The places that plugins come from. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Places")]
pub struct Locations(pub Vec<Location>);

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "not a place of plugins; write \"folder\", \"oci://registry/name:tag\", or a list of those"
)]
enum Places {
    One(String),
    Several(Vec<String>),
}

impl TryFrom<Places> for Locations {
    type Error = String;

    fn try_from(places: Places) -> Result<Locations, String> {
        let texts = match places {
            Places::One(one) => vec![one],
            Places::Several(list) => list,
        };
        let read = |text: &String| text.parse().map_err(|error: pgq_registry::RegistryError| error.to_string());
        texts.iter().map(read).collect::<Result<_, _>>().map(Locations)
    }
}
