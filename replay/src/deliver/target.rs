//! Where alerts can go, and one attempt to get one there.
//!
//! An address of the user → [`Target`] → `Transport`. Nothing is connected before the first alert. Secrets that stand in
//! addresses (credentials, paths and queries of webhooks) do not appear in messages.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{Parcel, syslog};

/// Time for one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a connection of it.
const CONNECT: Duration = Duration::from_secs(5);

/// Time that a server has to close its side of a connection.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes that it may say meanwhile.
const MAX_FAREWELL: u64 = 64 << 10;
/// Time in which a machine nearby says that nobody listens there.
const ECHO: Duration = Duration::from_millis(20);

/// A place that alerts can be sent to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A webhook: each alert is the body of a POST, in Falco's JSON, as falcosidekick takes it.
    Http(String),
    /// Syslog in datagrams (RFC 5426), `host:port`.
    Udp(String),
    /// Syslog over a connection, messages with their lengths in front (RFC 6587), `host:port`.
    Tcp(String),
    /// Syslog on a socket of this machine, such as `/dev/log`.
    Unix(PathBuf),
    /// A file that gets a JSON object a line at its end.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').ok_or("an address begins with http:, udp:, tcp:, unix: or file:")?;
        let place = rest.strip_prefix("//").unwrap_or(rest);
        if place.is_empty() {
            return Err(format!("'{text}' names no place"));
        }
        let with_port = |default: &str| match place.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(place.to_owned()),
            // An IPv6 address without a port ends in its bracket.
            None => Ok(format!("{place}:{default}")),
            Some(_) if place.ends_with(']') => Ok(format!("{place}:{default}")),
            Some((_, port)) => Err(format!("'{port}' is no port")),
        };
        match scheme {
            "http" => Ok(Self::Http(text.to_owned())),
            "https" if cfg!(feature = "tls") => Ok(Self::Http(text.to_owned())),
            "https" => {
                Err("this program was built without TLS (cargo feature `tls`): use http: to a falcosidekick or \
                            proxy nearby"
                    .to_owned())
            }
            "udp" => with_port("514").map(Self::Udp),
            "tcp" => with_port("601").map(Self::Tcp),
            "unix" if cfg!(unix) => Ok(Self::Unix(place.into())),
            "file" => Ok(Self::File(place.into())),
            _ => Err(format!("'{scheme}:' is none of http:, https:, udp:, tcp:, unix:, file:")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Tokens stand in paths and queries, passwords before the host.
            Self::Http(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                write!(out, "{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
            }
            Self::Udp(place) => write!(out, "udp://{place}"),
            Self::Tcp(place) => write!(out, "tcp://{place}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::File(path) => write!(out, "file:{}", path.display()),
        }
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another one may succeed.
    Temporary {
        /// What went wrong.
        error: String,
        /// How long the server asks to wait.
        wait: Option<Duration>,
    },
    /// This alert will never be taken.
    Refused(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Temporary { error: error.to_string(), wait: None }
    }
}

/// A way to a target.
pub(super) enum Transport {
    Http {
        agent: ureq::Agent,
        url: String,
    },
    Udp {
        place: String,
        socket: Option<UdpSocket>,
    },
    Tcp {
        place: String,
        stream: Option<TcpStream>,
    },
    #[cfg(unix)]
    Unix {
        path: PathBuf,
        socket: Option<Local>,
    },
    File(BufWriter<File>),
}

/// A socket of this machine.
#[cfg(unix)]
pub(super) enum Local {
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl Target {
    /// Opens it, as far as nobody else is needed for it. `authorities`: certificates (PEM) of those who may vouch for an
    /// HTTPS server, in place of the ones that browsers know.
    pub(super) fn open(&self, authorities: Option<&[u8]>) -> Result<Transport, String> {
        Ok(match self {
            Self::Http(url) => {
                // To where the user said and nowhere else: no proxy of the environment, no redirection.
                let config = ureq::Agent::config_builder();
                #[cfg(feature = "tls")]
                let config = match authorities {
                    Some(pem) => config.tls_config(trusting(pem)?),
                    None => config,
                };
                #[cfg(not(feature = "tls"))]
                let _ = authorities;
                let config = config
                    .timeout_global(Some(TIMEOUT))
                    .timeout_connect(Some(CONNECT))
                    .http_status_as_error(false)
                    .max_redirects(0)
                    .max_redirects_will_error(false)
                    .proxy(None)
                    .user_agent(concat!("casebook-replay/", env!("CARGO_PKG_VERSION")))
                    .build();
                Transport::Http { agent: config.into(), url: url.clone() }
            }
            Self::Udp(place) => Transport::Udp { place: place.clone(), socket: None },
            Self::Tcp(place) => Transport::Tcp { place: place.clone(), stream: None },
            #[cfg(unix)]
            Self::Unix(path) => Transport::Unix { path: path.clone(), socket: None },
            #[cfg(not(unix))]
            Self::Unix(_) => return Err(format!("{self}: not on this system")),
            Self::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                Transport::File(BufWriter::new(file.map_err(|error| format!("{self}: {error}"))?))
            }
        })
    }
}

impl Transport {
    /// One attempt.
    pub(super) fn send(&mut self, parcel: &Parcel) -> Result<(), Failure> {
        match self {
            Self::Http { agent, url } => post(agent, url, &parcel.json),
            Self::Udp { place, socket } => {
                let address = resolved(place)?;
                let socket = match socket {
                    Some(socket) => socket,
                    None => socket.insert(UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?),
                };
                // Connected, so that the answer that nobody listens there is heard, by the next one at the latest.
                socket.connect(address)?;
                socket.send(syslog::fitting(&syslog::message(parcel)))?;
                Ok(())
            }
            Self::Tcp { place, stream } => {
                if stream.as_ref().is_none_or(is_gone) {
                    let fresh = TcpStream::connect_timeout(&resolved(place)?, CONNECT)?;
                    fresh.set_write_timeout(Some(TIMEOUT))?;
                    *stream = Some(fresh);
                }
                let Some(connected) = stream else { return Ok(()) };
                let written = connected.write_all(&syslog::framed(parcel)).and_then(|()| connected.flush());
                if written.is_err() {
                    // The next attempt begins with a connection of its own: half a message may be on this one.
                    *stream = None;
                }
                Ok(written?)
            }
            #[cfg(unix)]
            Self::Unix { path, socket } => {
                if socket.is_none() {
                    *socket = Some(Local::connect(path)?);
                }
                let sent = socket.as_mut().map_or(Ok(()), |socket| socket.send(parcel));
                if sent.is_err() {
                    *socket = None;
                }
                Ok(sent?)
            }
            Self::File(file) => {
                let written = file.write_all(&parcel.json).and_then(|()| file.write_all(b"\n"));
                written.map_err(|error| Failure::Refused(error.to_string()))
            }
        }
    }

    /// There will be no more.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        match self {
            Self::File(file) => file.flush().map_err(|error| error.to_string()),
            Self::Tcp { stream: Some(stream), .. } => end(stream).map_err(|error| format!("the last ones: {error}")),
            Self::Udp { socket: Some(socket), .. } => {
                std::thread::sleep(ECHO);
                socket.take_error().ok().flatten().map_or(Ok(()), |error| Err(error.to_string()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(unix)]
impl Local {
    fn connect(path: &std::path::Path) -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        datagrams.set_write_timeout(Some(TIMEOUT))?;
        if datagrams.connect(path).is_ok() {
            return Ok(Self::Datagrams(datagrams));
        }
        // It may be a socket of the other kind.
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self::Stream(stream))
    }

    fn send(&mut self, parcel: &Parcel) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(syslog::fitting(&syslog::message(parcel))).map(|_| ()),
            Self::Stream(stream) => stream.write_all(&syslog::framed(parcel)),
        }
    }
}

/// Trust in these certificates and in no others.
#[cfg(feature = "tls")]
fn trusting(pem: &[u8]) -> Result<ureq::tls::TlsConfig, String> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err("no certificate (PEM) is in the file of --deliver-ca".to_owned());
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build())
}

