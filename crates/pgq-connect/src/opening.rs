//! A session for the driver, opened at one place.

use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use crate::attrs::SessionAttrs;
use crate::binding;
use crate::dial::{Try, dial};
use crate::encryption::{ChannelBinding, SslMode};
use crate::endpoint::{Endpoint, Place};
use crate::failure::Failure;
use crate::hosts::Attempt;
use crate::login::{Credentials, Greeting, log_in};
use crate::route::Route;
use crate::stream::Stream;
use crate::tls;

pub(crate) struct Opening<'a> {
    route: &'a Route,
    /// The driver's first message.
    startup: &'a [u8],
    config: Option<Arc<ClientConfig>>,
}

impl<'a> Opening<'a> {
    pub(crate) async fn new(route: &'a Route, startup: &'a [u8]) -> Result<Opening<'a>, Failure> {
        Ok(Opening { route, startup, config: client_config(route).await? })
    }
}

/// `None` where nothing is encrypted.
pub async fn client_config(route: &Route) -> Result<Option<Arc<ClientConfig>>, Failure> {
    let encryption = route.encryption.clone();
    if encryption.mode == SslMode::Disable || route.endpoints.iter().all(Endpoint::is_socket) {
        return Ok(None);
    }
    let made = tokio::task::spawn_blocking(move || tls::config(&encryption)).await;
    let made = made.map_err(|error| Failure::Insecure(error.to_string()))?;
    made.map(|config| Some(Arc::new(config))).map_err(Failure::Insecure)
}

impl Attempt for Opening<'_> {
    type Session = (Stream, Greeting, Endpoint);

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        place: &Place,
        wanted: SessionAttrs,
    ) -> Result<(Stream, Greeting, Endpoint), Failure> {
        let tries = Try::all(self.route.encryption.mode, place);
        for how in &tries[..tries.len() - 1] {
            match self.one(endpoint, place, wanted, *how).await {
                // It takes nobody who comes so, or TLS does not come about.
                Err(Failure::Refused(refusal)) if refusal.code == "28000" => {}
                Err(Failure::Tls(_)) if *how == Try::IfOffered => {}
                tried => return tried,
            }
        }
        self.one(endpoint, place, wanted, tries[tries.len() - 1]).await
    }
}

impl Opening<'_> {
    async fn one(
        &self,
        endpoint: &Endpoint,
        place: &Place,
        wanted: SessionAttrs,
        how: Try,
    ) -> Result<(Stream, Greeting, Endpoint), Failure> {
        let mut stream = dial(endpoint, place, how, &self.route.encryption, self.config.as_ref()).await?;
        let password = self.route.password(endpoint);
        let binding = self.route.encryption.channel_binding;
        let encrypted = matches!(stream, Stream::Tls(_)).then(|| match binding {
            ChannelBinding::Disable => None,
            _ => stream.certificate().and_then(binding::of_certificate),
        });
        let credentials = Credentials { user: &self.route.user, password: password.as_deref(), binding, encrypted };
        let greeting = log_in(&mut stream, self.startup, &credentials).await?;
        greeting.check(&mut stream, wanted).await?;
        Ok((stream, greeting, endpoint.clone()))
    }
}
