//! Which container a thread is in, by the paths of its control groups.
//!
//! Sources of the forms: the container plugin's matchers, older libs' engines, and the paths that docker, podman,
//! containerd, CRI, ctr and runc make on a real kernel. A path is looked at from its end, so that the innermost
//! container counts, and what a container's own init makes below it does not hide it.

use std::rc::Rc;

use casebook_formats::ledger::{Counter, Ledger};

use super::container::ContainerKind;
use super::keep::keep;
use super::limits::MAX_CONTAINERS;
use super::{Container, State, Text};

/// Hexadecimal ids are shown by their first characters.
const SHOWN: usize = 12;
const FULL: usize = 64;

/// Prefix of the last part of a scope's name, and whose it is. `crio-conmon-…` and `libpod-conmon-…` are monitors on
/// the host and deliberately not here.
const SCOPES: &[(&str, ContainerKind)] = &[
    ("docker-", ContainerKind::Docker),
    ("cri-containerd-", ContainerKind::Containerd),
    ("nerdctl-", ContainerKind::Containerd),
    ("crio-", ContainerKind::CriO),
    ("libpod-payload-", ContainerKind::Podman),
    ("libpod-", ContainerKind::Podman),
];

/// A container that a path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// As `container.id` shows it.
    pub(crate) id: Vec<u8>,
    /// All of it.
    pub(crate) full_id: Vec<u8>,
    pub(crate) kind: ContainerKind,
}

impl Found {
    fn hex(id: &[u8], kind: ContainerKind) -> Self {
        Self { id: id[..SHOWN].to_vec(), full_id: id.to_vec(), kind }
    }

    fn named(id: &[u8], kind: ContainerKind) -> Option<Self> {
        if id.is_empty() { None } else { Some(Self { id: id.to_vec(), full_id: id.to_vec(), kind }) }
    }
}

fn is_full_id(text: &[u8]) -> bool {
    text.len() == FULL && text.iter().all(u8::is_ascii_hexdigit)
}

/// The container of a list of `subsystem=path` texts: the first path that names one.
pub(crate) fn find(cgroups: &[u8]) -> Option<Found> {
    let mut last: &[u8] = b"";
    for entry in cgroups.split(|&byte| byte == 0) {
        let path = memchr::memchr(b'=', entry).map_or(&entry[..0], |at| &entry[at + 1..]);
        // The paths of all subsystems are the same as a rule.
        if path.len() <= 1 || path == last {
            continue;
        }
        last = path;
        if let Some(found) = find_in(path) {
            return Some(found);
        }
    }
    None
}

fn find_in(path: &[u8]) -> Option<Found> {
    path.rsplit(|&byte| byte == b'/')
        .find_map(|part| by_hex(part, path))
        .or_else(|| mesos(path))
        .or_else(|| libvirt(path))
        .or_else(|| lxc(path))
        .or_else(|| bpm(path))
        .or_else(|| rkt(path))
        .or_else(|| nspawn(path))
        .or_else(|| ctr(path))
}

/// `<64 hex>`, `PREFIX-<64 hex>[.scope]`, `…:PREFIX:<64 hex>`.
fn by_hex(part: &[u8], path: &[u8]) -> Option<Found> {
    if part.len() < FULL {
        return None;
    }
    if is_full_id(part) {
        return Some(Found::hex(part, engine_of(path)));
    }
    let name = part.strip_suffix(b".scope").unwrap_or(part);
    for (prefix, kind) in SCOPES {
        if let Some(id) = name.strip_prefix(prefix.as_bytes()).filter(|id| is_full_id(id)) {
            return Some(Found::hex(id, *kind));
        }
    }
    // containerd with cgroupfs where the kubelet speaks systemd: slice:cri-containerd:id, unresolved.
    let at = memchr::memrchr(b':', part)?;
    let id = Some(&part[at + 1..]).filter(|id| is_full_id(id))?;
    let kind = if part[..at].ends_with(b":docker") { ContainerKind::Docker } else { ContainerKind::Containerd };
    Some(Found::hex(id, kind))
}

/// The path above a plain id tells the engine, unless it does not; docker came first.
fn engine_of(path: &[u8]) -> ContainerKind {
    let has = |needle: &[u8]| memchr::memmem::find(path, needle).is_some();
    if has(b"/docker") {
        ContainerKind::Docker
    } else if has(b"kubepods") {
        ContainerKind::Cri
    } else if has(b"libpod") {
        ContainerKind::Podman
    } else if has(b"containerd") || has(b"k8s.io") {
        ContainerKind::Containerd
    } else {
        ContainerKind::Docker
    }
}

