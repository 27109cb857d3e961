//! `container.*` and `k8s.*`: the container of the thread, by its cgroups and by container events.
//!
//! As Falco's container plugin answers: on the host the id, the name and the type are `host` and texts are empty; in
//! a container that no event described, little but the id is known and the rest is absent.

use std::cell::RefCell;
use std::collections::BTreeMap;

use casebook_rules::event::Extracted;
use casebook_rules::schema::{FieldArg, FieldRef};

use super::catalogue::{ContainerField, Extractor, row_of};
use super::{borrowed, fixed, index, key, owned, truth, unsigned, when};
use crate::context::EventContext;
use crate::state::container::{ContainerKind, Mount};
use crate::state::{Container, Text};

/// Id, name and type of processes outside containers.
const HOST: &str = "host";
/// Length of the short form of an id.
const SHORT_ID: usize = 12;

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: ContainerField, arg: &FieldArg) -> Extracted<'e> {
    if context.effects.is_about_container()
        && let Some(container) = context.state.event_container(context.effects)
    {
        return match field {
            ContainerField::ContainerId => borrowed(&container.id),
            ContainerField::ContainerStartTs | ContainerField::ContainerDuration => Extracted::Absent,
            _ => described(context, container, field, arg),
        };
    }
    let Some(thread) = context.thread else { return Extracted::Absent };
    let started = Some(thread.pidns_init_start_ts).filter(|&start| start != 0 && !thread.container_id.is_empty());
    match field {
        ContainerField::ContainerStartTs => return when(started, unsigned),
        ContainerField::ContainerDuration => {
            return when(started, |start| unsigned(context.event.ts.wrapping_sub(start)));
        }
        _ => {}
    }
    if thread.container_id.is_empty() {
        // A thread of which only the number is known, or no more than a clone tells, may be anywhere.
        let untold = thread.placeholder || (thread.program_lost && thread.cgroups.is_empty());
        return if untold { Extracted::Absent } else { on_host(field) };
    }
    match (field, context.state.container_of(thread)) {
        (ContainerField::ContainerId, _) => borrowed(&thread.container_id),
        (_, Some(container)) if container.has_metadata => described(context, container, field, arg),
        // What the cgroup path tells beyond the id.
        (ContainerField::ContainerFullId, Some(container)) => {
            when(Some(&container.full_id).filter(|id| !id.is_empty()), |id| borrowed(id))
        }
        (ContainerField::ContainerType, Some(container)) => {
            when(kind_name(container.kind).filter(|name| !name.is_empty()), fixed)
        }
        _ => Extracted::Absent,
    }
}

/// Whether a field is absent because the capture does not tell: in a container that no event described, or where the
/// event left out what every container has. A label or mount that a described container lacks is an answer.
pub(crate) fn is_untold(context: &EventContext<'_>, field: &FieldRef) -> bool {
    let Some(Extractor::Container(which)) = row_of(field.id).map(|row| row.extractor) else { return false };
    let container = context.state.event_container(context.effects);
    let inside = container.is_some() || context.thread.is_some_and(|thread| !thread.container_id.is_empty());
    // Not every container has these.
    let optional = matches!(
        which,
        ContainerField::ContainerMount
            | ContainerField::ContainerMountSource
            | ContainerField::ContainerMountDest
            | ContainerField::ContainerMountMode
            | ContainerField::ContainerMountRdwr
            | ContainerField::ContainerMountPropagation
            | ContainerField::ContainerLabel
            | ContainerField::K8sPodName
            | ContainerField::K8sNsName
            | ContainerField::K8sPodId
            | ContainerField::K8sPodUid
            | ContainerField::K8sPodLabel
            | ContainerField::K8sPodIp
            | ContainerField::K8sPodCniJson
    );
    let answer = optional && container.is_some_and(|container| container.has_metadata);
    inside && !answer && matches!(extract(context, which, &field.arg), Extracted::Absent)
}

/// Whether a field says the same on all events of a process until something becomes known of processes or containers.
pub(super) fn outlasts(field: ContainerField) -> bool {
    field != ContainerField::ContainerDuration
}

/// Whether a field is about the container of an event.
pub(crate) fn is_about(field: &FieldRef) -> bool {
    row_of(field.id).is_some_and(|row| matches!(row.extractor, Extractor::Container(_)))
}

