//! Container events as JSON, and the oldest form that had four parameters instead.
//!
//! The shape has grown since 2016; any key may be missing or null, and numbers came as texts at times. What is not
//! there stays unknown.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::Text;
use super::container::{Container, ContainerKind, Mount, Probe};
use super::limits::{MAX_CONTAINER_ITEMS, MAX_CONTAINER_JSON};

/// What an event says of a container.
pub(crate) struct Description {
    container: Container,
}

fn text(bytes: &[u8]) -> Text {
    Rc::from(bytes)
}

/// First twelve characters of a full id; other ids as they are.
fn short(id: &[u8]) -> &[u8] {
    if id.len() == 64 && id.iter().all(u8::is_ascii_hexdigit) { &id[..12] } else { id }
}

/// Kind of the events' type number.
fn kind_of(code: u64) -> ContainerKind {
    match code {
        0 => ContainerKind::Docker,
        1 => ContainerKind::Lxc,
        2 => ContainerKind::LibvirtLxc,
        3 => ContainerKind::Mesos,
        4 => ContainerKind::Rkt,
        5 => ContainerKind::Custom,
        6 => ContainerKind::Cri,
        7 => ContainerKind::Containerd,
        8 => ContainerKind::CriO,
        9 => ContainerKind::Bpm,
        10 => ContainerKind::Static,
        11 => ContainerKind::Podman,
        0xfffe => ContainerKind::Host,
        _ => ContainerKind::Unknown,
    }
}

/// Reads a container event's JSON; `None` when it is none, too long, or names no container.
pub(crate) fn parse(json: &[u8]) -> Option<Description> {
    if json.len() > MAX_CONTAINER_JSON {
        return None;
    }
    let json = json.split(|&byte| byte == 0).next().unwrap_or(json);
    let root: Value = serde_json::from_slice(json).ok()?;
    // The oldest events, converted, have the keys at the top.
    let object = root.get("container").unwrap_or(&root).as_object()?;
    let keys = Keys(object);
    let given = keys.text("id");
    if given.is_empty() {
        return None;
    }
    let full_id = keys.text("full_id");
    let mut container = Container {
        id: text(short(&given)),
        full_id: if full_id.is_empty() && given.len() == 64 { Rc::clone(&given) } else { full_id },
        kind: keys.number("type").map_or(ContainerKind::Unknown, |code| kind_of(code as u64)),
        has_metadata: true,
        name: keys.text("name"),
        image: keys.text("image"),
        image_id: keys.text("imageid"),
        image_repository: keys.text("imagerepo"),
        image_tag: keys.text("imagetag"),
        image_digest: keys.text("imagedigest"),
        user: keys.text("User"),
        ip: keys.ip("ip"),
        privileged: keys.truth("privileged"),
        host_pid: keys.truth("host_pid"),
        host_network: keys.truth("host_network"),
        host_ipc: keys.truth("host_ipc"),
        created_s: keys.number("created_time").unwrap_or(0),
        mounts: keys.list("Mounts", mount),
        labels: keys.labels("labels"),
        env: keys.list("env", |value| value.as_str().map(|value| text(value.as_bytes()))),
        is_pod_sandbox: keys.truth("is_pod_sandbox").unwrap_or(false),
        pod_sandbox_id: keys.text("pod_sandbox_id"),
        pod_sandbox_labels: keys.labels("pod_sandbox_labels"),
        cni_json: keys.text("cni_json"),
        healthcheck: keys.probe("Healthcheck"),
        liveness_probe: keys.probe("LivenessProbe"),
        readiness_probe: keys.probe("ReadinessProbe"),
        ..Container::default()
    };
    complete_image(&mut container);
    Some(Description { container })
}

impl Description {
    /// Type 228: id, type, name, image.
    pub(crate) fn of_old_event(id: &[u8], kind: u64, name: &[u8], image: &[u8]) -> Self {
        let mut container = Container {
            id: text(short(id)),
            kind: kind_of(kind),
            has_metadata: true,
            name: text(name),
            image: text(image),
            ..Container::default()
        };
        complete_image(&mut container);
        Self { container }
    }

    /// Id as threads have it.
    pub(crate) fn short_id(&self) -> Text {
        Rc::clone(&self.container.id)
    }

    pub(crate) fn into_container(self) -> Container {
        self.container
    }
}

/// Parts of an image reference that the event left out, taken from the reference itself.
fn complete_image(container: &mut Container) {
    let reference = split_image(&container.image);
    let fill = |part: &mut Text, value: &[u8]| {
        if part.is_empty() && !value.is_empty() {
            *part = text(value);
        }
    };
    fill(&mut container.image_repository, reference.repository);
    fill(&mut container.image_tag, reference.tag);
    fill(&mut container.image_digest, reference.digest);
}

/// Parts of an image reference.
#[derive(Debug, PartialEq, Eq)]
struct ImageReference<'i> {
    /// Registry, port and name.
    repository: &'i [u8],
    tag: &'i [u8],
    digest: &'i [u8],
}

