//! What processes did, whether or not a rule fired on it: connections, files, containers, requests to the cluster.
//!
//! Rows of the tables that `gather::tables` fills, each with the alerts that belong to it.

use serde::Serialize;

use super::Severity;
use crate::report::text::{Text, Time};

/// Processes of one name and whom they talked to; all ports of a client in one.
#[derive(Debug, Serialize)]
pub struct Connection {
    /// The process's name.
    pub process: Text,
    /// Container, by its name or id.
    pub container: Text,
    /// Protocol.
    pub protocol: Text,
    /// Client or server, as seen from the process.
    pub role: Text,
    /// Client: `address:port`, or the address alone where several ports were used.
    pub client: Text,
    /// Server, `address:port`.
    pub server: Text,
    /// Name that was resolved to the address of the other side.
    pub dns: Text,
    /// The other side lies outside private, local and multicast ranges.
    pub public: bool,
    /// Connections made or taken.
    pub connects: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// First seen.
    pub first: Option<Time>,
    /// Last seen.
    pub last: Option<Time>,
    /// Alerts of these processes.
    pub alerts: u64,
}

/// Processes of one name and what they did to a file.
#[derive(Debug, Serialize)]
pub struct File {
    /// The file.
    pub path: Text,
    /// The process's name.
    pub process: Text,
    /// Container, by its name or id.
    pub container: Text,
    /// What was done, in words: `created, written, renamed`.
    pub did: Text,
    /// Opens, failed ones included.
    pub opens: u64,
    /// Opens that failed.
    pub failed: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// First touched.
    pub first: Option<Time>,
    /// Last touched.
    pub last: Option<Time>,
    /// Alerts of these processes.
    pub alerts: u64,
}

/// A container.
#[derive(Debug, Serialize)]
pub struct Container {
    /// Its short id.
    pub id: Text,
    /// Its name.
    pub name: Text,
    /// Engine.
    pub kind: Text,
    /// Image, with its tag.
    pub image: Text,
    /// `yes`, `no`, or empty when the capture does not tell.
    pub privileged: Text,
    /// Pod, as `namespace/name`.
    pub pod: Text,
    /// Lives of processes in it.
    pub processes: u64,
    /// Alerts in it.
    pub alerts: u64,
    /// The strongest of them.
    pub severity: Option<Severity>,
    /// The capture.
    pub capture: Text,
}

/// A request to the cluster.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// When.
    pub time: Time,
    /// Who asked.
    pub user: Text,
    /// From where.
    pub source: Text,
    /// What for.
    pub verb: Text,
    /// Of what: `resource/subresource`.
    pub resource: Text,
    /// `namespace/name`.
    pub object: Text,
    /// What the cluster answered.
    pub response: Text,
    /// Alerts on it.
    pub alerts: u64,
}