/// Answers for processes outside containers.
fn on_host<'e>(field: ContainerField) -> Extracted<'e> {
    match field {
        ContainerField::ContainerId
        | ContainerField::ContainerFullId
        | ContainerField::ContainerName
        | ContainerField::ContainerType => fixed(HOST),
        ContainerField::ContainerImage
        | ContainerField::ContainerImageId
        | ContainerField::ContainerImageRepository
        | ContainerField::ContainerImageTag
        | ContainerField::ContainerImageDigest
        | ContainerField::ContainerMounts
        | ContainerField::ContainerIp
        | ContainerField::ContainerCniJson
        | ContainerField::ContainerLabels
        | ContainerField::K8sPodSandboxId
        | ContainerField::K8sPodFullSandboxId
        | ContainerField::K8sPodLabels => fixed(""),
        ContainerField::ContainerPrivileged
        | ContainerField::ContainerHostPid
        | ContainerField::ContainerHostNetwork
        | ContainerField::ContainerHostIpc => truth(false),
        ContainerField::ContainerMount
        | ContainerField::ContainerMountSource
        | ContainerField::ContainerMountDest
        | ContainerField::ContainerMountMode
        | ContainerField::ContainerMountRdwr
        | ContainerField::ContainerMountPropagation
        | ContainerField::ContainerStartTs
        | ContainerField::ContainerDuration
        | ContainerField::ContainerLabel
        | ContainerField::K8sPodName
        | ContainerField::K8sNsName
        | ContainerField::K8sPodId
        | ContainerField::K8sPodUid
        | ContainerField::K8sPodLabel
        | ContainerField::K8sPodIp
        | ContainerField::K8sPodCniJson => Extracted::Absent,
    }
}

/// Answers for containers that a container event described.
fn described<'e>(
    context: &'e EventContext<'_>,
    container: &'e Container,
    field: ContainerField,
    arg: &FieldArg,
) -> Extracted<'e> {
    let optional = |value: Option<&'e Text>| when(value, |value| borrowed(value));
    // Every container has these: empty means that the metadata does not tell.
    let told = |value: &'e Text| when(Some(value).filter(|value| !value.is_empty()), |value| borrowed(value));
    match field {
        ContainerField::ContainerId => borrowed(&container.id),
        ContainerField::ContainerFullId => told(&container.full_id),
        ContainerField::ContainerName => told(&container.name),
        ContainerField::ContainerImage => told(&container.image),
        ContainerField::ContainerImageId => told(&container.image_id),
        ContainerField::ContainerImageRepository => told(&container.image_repository),
        ContainerField::ContainerImageTag => borrowed(&container.image_tag),
        ContainerField::ContainerImageDigest => borrowed(&container.image_digest),
        ContainerField::ContainerType => when(kind_name(container.kind), fixed),
        ContainerField::ContainerPrivileged => when(container.privileged, truth),
        ContainerField::ContainerHostPid => when(container.host_pid, truth),
        ContainerField::ContainerHostNetwork => when(container.host_network, truth),
        ContainerField::ContainerHostIpc => when(container.host_ipc, truth),
        ContainerField::ContainerIp => owned(container.ip.map_or_else(String::new, |ip| ip.to_string())),
        ContainerField::ContainerCniJson => borrowed(&container.cni_json),
        ContainerField::ContainerMounts => {
            owned(container.mounts.iter().map(mount_text).collect::<Vec<_>>().join(&b','))
        }
        ContainerField::ContainerMount => when(mount(container, arg, false), |mount| owned(mount_text(mount))),
        ContainerField::ContainerMountSource => when(mount(container, arg, true), |mount| borrowed(&mount.source)),
        ContainerField::ContainerMountDest => when(mount(container, arg, false), |mount| borrowed(&mount.destination)),
        ContainerField::ContainerMountMode => when(mount(container, arg, false), |mount| borrowed(&mount.mode)),
        ContainerField::ContainerMountRdwr => {
            when(mount(container, arg, false), |mount| fixed(if mount.rdwr { "true" } else { "false" }))
        }
        ContainerField::ContainerMountPropagation => {
            when(mount(container, arg, false), |mount| borrowed(&mount.propagation))
        }
        ContainerField::ContainerLabel => optional(key(arg).and_then(|key| container.labels.get(key.as_bytes()))),
        ContainerField::ContainerLabels => owned(labels_text(&container.labels)),
        ContainerField::K8sPodName => optional(container.pod_name()),
        ContainerField::K8sNsName => optional(container.pod_namespace()),
        ContainerField::K8sPodId | ContainerField::K8sPodUid => optional(container.pod_uid()),
        ContainerField::K8sPodSandboxId => {
            borrowed(&container.pod_sandbox_id[..container.pod_sandbox_id.len().min(SHORT_ID)])
        }
        ContainerField::K8sPodFullSandboxId => borrowed(&container.pod_sandbox_id),
        ContainerField::K8sPodLabel => {
            let key = key(arg).unwrap_or_default().as_bytes();
            let of_sandbox = sandbox(context, container).and_then(|sandbox| sandbox.pod_sandbox_labels.get(key));
            optional(of_sandbox.or_else(|| container.pod_sandbox_labels.get(key)))
        }
        ContainerField::K8sPodLabels => {
            owned(labels_text(&sandbox(context, container).unwrap_or(container).pod_sandbox_labels))
        }
        ContainerField::K8sPodIp => {
            when(network_of(context, container).and_then(|holder| holder.ip), |ip| owned(ip.to_string()))
        }
        ContainerField::K8sPodCniJson => when(network_of(context, container), |holder| borrowed(&holder.cni_json)),
        // Answered before: they need no metadata.
        ContainerField::ContainerStartTs | ContainerField::ContainerDuration => Extracted::Absent,
    }
}