/// Text after `marker`, up to the next slash.
fn component_after<'p>(path: &'p [u8], marker: &[u8]) -> Option<&'p [u8]> {
    let rest = &path[memchr::memmem::find(path, marker)? + marker.len()..];
    Some(rest.split(|&byte| byte == b'/').next().unwrap_or(rest))
}

/// `/mesos/UUID`.
fn mesos(path: &[u8]) -> Option<Found> {
    let id = component_after(path, b"/mesos/")?;
    let is_uuid = id.len() == 36 && id.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    if is_uuid { Found::named(id, ContainerKind::Mesos) } else { None }
}

/// `/lxc/NAME`, `/lxc.payload/NAME`, `/lxc.payload.NAME`.
fn lxc(path: &[u8]) -> Option<Found> {
    let markers: [&[u8]; 3] = [b"/lxc/", b"/lxc.payload/", b"/lxc.payload."];
    markers.into_iter().find_map(|marker| Found::named(component_after(path, marker)?, ContainerKind::Lxc))
}

/// `…/NAME.libvirt-lxc`, `machine-lxc\x2dPID\x2dNAME.scope[/libvirt]`, `/libvirt/lxc/NAME`.
fn libvirt(path: &[u8]) -> Option<Found> {
    const ESCAPED: &[u8] = b"-lxc\\x2d";
    let kind = ContainerKind::LibvirtLxc;
    if let Some(rest) = path.strip_suffix(b".libvirt-lxc") {
        return Found::named(rest.rsplit(|&byte| byte == b'/').next()?, kind);
    }
    if let Some(at) = memchr::memmem::find(path, ESCAPED) {
        let rest = &path[at + ESCAPED.len()..];
        let id = rest.strip_suffix(b".scope/libvirt").or_else(|| rest.strip_suffix(b".scope"));
        return id.and_then(|id| Found::named(id, kind));
    }
    Found::named(component_after(path, b"/libvirt/lxc/")?, kind)
}

/// `bpm-NAME[.scope]`.
fn bpm(path: &[u8]) -> Option<Found> {
    let rest = &path[memchr::memmem::find(path, b"bpm-")? + 4..];
    let end = memchr::memmem::find(rest, b".scope").unwrap_or(rest.len());
    let id = &rest[..end];
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    if id.iter().all(allowed) { Found::named(id, ContainerKind::Bpm) } else { None }
}

/// `machine-rkt\x2dUUID.scope/system.slice/APP.service`: pod and application.
fn rkt(path: &[u8]) -> Option<Found> {
    let scope = component_after(path, b"/machine-rkt")?;
    let pod = unescape(scope.strip_suffix(b".scope")?);
    let pod = pod.strip_prefix(b"-").unwrap_or(&pod);
    let app = path.rsplit(|&byte| byte == b'/').next()?.strip_suffix(b".service")?;
    let mut id = pod.to_vec();
    id.push(b':');
    id.extend_from_slice(app);
    Found::named(&id, ContainerKind::Rkt)
}

/// `/machine.slice/machine-NAME.scope`, `systemd-nspawn@NAME.service`; virtual machines have scopes there as well.
fn nspawn(path: &[u8]) -> Option<Found> {
    let service = component_after(path, b"/systemd-nspawn@").and_then(|part| part.strip_suffix(b".service"));
    let scope = component_after(path, b"/machine.slice/machine-").and_then(|part| part.strip_suffix(b".scope"));
    let name = service.or_else(|| scope.filter(|name| !name.starts_with(b"qemu\\x2d")))?;
    Found::named(&unescape(name), ContainerKind::SystemdNspawn)
}

/// `/NAMESPACE/NAME` as `ctr run` makes it: nothing but two parts, neither of them a unit of systemd. The name is cut
/// like an id, as Falco shows it.
fn ctr(path: &[u8]) -> Option<Found> {
    let mut parts = path.strip_prefix(b"/")?.split(|&byte| byte == b'/');
    let (namespace, name) = (parts.next()?, parts.next()?);
    if parts.next().is_some() || name.is_empty() || name.len() > FULL {
        return None;
    }
    let is_name = namespace.first().is_some_and(u8::is_ascii_alphanumeric)
        && namespace.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    let is_unit = |part: &[u8]| {
        let endings: [&[u8]; 6] = [b".service", b".slice", b".scope", b".mount", b".socket", b".swap"];
        endings.into_iter().any(|ending| part.ends_with(ending))
    };
    // Folders that engines make themselves, between the root and their containers.
    let is_engine =
        [b"docker".as_slice(), b"kubepods", b"lxc", b"libpod_parent", b"mesos", b"init"].contains(&namespace);
    if !is_name || is_engine || is_unit(namespace) || is_unit(name) {
        return None;
    }
    Some(Found { id: name[..name.len().min(SHOWN)].to_vec(), full_id: name.to_vec(), kind: ContainerKind::Containerd })
}