/// Whether the other side has closed a connection, or broken it: what is written then may seem to arrive.
fn is_gone(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let restored = stream.set_nonblocking(false);
    restored.is_err()
        || !matches!(looked, Ok(1..)) && !matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Ends a connection: says that nothing comes any more, and waits a moment for the other side to do the same.
fn end(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(FAREWELL))?;
    match io::copy(&mut stream.take(MAX_FAREWELL), &mut io::sink()) {
        // A server may keep its side open.
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(()),
        ended => ended.map(|_| ()),
    }
}

fn resolved(place: &str) -> io::Result<std::net::SocketAddr> {
    place.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))
}

fn post(agent: &ureq::Agent, url: &str, json: &[u8]) -> Result<(), Failure> {
    let sent = agent.post(url).header("Content-Type", "application/json").send(json);
    let answer = match sent {
        Ok(answer) => answer,
        Err(ureq::Error::BadUri(error)) => return Err(Failure::Refused(error)),
        Err(ureq::Error::Http(error)) => return Err(Failure::Refused(error.to_string())),
        Err(error) => return Err(Failure::Temporary { error: error.to_string(), wait: None }),
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let error = format!("the server answers {status}");
    if status.as_u16() == 429 || status.as_u16() == 408 || status.is_server_error() {
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        return Err(Failure::Temporary { error, wait: after.map(Duration::from_secs) });
    }
    Err(Failure::Refused(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("http://user:secret@sidekick:2801/token?x=1", "http://sidekick:2801"),
            ("udp://log", "udp://log:514"),
            ("udp://[::1]", "udp://[::1]:514"),
            ("tcp:log:6514", "tcp://log:6514"),
            ("unix:/dev/log", "unix:/dev/log"),
            ("unix:///dev/log", "unix:/dev/log"),
            ("file:alerts.jsonl", "file:alerts.jsonl"),
        ] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in ["alerts", "ftp://x", "udp://", "tcp://log:x", "file:"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert_eq!("https://x".parse::<Target>().is_ok(), cfg!(feature = "tls"));
    }
}