/// `container.type`; empty for kinds that have no name.
impl ContainerKind {
    /// As `container.type` shows it; `None` unknown.
    pub fn name(self) -> Option<&'static str> {
        kind_name(self)
    }
}

fn kind_name(kind: ContainerKind) -> Option<&'static str> {
    Some(match kind {
        ContainerKind::Docker => "docker",
        ContainerKind::Lxc => "lxc",
        ContainerKind::LibvirtLxc => "libvirt-lxc",
        ContainerKind::Mesos => "mesos",
        ContainerKind::Rkt => "rkt",
        ContainerKind::Cri => "cri",
        ContainerKind::Containerd => "containerd",
        ContainerKind::CriO => "cri-o",
        ContainerKind::Bpm => "bpm",
        ContainerKind::Podman => "podman",
        ContainerKind::SystemdNspawn => "systemd-nspawn",
        ContainerKind::Host => HOST,
        ContainerKind::Custom | ContainerKind::Static => "",
        ContainerKind::Unknown => return None,
    })
}

fn mount_text(mount: &Mount) -> Vec<u8> {
    let writable: &[u8] = if mount.rdwr { b"true" } else { b"false" };
    [&mount.source, &mount.destination, &mount.mode, writable, &mount.propagation].join(&b':')
}

/// A mount by position, or the first whose source (or destination) the argument fits.
fn mount<'e>(container: &'e Container, arg: &FieldArg, by_destination: bool) -> Option<&'e Mount> {
    if let Some(index) = index(arg) {
        return container.mounts.get(usize::try_from(index).ok()?);
    }
    let fits = Fits::of(key(arg)?);
    container.mounts.iter().find(|mount| fits.path(if by_destination { &mount.destination } else { &mount.source }))
}

/// How the argument of `container.mount.*[…]` is read.
///
/// Falco's container plugin of today takes it for a regular expression that is looked for anywhere in the path; libs
/// before it took it for a glob. Rules were written for both, so: a regular expression, and what is none (`*/docker.sock`)
/// is a glob.
#[derive(Clone)]
enum Fits {
    Regex(regex::bytes::Regex),
    Glob(glob::Pattern),
    Text(Vec<u8>),
}

/// Arguments read so far; more than a rule set has are read anew each time.
const MOST_ARGUMENTS: usize = 256;

impl Fits {
    fn of(argument: &str) -> Self {
        thread_local! {
            static READ: RefCell<BTreeMap<String, Fits>> = const { RefCell::new(BTreeMap::new()) };
        }
        READ.with_borrow_mut(|read| {
            if let Some(fits) = read.get(argument) {
                return fits.clone();
            }
            let fits = Self::read(argument);
            if read.len() < MOST_ARGUMENTS {
                read.insert(argument.to_owned(), fits.clone());
            }
            fits
        })
    }

    fn read(argument: &str) -> Self {
        let regex = regex::bytes::RegexBuilder::new(argument).multi_line(true).size_limit(1 << 20).build();
        match (regex, glob::Pattern::new(argument)) {
            (Ok(regex), _) => Self::Regex(regex),
            (Err(_), Ok(glob)) => Self::Glob(glob),
            (Err(_), Err(_)) => Self::Text(argument.as_bytes().to_vec()),
        }
    }

    fn path(&self, path: &[u8]) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(path),
            Self::Glob(glob) => glob.matches(&String::from_utf8_lossy(path)),
            Self::Text(text) => path == text.as_slice(),
        }
    }
}

/// `key:value` joined by comma and blank, without annotations and Kubernetes' own labels.
fn labels_text(labels: &BTreeMap<Text, Text>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels {
        if name.starts_with(b"annotation.") || name.starts_with(b"io.kubernetes.") {
            continue;
        }
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(name);
        if !value.is_empty() {
            out.push(b':');
            out.extend_from_slice(value);
        }
    }
    out
}

/// The pod's sandbox container, when it is another one that was described too and this one lacks the network result.
fn sandbox<'e>(context: &'e EventContext<'_>, container: &Container) -> Option<&'e Container> {
    if !container.cni_json.is_empty() {
        return None;
    }
    let id = &container.pod_sandbox_id;
    context.state.container(&id[..id.len().min(SHORT_ID)]).filter(|sandbox| sandbox.has_metadata)
}

