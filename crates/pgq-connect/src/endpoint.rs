//! A server of the list: a name or an address, or the folder of a socket, and a port.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::settings::Settings;

const DEFAULT_PORT: u16 = 5432;
/// Where packages put the socket.
const SOCKETS: [&str; 3] = ["/var/run/postgresql", "/private/tmp", "/tmp"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name, an address as text, or a folder. A certificate is checked for it.
    pub host: String,
    /// Where it is, if that is not looked up.
    pub address: Option<IpAddr>,
    pub port: u16,
}

/// One way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Endpoint {
    /// The list, at least one, in its order.
    pub(crate) fn all(settings: &Settings) -> Result<Vec<Endpoint>, String> {
        let list = |name| settings.get(name).map(|text| text.split(',').map(str::trim).collect::<Vec<_>>());
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
        if let (Some(hosts), Some(addresses)) = (&hosts, &addresses)
            && hosts.len() != addresses.len()
        {
            return Err(format!(
                "{} has {} hosts and {} has {}: name as many",
                settings.named("host"),
                hosts.len(),
                settings.named("hostaddr"),
                addresses.len()
            ));
        }
        let count = hosts.as_ref().or(addresses.as_ref()).map_or(1, Vec::len);
        if let Some(ports) = &ports
            && ports.len() > 1
            && ports.len() != count
        {
            return Err(format!("{} has {} ports for {count} hosts", settings.named("port"), ports.len()));
        }
        (0..count)
            .map(|at| {
                let text = ports.as_ref().map_or("", |ports| if ports.len() == 1 { ports[0] } else { ports[at] });
                let port = port(text).map_err(|mistake| format!("{}: {mistake}", settings.named("port")))?;
                let address = addresses.as_ref().map(|addresses| addresses[at]).filter(|text| !text.is_empty());
                let address = address.map(|text| {
                    let named = settings.named("hostaddr");
                    text.parse().map_err(|_| format!("{named} is {text:?}, which is no IP address; host takes names"))
                });
                let address: Option<IpAddr> = address.transpose()?;
                let host = hosts.as_ref().map(|hosts| hosts[at]).filter(|host| !host.is_empty()).map(str::to_owned);
                let host = host.or_else(|| Some(address?.to_string())).unwrap_or_else(|| nearest(port));
                Ok(Endpoint { host, address, port })
            })
            .collect()
    }

    /// Whether it is a socket of this machine.
    pub fn is_socket(&self) -> bool {
        self.address.is_none() && self.host.starts_with(['/', '@'])
    }

    /// What a password file calls it.
    pub(crate) fn in_passfile(&self) -> &str {
        if self.is_socket() && SOCKETS.contains(&self.host.as_str()) { "localhost" } else { &self.host }
    }

    /// All ways to it, by a look-up of its name. None of them is empty.
    pub async fn places(&self) -> io::Result<Vec<Place>> {
        if let Some(address) = self.address {
            return Ok(vec![Place::Tcp(SocketAddr::new(address, self.port))]);
        }
        if self.is_socket() {
            // With @, it has no file.
            let folder = self.host.strip_prefix('@').map_or_else(|| self.host.clone(), |name| format!("\0{name}"));
            return Ok(vec![Place::Unix(Path::new(&folder).join(format!(".s.PGSQL.{}", self.port)))]);
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        let places: Vec<Place> = found.map(Place::Tcp).collect();
        if places.is_empty() {
            Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
        } else {
            Ok(places)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A port, or the usual one. A text that is no number is not repeated: it may be half a password.
fn port(text: &str) -> Result<u16, String> {
    match text.parse::<u32>() {
        _ if text.is_empty() => Ok(DEFAULT_PORT),
        Ok(number @ 1..=65535) if text.bytes().all(|digit| digit.is_ascii_digit()) => {
            u16::try_from(number).map_err(|_| "the port is not from 1 to 65535".into())
        }
        Ok(number) => Err(format!("the port {number} is not from 1 to 65535")),
        Err(_) => Err("the port is not a number from 1 to 65535".into()),
    }
}

/// The socket of this machine's server, else this machine.
fn nearest(port: u16) -> String {
    let socket = format!(".s.PGSQL.{port}");
    let folder = SOCKETS.iter().find(|folder| Path::new(folder).join(&socket).exists());
    folder.map_or("localhost", |folder| *folder).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dsn: &str) -> Result<String, String> {
        let settings = Settings::read(Some(dsn), &|_| None)?;
        let all = Endpoint::all(&settings)?;
        let shown = |one: &Endpoint| one.address.map_or(one.to_string(), |address| format!("{one}={address}"));
        Ok(all.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn hosts_addresses_and_ports_are_matched_as_libpq_does() {
        for (dsn, wanted) in [
            ("postgresql://h", "h:5432"),
            ("postgresql://a,b:6", "a:5432 b:6"),
            ("postgresql://a,b/?port=7", "a:7 b:7"),
            ("postgresql:///?host=a,b&port=1,2", "a:1 b:2"),
            ("postgresql:///?host=a,b&hostaddr=10.0.0.1,::1", "a:5432=10.0.0.1 b:5432=::1"),
            ("postgresql:///?hostaddr=10.0.0.1", "10.0.0.1:5432=10.0.0.1"),
            ("host=/run/pg,a port=1", "/run/pg:1 a:1"),
        ] {
            assert_eq!(all(dsn).as_deref(), Ok(wanted), "{dsn}");
        }
        for (dsn, said) in [
            ("postgresql:///?host=a,b&hostaddr=10.0.0.1", "name as many"),
            ("postgresql:///?host=a,b&port=1,2,3", "3 ports for 2 hosts"),
            ("postgresql://u:secret@h:99999/db", "99999"),
            ("postgresql://u:secret@h:0/db", "from 1 to 65535"),
            ("postgresql://u:secret@h:abc/db", "not a number"),
            ("postgresql://h/db?hostaddr=localhost", "no IP address"),
        ] {
            let mistake = all(dsn).expect_err(dsn);
            assert!(mistake.contains(said) && !mistake.contains("secret"), "{dsn}: {mistake}");
        }
    }

    #[tokio::test]
    async fn a_folder_is_a_socket_and_an_address_is_not_looked_up() {
        let places = async |dsn| {
            let settings = Settings::read(Some(dsn), &|_| None).expect("settings");
            Endpoint::all(&settings).expect("endpoints")[0].places().await.expect("places")
        };
        assert_eq!(places("host=/run/pg").await, [Place::Unix("/run/pg/.s.PGSQL.5432".into())]);
        assert_eq!(places("host=@pg").await, [Place::Unix("\0pg/.s.PGSQL.5432".into())]);
        let address = "10.0.0.1:6".parse().expect("an address");
        assert_eq!(places("host=no.such.name hostaddr=10.0.0.1 port=6").await, [Place::Tcp(address)]);
    }
}