/// `[registry[:port]/]name[:tag][@digest]`. A bare image id is no reference and has no repository.
fn split_image(image: &[u8]) -> ImageReference<'_> {
    let (rest, digest) = memchr::memchr(b'@', image).map_or((image, &[][..]), |at| (&image[..at], &image[at + 1..]));
    let name_at = memchr::memrchr(b'/', rest).map_or(0, |at| at + 1);
    let (repository, tag) = memchr::memchr(b':', &rest[name_at..])
        .map_or((rest, &[][..]), |at| (&rest[..name_at + at], &rest[name_at + at + 1..]));
    if repository == b"sha256" {
        return ImageReference { repository: &[], tag: &[], digest: &[] };
    }
    ImageReference { repository, tag, digest }
}

/// The event's object.
struct Keys<'j>(&'j Map<String, Value>);

impl Keys<'_> {
    fn text(&self, key: &str) -> Text {
        text(self.0.get(key).and_then(Value::as_str).unwrap_or_default().as_bytes())
    }

    fn truth(&self, key: &str) -> Option<bool> {
        self.0.get(key)?.as_bool()
    }

    fn number(&self, key: &str) -> Option<i64> {
        let value = self.0.get(key)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    /// A text, or a number in network order as it was before 2019.
    fn ip(&self, key: &str) -> Option<IpAddr> {
        let value = self.0.get(key)?;
        match value.as_str() {
            Some(value) => value.parse().ok(),
            None => value.as_u64().filter(|&ip| ip != 0).map(|ip| IpAddr::from((ip as u32).to_be_bytes())),
        }
    }

    fn list<T>(&self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let items = self.0.get(key).and_then(Value::as_array);
        items.into_iter().flatten().take(MAX_CONTAINER_ITEMS).filter_map(read).collect()
    }

    fn labels(&self, key: &str) -> BTreeMap<Text, Text> {
        let items = self.0.get(key).and_then(Value::as_object);
        items
            .into_iter()
            .flatten()
            .take(MAX_CONTAINER_ITEMS)
            .filter_map(|(key, value)| Some((text(key.as_bytes()), text(value.as_str()?.as_bytes()))))
            .collect()
    }

    fn probe(&self, key: &str) -> Option<Probe> {
        let probe = Keys(self.0.get(key)?.as_object()?);
        let args = probe.list("args", |value| value.as_str().map(|value| text(value.as_bytes())));
        Some(Probe { exe: probe.text("exe"), args })
    }
}

fn mount(value: &Value) -> Option<Mount> {
    let keys = Keys(value.as_object()?);
    Some(Mount {
        source: keys.text("Source"),
        destination: keys.text("Destination"),
        mode: keys.text("Mode"),
        rdwr: keys.truth("RW").unwrap_or(false),
        propagation: keys.text("Propagation"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may stop at the first surprise
    use super::*;

    #[track_caller]
    fn check_image(image: &str, repository: &str, tag: &str, digest: &str) {
        let parts = split_image(image.as_bytes());
        let shown = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        let parts = (shown(parts.repository), shown(parts.tag), shown(parts.digest));
        assert_eq!(parts, (repository.to_owned(), tag.to_owned(), digest.to_owned()), "{image}");
    }

    // The port's colon is not the tag's, and a digest has a colon of its own.
    #[test]
    fn image_references_are_split_as_registries_do() {
        check_image("nginx", "nginx", "", "");
        check_image("nginx:1.25", "nginx", "1.25", "");
        check_image("localhost:5000/team/app", "localhost:5000/team/app", "", "");
        check_image("localhost:5000/team/app:v1@sha256:aa", "localhost:5000/team/app", "v1", "sha256:aa");
        check_image("docker.io/library/nginx@sha256:aa", "docker.io/library/nginx", "", "sha256:aa");
        check_image("sha256:0ca0fed353fb", "", "", "");
    }

    #[test]
    fn reads_the_whole_shape() {
        let json = br#"{"container":{"id":"32a1026ccb88","full_id":"f","type":7,"name":"web","image":"fedora:38",
            "imagerepo":"fedora","imagetag":"38","privileged":true,"ip":"172.17.0.2","created_time":1730971086,
            "Mounts":[{"Source":"/a","Destination":"/b","Mode":"ro","RW":false,"Propagation":"rprivate"}],
            "labels":{"io.kubernetes.pod.name":"web-1"},"pod_sandbox_labels":null,"env":["A=b"],
            "Healthcheck":{"exe":"curl","args":["-f"]}}}"#;
        let container = parse(&[json.as_slice(), b"\0"].concat()).unwrap().into_container();
        assert_eq!(&*container.id, b"32a1026ccb88");
        assert_eq!(container.kind, ContainerKind::Containerd);
        assert_eq!(container.privileged, Some(true));
        assert_eq!(container.host_pid, None, "a missing key is unknown, not false");
        assert_eq!(container.ip, Some("172.17.0.2".parse().unwrap()));
        assert_eq!(&*container.mounts[0].destination, b"/b");
        assert_eq!(&**container.pod_name().unwrap(), b"web-1");
        assert_eq!(&*container.healthcheck.unwrap().exe, b"curl");
    }

    #[test]
    fn refuses_what_is_no_description() {
        assert!(parse(b"").is_none());
        assert!(parse(b"{\"container\":").is_none());
        assert!(parse(b"{\"container\":{\"name\":\"x\"}}").is_none());
        assert!(parse(b"[[[[").is_none());
    }
}