/// The container that holds the pod's network facts: itself, or the sandbox.
fn network_of<'e>(context: &'e EventContext<'_>, container: &'e Container) -> Option<&'e Container> {
    if container.cni_json.is_empty() { sandbox(context, container) } else { Some(container) }
}

#[cfg(test)]
mod tests {
    use casebook_formats::ledger::Ledger;
    use casebook_formats::tables::ppme;

    use super::super::sample::{Sample, TS, state, thread};
    use crate::state::State;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// Thread 300 runs in a container; an event described it when `metadata` is given.
    fn contained(metadata: Option<&str>) -> State {
        let mut state = state();
        let mut inside = thread(300, 1, "sh");
        inside.cgroups = format!("cpu=/docker/{ID}\0memory=/docker/{ID}\0").into();
        inside.pidns_init_start_ts = TS - 1000;
        state.seed_threads(&[inside], &mut Ledger::default());
        if let Some(metadata) = metadata {
            let mut event = Sample::new(ppme::PPME_CONTAINER_JSON_2_E).with([metadata.as_bytes(), b"\0"].concat());
            event.tid = -1;
            event.on(&mut state, &[]);
        }
        state
    }

    fn texts(tid: i64, mut state: State, fields: &[&str]) -> Vec<String> {
        let mut event = Sample::new(ppme::PPME_SYSCALL_CLOSE_X).unknown(2);
        event.tid = tid;
        event.on(&mut state, fields).into_iter().map(|text| text.unwrap_or_else(|| "-".to_owned())).collect()
    }

    #[test]
    fn on_the_host() {
        let fields = [
            "container.id",
            "container.name",
            "container.full_id",
            "container.type",
            "container.image.repository",
            "container.privileged",
            "container.mounts",
            "container.start_ts",
            "k8s.pod.name",
            "container.label[a]",
        ];
        let wanted = ["host", "host", "host", "host", "", "false", "", "-", "-", "-"];
        assert_eq!(texts(100, contained(None), &fields), wanted);
        assert_eq!(texts(4711, contained(None), &["container.id"]), ["-"], "it may be in any container");
    }

    #[test]
    fn in_a_container_that_nothing_described() {
        let fields = [
            "container.id",
            "container.full_id",
            "container.type",
            "container.duration",
            "container.name",
            "container.image.repository",
            "container.privileged",
            "container.mount.dest[/etc]",
            "k8s.ns.name",
        ];
        let wanted = ["0123456789ab", ID, "docker", "1000", "-", "-", "-", "-", "-"];
        assert_eq!(texts(300, contained(None), &fields), wanted);
    }

    #[test]
    fn in_a_container_that_an_event_described() {
        let metadata = format!(
            r#"{{"container":{{"id":"0123456789ab","full_id":"{ID}","type":0,"name":"web","image":"quay.io:5000/a/nginx:1.2",
            "imagerepo":"quay.io:5000/a/nginx","imagetag":"1.2","imageid":"","privileged":true,"ip":"10.0.0.7",
            "labels":{{"app":"shop","io.kubernetes.pod.name":"web-1","io.kubernetes.pod.namespace":"prod","only":""}},
            "Mounts":[{{"Source":"/proc/x","Destination":"/host/proc","Mode":"ro","RW":false,"Propagation":"rprivate"}},
            {{"Source":"/srv","Destination":"/data","Mode":"","RW":true,"Propagation":""}}]}}}}"#
        );
        let fields = [
            "container.name",
            "container.image",
            "container.image.repository",
            "container.image.tag",
            "container.image.id",
            "container.privileged",
            "container.ip",
            "container.label[app]",
            "container.labels",
            "k8s.pod.name",
            "k8s.ns.name",
            "container.mounts",
            "container.mount[1]",
            "container.mount.dest[/proc*]",
            "container.mount.source[/data]",
            "container.mount.rdwr[/srv]",
            "container.mount.dest[/nope]",
            "container.mount.dest[*oc/x]",
            "container.mount.dest[^/s.v$]",
            "container.mount.dest[ro]",
            "container.mount.mode[7]",
        ];
        let wanted = [
            "web",
            "quay.io:5000/a/nginx:1.2",
            "quay.io:5000/a/nginx",
            "1.2",
            "-",
            "true",
            "10.0.0.7",
            "shop",
            "app:shop, only",
            "web-1",
            "prod",
            "/proc/x:/host/proc:ro:false:rprivate,/srv:/data::true:",
            "/srv:/data::true:",
            "/host/proc",
            "/srv",
            "true",
            "-",
            "/host/proc",
            "/data",
            "/host/proc",
            "-",
        ];
        assert_eq!(texts(300, contained(Some(&metadata)), &fields), wanted);
    }
}
