//! One server after another, until one is the right one.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::attrs::SessionAttrs;
use crate::endpoint::{Endpoint, Place};
use crate::failure::Failure;
use crate::route::Route;

/// Opens a session at one place.
pub trait Attempt: Sync {
    type Session: Send;

    /// A server that is not what is wanted is [`Failure::Unfit`].
    fn attempt(
        &self,
        endpoint: &Endpoint,
        place: &Place,
        wanted: SessionAttrs,
    ) -> impl Future<Output = Result<Self::Session, Failure>> + Send;
}

/// The first session that is right. Each server has its share of the time, so that one that does not
/// answer leaves some to the others, and each address of a server its share of that.
pub async fn first<A: Attempt>(route: &Route, within: Duration, attempt: &A) -> Result<A::Session, Failure> {
    let (passes, endpoints) = (route.attrs.passes(), route.ordered());
    let tries = u32::try_from(passes.len() * endpoints.len()).unwrap_or(u32::MAX).max(1);
    let share = (within / tries).min(route.connect_timeout.unwrap_or(Duration::MAX));
    let mut failures = Vec::new();
    for wanted in passes {
        for endpoint in &endpoints {
            match at(route, endpoint, *wanted, share, attempt).await {
                Ok(session) => return Ok(session),
                Err(failure) if !failure.leaves_others() => return Err(failure),
                Err(failure) => failures.push((*endpoint, failure)),
            }
        }
    }
    if endpoints.len() == 1
        && let Some((_, failure)) = failures.pop()
    {
        return Err(failure);
    }
    let may_pass = failures.iter().any(|(_, failure)| failure.may_pass());
    let text: Vec<String> = failures.iter().map(|(endpoint, failure)| format!("{endpoint}: {failure}")).collect();
    Err(Failure::Nowhere { text: text.join("; "), may_pass })
}

async fn at<A: Attempt>(
    route: &Route,
    endpoint: &Endpoint,
    wanted: SessionAttrs,
    share: Duration,
    attempt: &A,
) -> Result<A::Session, Failure> {
    let late = |time: Duration| {
        Failure::Unreachable(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {time:?}")))
    };
    let mut places = timeout(share, endpoint.places()).await.map_err(|_| late(share))??;
    if route.is_balanced() {
        fastrand::shuffle(&mut places);
    }
    let each = share / u32::try_from(places.len()).unwrap_or(u32::MAX).max(1);
    let mut last = None;
    for place in &places {
        match timeout(each, attempt.attempt(endpoint, place, wanted)).await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(failure)) if !failure.leaves_others() => return Err(failure),
            Ok(Err(failure)) => last = Some(failure),
            Err(_) => last = Some(late(each)),
        }
    }
    Err(last.unwrap_or_else(|| late(share)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::failure::Refusal;

    /// Answers by the name of the host.
    #[derive(Default)]
    struct Servers(Mutex<Vec<String>>);

    impl Attempt for Servers {
        type Session = String;

        async fn attempt(&self, endpoint: &Endpoint, _: &Place, wanted: SessionAttrs) -> Result<String, Failure> {
            self.0.lock().expect("alive").push(format!("{}:{wanted}", endpoint.port));
            match endpoint.port {
                1 => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
                2 => std::future::pending().await,
                3 => Err(Failure::Refused(Refusal { code: "28P01".into(), message: "no".into(), fields: Vec::new() })),
                4 => {
                    Err(Failure::Refused(Refusal { code: "57P03".into(), message: "soon".into(), fields: Vec::new() }))
                }
                5 if wanted == SessionAttrs::Standby => Err(Failure::Unfit("the server is not a standby")),
                port => Ok(port.to_string()),
            }
        }
    }

    async fn first_of(ports: &str, more: &str) -> (Result<String, String>, Vec<String>) {
        first_within(Duration::from_millis(200), ports, more).await
    }

    async fn first_within(within: Duration, ports: &str, more: &str) -> (Result<String, String>, Vec<String>) {
        let hosts = vec!["127.0.0.1"; ports.split(',').count()].join(",");
        let dsn = format!("host={hosts} hostaddr={hosts} port={ports} user=u {more}");
        let route = Route::read(Some(&dsn), &|_| None, || None).expect("a route");
        let servers = Servers::default();
        let found = first(&route, within, &servers).await.map_err(|failure| failure.to_string());
        (found, servers.0.into_inner().expect("alive"))
    }

    #[tokio::test]
    async fn they_are_tried_in_turn_and_a_silent_one_leaves_time_to_the_others() {
        assert_eq!(first_of("1,2,4,6", "").await.0.as_deref(), Ok("6"));
        let (found, asked) = first_of("3,6", "").await;
        assert!(found.is_err_and(|said| said == "no (SQLSTATE 28P01)") && asked == ["3:any"]);
        let said = first_of("1,2", "").await.0.expect_err("none");
        assert!(said.contains("127.0.0.1:1: ") && said.contains("127.0.0.1:2: no answer within 100ms"), "{said}");
        let said = first_within(Duration::from_secs(60), "1,2", "connect_timeout=1").await.0.expect_err("none");
        assert!(said.contains("no answer within 1s"), "{said}");
    }

    #[tokio::test]
    async fn a_standby_is_preferred_and_another_taken() {
        let (found, asked) = first_of("5,5", "target_session_attrs=prefer-standby").await;
        assert_eq!(found.as_deref(), Ok("5"));
        assert_eq!(asked, ["5:standby", "5:standby", "5:any"]);
        assert_eq!(first_of("5,6", "target_session_attrs=prefer-standby").await.0.as_deref(), Ok("6"));
    }

    #[tokio::test]
    async fn a_random_order_is_not_always_the_same() {
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..64 {
            firsts.insert(first_of("6,7,8", "load_balance_hosts=random").await.0.expect("one"));
        }
        assert!(firsts.len() > 1, "{firsts:?}");
    }
}
