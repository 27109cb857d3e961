//! Containers: the id from cgroup paths, the rest from container events.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Text;
use super::keep::{keep, keep_choice};

/// What runs a container. The numbers are those of the container events' `type`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs)] // names of the engines
pub enum ContainerKind {
    Docker,
    Lxc,
    LibvirtLxc,
    Mesos,
    Rkt,
    Custom,
    Cri,
    Containerd,
    CriO,
    Bpm,
    Static,
    Podman,
    SystemdNspawn,
    Host,
    #[default]
    Unknown,
}

keep_choice!(ContainerKind {
    Docker,
    Lxc,
    LibvirtLxc,
    Mesos,
    Rkt,
    Custom,
    Cri,
    Containerd,
    CriO,
    Bpm,
    Static,
    Podman,
    SystemdNspawn,
    Host,
    Unknown,
});

/// A mount of a container (`container.mount.*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Path outside.
    pub source: Text,
    /// Path inside.
    pub destination: Text,
    /// Mode text, for example `ro`.
    pub mode: Text,
    /// Writable.
    pub rdwr: bool,
    /// Propagation text.
    pub propagation: Text,
}

keep!(Mount { source, destination, mode, rdwr, propagation });

/// A health, liveness or readiness probe's command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Program.
    pub exe: Text,
    /// Its arguments.
    pub args: Vec<Text>,
}

keep!(Probe { exe, args });

/// What is known of a container beyond its id. Texts are empty where the metadata lacks them.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // facts of the engine, independent of each other
pub struct Container {
    /// Changes whenever anything below changes.
    pub version: u64,
    /// `container.id`: first 12 characters.
    pub id: Text,
    /// Complete id; empty where neither metadata nor cgroup path held it.
    pub full_id: Text,
    /// Engine, as the metadata says it, else as the cgroup path suggests.
    pub kind: ContainerKind,
    /// A container event described it. When not, only the ids and the kind are known.
    pub has_metadata: bool,
    /// Name.
    pub name: Text,
    /// Image as given to the engine, for example `docker.io/library/nginx:1.25`.
    pub image: Text,
    /// Image id without the `sha256:` prefix.
    pub image_id: Text,
    /// Repository part of the image reference.
    pub image_repository: Text,
    /// Tag part.
    pub image_tag: Text,
    /// Digest part.
    pub image_digest: Text,
    /// User as configured.
    pub user: Text,
    /// Address; `None` unknown.
    pub ip: Option<IpAddr>,
    /// Privileged; `None` unknown.
    pub privileged: Option<bool>,
    /// Shares the host's pid namespace; `None` unknown.
    pub host_pid: Option<bool>,
    /// Shares the host's network; `None` unknown.
    pub host_network: Option<bool>,
    /// Shares the host's ipc namespace; `None` unknown.
    pub host_ipc: Option<bool>,
    /// Creation, seconds since the epoch; 0 unknown.
    pub created_s: i64,
    /// Mounts in the order given.
    pub mounts: Vec<Mount>,
    /// Labels.
    pub labels: BTreeMap<Text, Text>,
    /// `KEY=value` list.
    pub env: Vec<Text>,
    /// The pod's sandbox (pause) container rather than a workload.
    pub is_pod_sandbox: bool,
    /// Id of the pod's sandbox.
    pub pod_sandbox_id: Text,
    /// Labels of the pod's sandbox.
    pub pod_sandbox_labels: BTreeMap<Text, Text>,
    /// CNI result, JSON.
    pub cni_json: Text,
    /// Health check.
    pub healthcheck: Option<Probe>,
    /// Liveness probe.
    pub liveness_probe: Option<Probe>,
    /// Readiness probe.
    pub readiness_probe: Option<Probe>,
}

keep!(Container {
    version,
    id,
    full_id,
    kind,
    has_metadata,
    name,
    image,
    image_id,
    image_repository,
    image_tag,
    image_digest,
    user,
    ip,
    privileged,
    host_pid,
    host_network,
    host_ipc,
    created_s,
    mounts,
    labels,
    env,
    is_pod_sandbox,
    pod_sandbox_id,
    pod_sandbox_labels,
    cni_json,
    healthcheck,
    liveness_probe,
    readiness_probe,
});

impl Container {
    /// Value of a label: of the container, else of its pod sandbox.
    pub fn label(&self, key: &[u8]) -> Option<&Text> {
        self.labels.get(key).or_else(|| self.pod_sandbox_labels.get(key))
    }

    /// Pod name (`k8s.pod.name`).
    pub fn pod_name(&self) -> Option<&Text> {
        self.label(b"io.kubernetes.pod.name")
    }

    /// Pod namespace (`k8s.ns.name`).
    pub fn pod_namespace(&self) -> Option<&Text> {
        self.label(b"io.kubernetes.pod.namespace")
    }

    /// Pod uid (`k8s.pod.uid`).
    pub fn pod_uid(&self) -> Option<&Text> {
        self.label(b"io.kubernetes.pod.uid")
    }
}