/// systemd writes `-` inside names as `\x2d`.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = memchr::memmem::find(rest, b"\\x2d") {
        out.extend_from_slice(&rest[..at]);
        out.push(b'-');
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest);
    out
}

/// Control groups as they are stored: subsystem names as `/proc` has them, whatever the recorder's kernel called them
/// (`io` was `blkio`, hooks say `mem_cgroup`), so that `thread.cgroup.memory` means the same everywhere.
pub(crate) fn normal_form(cgroups: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cgroups.len() + 8);
    for entry in cgroups.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
        let (subsystem, path) = memchr::memchr(b'=', entry).map_or((entry, &[][..]), |at| entry.split_at(at));
        let name = match memchr::memmem::find(subsystem, b"_cgroup") {
            Some(at) => [&subsystem[..at], &subsystem[at + 7..]].concat(),
            None => subsystem.to_vec(),
        };
        out.extend_from_slice(match name.as_slice() {
            b"perf" => b"perf_event",
            b"mem" => b"memory",
            b"io" => b"blkio",
            name => name,
        });
        out.extend_from_slice(path);
        out.push(0);
    }
    out
}

/// Control groups of a thread, and what follows from them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// In normal form.
    pub(crate) cgroups: Text,
    /// Empty on the host.
    pub(crate) container_id: Text,
}

keep!(Place { cgroups, container_id });

/// Lists remembered; with more than these all are forgotten and found anew.
const MAX_PLACES: usize = 4096;

impl State {
    /// Reads the control groups of an event or of the process list. Few lists occur again and again.
    pub(crate) fn place_of(&mut self, cgroups: &[u8], ledger: &mut Ledger) -> Place {
        if let Some(place) = self.places.get(cgroups) {
            return place.clone();
        }
        if self.places.len() >= MAX_PLACES {
            self.places.clear();
        }
        let normal = normal_form(cgroups);
        let container_id = self.container_id_of(&normal, ledger);
        let place = Place { cgroups: self.text(&normal), container_id };
        self.places.insert(Box::from(cgroups), place.clone());
        place
    }

    /// Id of the container that these control groups belong to; empty on the host. A container seen for the first
    /// time gets an entry that knows its ids only.
    fn container_id_of(&mut self, cgroups: &[u8], ledger: &mut Ledger) -> Text {
        let Some(found) = find(cgroups) else { return Rc::clone(&self.texts.empty) };
        if let Some((id, _)) = self.containers.get_key_value(found.id.as_slice()) {
            return Rc::clone(id);
        }
        let id: Text = Rc::from(found.id);
        if self.make_room_for(&id, ledger) {
            let version = self.next_version();
            let full_id = self.text(&found.full_id);
            let container =
                Container { version, id: Rc::clone(&id), full_id, kind: found.kind, ..Container::default() };
            self.containers.insert(Rc::clone(&id), container);
        }
        id
    }

    /// Remembers that a container was removed. The oldest are forgotten when removals are told again and again.
    pub(crate) fn note_gone(&mut self, id: Text) {
        if !self.containers.contains_key(&id) {
            return;
        }
        if self.containers_gone.len() >= MAX_CONTAINERS {
            self.containers_gone.pop_front();
        }
        self.containers_gone.push_back(id);
    }

    /// Whether there is a place for a container's entry. Containers that were removed go first.
    pub(crate) fn make_room_for(&mut self, id: &Text, ledger: &mut Ledger) -> bool {
        while self.containers.len() >= MAX_CONTAINERS && !self.containers.contains_key(id) {
            let Some(gone) = self.containers_gone.pop_front() else {
                ledger.count(Counter::StateLimit);
                return false;
            };
            self.containers.remove(&gone);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may stop at the first surprise
    use super::*;

    const HEX: &str = "7951fb549ab99e0722a949b6c121634e1f3a36b5bacbe5392991e3b12251e6b8";

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, ContainerKind)>) {
        let path = path.replace("HEX", HEX);
        let found = find(format!("cpu=/\0memory={path}\0").as_bytes());
        let found = found.as_ref().map(|found| (std::str::from_utf8(&found.id).unwrap(), found.kind));
        assert_eq!(found, expected, "{path}");
    }

    // One line per form; the engines' real paths are in reference/vm.md, the older ones in libs' history.
    #[test]
    fn hexadecimal_ids() {
        let id = "7951fb549ab9";
        check("/docker/HEX", Some((id, ContainerKind::Docker)));
        check("/system.slice/docker-HEX.scope", Some((id, ContainerKind::Docker)));
        check("/kubepods/besteffort/pod7c9a3b52-0d5e-4c44-9f0b-2f6f5d1a7e11/HEX", Some((id, ContainerKind::Cri)));
        check(
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod7c9a.slice/cri-containerd-HEX.scope",
            Some((id, ContainerKind::Containerd)),
        );
        check("/kubepods-burstable-podbd12.slice:cri-containerd:HEX", Some((id, ContainerKind::Containerd)));
        check("/kubepods/besteffort/pod63b3/crio-HEX", Some((id, ContainerKind::CriO)));
        check("/kubepods.slice/x.slice/crio-HEX.scope", Some((id, ContainerKind::CriO)));
        check("/libpod_parent/libpod-HEX", Some((id, ContainerKind::Podman)));
        check("/machine.slice/libpod-HEX.scope/container", Some((id, ContainerKind::Podman)));
        check("/system.slice/ceph@mon.service/libpod-payload-HEX", Some((id, ContainerKind::Podman)));
        check("/user.slice/user-1000.slice/user@1000.service/libpod-HEX", Some((id, ContainerKind::Podman)));
        check("/system.slice/nerdctl-HEX.scope", Some((id, ContainerKind::Containerd)));
    }

    #[test]
    fn subsystems_have_one_name() {
        let stored = b"cpuset=/init\0io=/init\0mem_cgroup=/a=b\0perf_cgroup=/\0";
        assert_eq!(normal_form(stored), b"cpuset=/init\0blkio=/init\0memory=/a=b\0perf_event=/\0");
        assert_eq!(normal_form(b"\0\0"), b"");
        assert_eq!(normal_form(b"odd"), b"odd\0");
    }

    // Falco takes the last part of a path only and loses containers that run systemd themselves.
    #[test]
    fn the_container_of_a_service_inside_a_container() {
        check("/docker/HEX/system.slice/nginx.service", Some(("7951fb549ab9", ContainerKind::Docker)));
    }

    #[test]
    fn monitors_and_units_of_the_host_are_no_containers() {
        check("/machine.slice/libpod-conmon-HEX.scope", None);
        check("/kubepods.slice/crio-conmon-HEX.scope", None);
        check("/user.slice/user-1000.slice/session-5.scope", None);
        check("/user.slice/user-1000.slice/user@1000.service/init.scope", None);
        check("/system.slice/cron.service", None);
        check("/init", None);
        check("/", None);
        check("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", None);
        check(&format!("/docker/{HEX}00"), None);
        check(&format!("/docker/{}g", &HEX[1..]), None);
    }

    #[test]
    fn named_containers() {
        check("/lxc/my-long-container-name", Some(("my-long-container-name", ContainerKind::Lxc)));
        check("/lxc.payload.web/system.slice/x.service", Some(("web", ContainerKind::Lxc)));
        check("/lxc.payload/web", Some(("web", ContainerKind::Lxc)));
        check("/machine/web.libvirt-lxc", Some(("web", ContainerKind::LibvirtLxc)));
        check(
            "/machine.slice/machine-lxc\\x2d22\\x2dweb.scope/libvirt",
            Some(("22\\x2dweb", ContainerKind::LibvirtLxc)),
        );
        check("/libvirt/lxc/web", Some(("web", ContainerKind::LibvirtLxc)));
        check("/system.slice/runc-bpm-nats.scope", Some(("nats", ContainerKind::Bpm)));
        check(
            "/mesos/a9f41620-b165-4d24-abe0-af0af92e7b20",
            Some(("a9f41620-b165-4d24-abe0-af0af92e7b20", ContainerKind::Mesos)),
        );
        check("/machine.slice/machine-my\\x2dbox.scope", Some(("my-box", ContainerKind::SystemdNspawn)));
        check("/machine.slice/systemd-nspawn@box.service", Some(("box", ContainerKind::SystemdNspawn)));
        check(
            "/machine.slice/machine-rkt\\x2d1234\\x2d5678.scope/system.slice/nginx.service",
            Some(("1234-5678:nginx", ContainerKind::Rkt)),
        );
        check("/default/plain1", Some(("plain1", ContainerKind::Containerd)));
        check("/k8s.io/my-test_container", Some(("my-test_cont", ContainerKind::Containerd)));
        check("/default/some_short_id.service", None);
    }
}
