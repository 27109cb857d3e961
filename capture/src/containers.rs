//! Containers: the id from the cgroup path, everything else from the files that runtimes leave on the host.
//!
//! When a container is seen for the first time its description is written as a container event before the event that
//! showed it, so that nothing has to be asked of a runtime later. Sources, by what they know: the bundle that
//! containerd or runc run from (OCI specification with CRI's annotations), docker's `config.v2.json`, the `config.json`
//! of podman (also of users who run it without root) and CRI-O. No socket is opened. What no file tells stays unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Characters of an id.
const FULL: usize = 64;
/// Characters that are shown of it.
const SHORT: usize = 12;
/// Largest file that is read.
const FILE_MAX: u64 = 4 << 20;
/// Cgroup paths that are remembered; beyond that they are looked at anew.
const REMEMBERED: usize = 1 << 16;
/// Descriptions that are remembered; beyond that those of containers that are gone are forgotten.
const DESCRIBED: usize = 4096;
/// How often a container without a description is looked for again.
const TRIES: u32 = 512;
/// Mounts and labels that are written of one container.
const ENTRIES_MAX: usize = 256;

// Types of the format.
const DOCKER: u32 = 0;
const CONTAINERD: u32 = 7;
const CRIO: u32 = 8;
const PODMAN: u32 = 11;

/// Containers seen so far.
pub(crate) struct Containers {
    /// The host's root folder.
    root: PathBuf,
    paths: BTreeSet<Vec<u8>>,
    /// How often each was looked for in vain; `TRIES`: it is described, or was given up.
    tries: BTreeMap<String, u32>,
    /// Descriptions that were given, by id.
    described: BTreeMap<String, String>,
    /// Containers that no file describes yet: a path of theirs, and when they were first seen, ns since boot.
    waiting: BTreeMap<String, (Vec<u8>, u64)>,
    /// Containers that no file has described.
    nameless: BTreeSet<String>,
}

impl Containers {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            paths: BTreeSet::new(),
            tries: BTreeMap::new(),
            described: BTreeMap::new(),
            waiting: BTreeMap::new(),
            nameless: BTreeSet::new(),
        }
    }

    /// How many containers were seen of which nobody told more than the id.
    pub(crate) fn undescribed(&self) -> usize {
        self.nameless.len()
    }

    /// The description of the container that this cgroup path belongs to, when it is seen for the first time and some
    /// runtime left one; and when it was first seen. `ts`: now, ns since boot. Runtimes write their files while a container
    /// starts: one that is not described yet is asked for again with what it does next, and by [`Containers::ask_again`].
    pub(crate) fn first_seen(&mut self, path: &[u8], ts: u64) -> Option<(String, u64)> {
        if self.paths.contains(path) {
            return None;
        }
        if self.paths.len() >= REMEMBERED {
            self.paths.clear();
        }
        let Some(id) = id_of(path) else {
            self.paths.insert(path.to_vec());
            return None;
        };
        let tries = self.tries.entry(id.clone()).or_insert(0);
        let described = if *tries < TRIES { describe(&self.root, &id) } else { None };
        *tries = if described.is_some() { TRIES } else { *tries + 1 };
        if *tries >= TRIES {
            self.paths.insert(path.to_vec());
        }
        if described.is_some() {
            self.nameless.remove(&id);
        } else if self.nameless.len() < REMEMBERED {
            self.nameless.insert(id.clone());
        }
        let since = self.waiting.get(&id).map_or(ts, |(_, since)| *since);
        if described.is_none() && *tries < TRIES {
            self.waiting.insert(id, (path.to_vec(), since));
            return None;
        }
        self.waiting.remove(&id);
        let text = json!({ "container": described? }).to_string();
        self.described.insert(id, text.clone());
        Some((text, since))
    }

    /// Asks again for those that were not described yet.
    pub(crate) fn ask_again(&mut self) -> Vec<(String, u64)> {
        let waiting: Vec<_> = self.waiting.values().cloned().collect();
        waiting.iter().filter_map(|(path, since)| self.first_seen(path, *since)).collect()
    }

    /// Descriptions of the containers that these paths belong to, for a capture that begins anew.
    pub(crate) fn again(&mut self, paths: &BTreeSet<Vec<u8>>) -> Vec<String> {
        let ids: BTreeSet<String> = paths.iter().filter_map(|path| id_of(path)).collect();
        if self.described.len() > DESCRIBED {
            self.described.retain(|id, _| ids.contains(id));
        }
        ids.iter().filter_map(|id| self.described.get(id).cloned()).collect()
    }
}

/// The innermost 64 hexadecimal digits of a path, whatever a runtime puts around them. Monitors of containers run on
/// the host.
pub(crate) fn id_of(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    path.rsplit('/').find_map(|part| {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        let (before, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
        let is_id = id.len() == FULL && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_id && !before.ends_with("conmon")).then(|| id.to_owned())
    })
}

/// What a runtime's files tell of a container.
pub(crate) fn describe(root: &Path, id: &str) -> Option<Value> {
    let at = |path: &str| root.join(path);
    let docker = at("var/lib/docker/containers").join(id);
    if let Some(config) = read(&docker.join("config.v2.json")) {
        return Some(of_docker(id, &config, read(&docker.join("hostconfig.json")).as_ref()));
    }
    for storage in storages(root) {
        if let Some(spec) = read(&storage.join(id).join("userdata/config.json")) {
            if spec["annotations"]["io.kubernetes.cri-o.ContainerType"].is_string() {
                return Some(of_crio(id, &spec));
            }
            return Some(of_podman(id, &spec, read(&storage.join("containers.json")).as_ref()));
        }
    }
    for tasks in ["run/containerd/io.containerd.runtime.v2.task", "run/containerd/io.containerd.runtime.v1.linux"] {
        let namespaces = std::fs::read_dir(at(tasks)).into_iter().flatten().flatten();
        for namespace in namespaces {
            if let Some(spec) = read(&namespace.path().join(id).join("config.json")) {
                return Some(of_spec(id, CONTAINERD, &spec));
            }
        }
    }
    let state = read(&at("run/runc").join(id).join("state.json"))?;
    let labels = state["config"]["labels"].as_array()?;
    let bundle = labels.iter().find_map(|label| label.as_str()?.strip_prefix("bundle="))?;
    // The bundle's place is as the host sees it.
    let bundle = root.join(bundle.trim_start_matches('/'));
    read(&bundle.join("config.json")).map(|spec| of_spec(id, CONTAINERD, &spec))
}

/// Homes in which the containers of users are looked for.
const HOMES_MAX: usize = 1024;

/// Where podman and CRI-O keep containers, those that run first.
fn storages(root: &Path) -> Vec<PathBuf> {
    let homes = std::fs::read_dir(root.join("home")).into_iter().flatten().flatten().take(HOMES_MAX);
    let shared = ["run/containers/storage", "var/lib/containers/storage"].map(|path| root.join(path));
    let own = homes.map(|home| home.path().join(".local/share/containers/storage"));
    let storages: Vec<PathBuf> = shared.into_iter().chain(own).collect();
    let drivers = ["overlay-containers", "vfs-containers", "btrfs-containers"];
    storages.iter().flat_map(|storage| drivers.map(|driver| storage.join(driver))).collect()
}

fn read(path: &Path) -> Option<Value> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// What every source knows.
fn base(id: &str, kind: u32, name: &str, image: &str) -> Map<String, Value> {
    let (repository, tag, digest) = split_image(image);
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("id", json!(id[..SHORT]));
    put("full_id", json!(id));
    put("type", json!(kind));
    put("name", json!(name));
    put("image", json!(image));
    put("imagerepo", json!(repository));
    put("imagetag", json!(tag));
    put("imagedigest", json!(digest));
    put("lookup_state", json!(1));
    map
}

/// `repository[:tag][@digest]`; a port belongs to the repository.
fn split_image(image: &str) -> (&str, &str, &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag, digest),
        _ => (rest, "", digest),
    }
}

/// An OCI specification, with CRI's annotations where the kubelet made the container.
fn of_spec(id: &str, kind: u32, spec: &Value) -> Value {
    let annotations = &spec["annotations"];
    let text = |key: &str| annotations[key].as_str().unwrap_or_default();
    let cri = |key: &str| text(&format!("io.kubernetes.cri.{key}"));
    let name = [cri("container-name"), text("nerdctl/name"), text("io.container.manager")]
        .into_iter()
        .find(|name| !name.is_empty());
    let sandbox = cri("container-type") == "sandbox";
    let mut map = base(id, kind, name.unwrap_or(if sandbox { "POD" } else { "" }), cri("image-name"));
    let mut labels = Map::new();
    for (label, annotation) in [
        ("io.kubernetes.container.name", "container-name"),
        ("io.kubernetes.pod.name", "sandbox-name"),
        ("io.kubernetes.pod.namespace", "sandbox-namespace"),
        ("io.kubernetes.pod.uid", "sandbox-uid"),
    ] {
        if !cri(annotation).is_empty() {
            labels.insert(label.to_owned(), json!(cri(annotation)));
        }
    }
    map.insert("labels".to_owned(), Value::Object(labels));
    map.insert("is_pod_sandbox".to_owned(), json!(sandbox));
    if !cri("sandbox-id").is_empty() {
        map.insert("pod_sandbox_id".to_owned(), json!(cri("sandbox-id")));
    }
    if let Some(privileged) = privileged(spec) {
        map.insert("privileged".to_owned(), json!(privileged));
    }
    map.insert("Mounts".to_owned(), spec_mounts(spec));
    Value::Object(map)
}

/// Runtimes open all devices to privileged containers and to no others. Without a list of devices nobody can tell.
fn privileged(spec: &Value) -> Option<bool> {
    let rules = spec["linux"]["resources"]["devices"].as_array()?;
    let everything = |rule: &Value| {
        let kind = rule["type"].as_str().unwrap_or("a");
        rule["allow"] == json!(true) && rule["access"] == json!("rwm") && kind == "a" && rule["major"].is_null()
    };
    Some(rules.iter().any(everything))
}

/// Mounts from the host; what the runtime makes by itself (proc, sysfs, ...) is none.
fn spec_mounts(spec: &Value) -> Value {
    let mounts = spec["mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bound = mounts.iter().filter(|mount| mount["source"].as_str().is_some_and(|source| source.starts_with('/')));
    let shown = bound.take(ENTRIES_MAX).map(|mount| {
        let options: Vec<&str> = mount["options"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let propagation = options
            .iter()
            .find(|option| option.ends_with("private") || option.ends_with("shared") || option.ends_with("slave"));
        json!({
            "Source": mount["source"], "Destination": mount["destination"], "Mode": "",
            "RW": !options.contains(&"ro"), "Propagation": propagation.copied().unwrap_or_default(),
        })
    });
    Value::Array(shown.collect())
}

fn of_docker(id: &str, config: &Value, host: Option<&Value>) -> Value {
    let name = config["Name"].as_str().unwrap_or_default().trim_start_matches('/');
    let mut map = base(id, DOCKER, name, config["Config"]["Image"].as_str().unwrap_or_default());
    if let Some(image) = config["Image"].as_str() {
        map.insert("imageid".to_owned(), json!(image.strip_prefix("sha256:").unwrap_or(image)));
    }
    if let Some(labels) = config["Config"]["Labels"].as_object() {
        let labels: Map<_, _> =
            labels.iter().take(ENTRIES_MAX).map(|(key, value)| (key.clone(), value.clone())).collect();
        map.insert("labels".to_owned(), Value::Object(labels));
    }
    if let Some(privileged) = host.and_then(|host| host["Privileged"].as_bool()) {
        map.insert("privileged".to_owned(), json!(privileged));
    }
    let points = config["MountPoints"].as_object().into_iter().flatten().take(ENTRIES_MAX);
    let mounts = points.map(|(_, point)| {
        json!({
            "Source": point["Source"], "Destination": point["Destination"], "Mode": point["Relabel"],
            "RW": point["RW"], "Propagation": point["Propagation"],
        })
    });
    map.insert("Mounts".to_owned(), Value::Array(mounts.collect()));
    Value::Object(map)
}

/// CRI-O writes what the kubelet said into annotations of its own; pod labels as a text of JSON.
fn of_crio(id: &str, spec: &Value) -> Value {
    let annotations = &spec["annotations"];
    let text = |key: &str| annotations[key].as_str().unwrap_or_default();
    let crio = |key: &str| text(&format!("io.kubernetes.cri-o.{key}"));
    let sandbox = crio("ContainerType") == "sandbox";
    let pod: Option<Value> = serde_json::from_str(crio("Labels")).ok();
    let mut labels = Map::new();
    let given = pod.as_ref().and_then(Value::as_object).into_iter().flatten().take(ENTRIES_MAX);
    labels.extend(given.filter(|(_, value)| value.is_string()).map(|(key, value)| (key.clone(), value.clone())));
    for (label, fallback) in [
        ("io.kubernetes.container.name", "io.kubernetes.container.name"),
        ("io.kubernetes.pod.name", "io.kubernetes.cri-o.KubeName"),
        ("io.kubernetes.pod.namespace", "io.kubernetes.cri-o.Namespace"),
        ("io.kubernetes.pod.uid", "io.kubernetes.pod.uid"),
    ] {
        let value = [text(label), text(fallback)].into_iter().find(|value| !value.is_empty());
        if let Some(value) = value.filter(|_| !labels.contains_key(label)) {
            labels.insert(label.to_owned(), json!(value));
        }
    }
    let named = labels.get("io.kubernetes.container.name").and_then(Value::as_str).unwrap_or_default();
    let name = match (named, sandbox) {
        ("", true) => "POD",
        ("", false) => crio("Name"),
        (name, _) => name,
    };
    let image = [crio("ImageName"), crio("Image")].into_iter().find(|image| !image.is_empty()).unwrap_or_default();
    let mut map = base(id, CRIO, name, image);
    map.insert("labels".to_owned(), Value::Object(labels));
    map.insert("is_pod_sandbox".to_owned(), json!(sandbox));
    if !crio("SandboxID").is_empty() {
        map.insert("pod_sandbox_id".to_owned(), json!(crio("SandboxID")));
    }
    if let Some(privileged) = privileged(spec) {
        map.insert("privileged".to_owned(), json!(privileged));
    }
    map.insert("Mounts".to_owned(), spec_mounts(spec));
    Value::Object(map)
}

fn of_podman(id: &str, spec: &Value, list: Option<&Value>) -> Value {
    let entry = list.and_then(Value::as_array).and_then(|list| list.iter().find(|entry| entry["id"] == json!(id)));
    let name = entry.and_then(|entry| entry["names"][0].as_str()).unwrap_or_default();
    // The names of images stand in a text of JSON inside JSON.
    let metadata: Option<Value> = entry.and_then(|entry| serde_json::from_str(entry["metadata"].as_str()?).ok());
    let image = metadata.as_ref().and_then(|metadata| metadata["image-name"].as_str()).unwrap_or_default();
    let mut map = base(id, PODMAN, name, image);
    if let Some(image) = entry.and_then(|entry| entry["image"].as_str()) {
        map.insert("imageid".to_owned(), json!(image));
    }
    if let Some(privileged) = privileged(spec) {
        map.insert("privileged".to_owned(), json!(privileged));
    }
    map.insert("Mounts".to_owned(), spec_mounts(spec));
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn ids_stand_in_all_forms_of_paths() {
        for path in [
            format!("/kubepods/besteffort/pod7c9a3b52-0d5e-4c44-9f0b-2f6f5d1a7e11/{ID}"),
            format!("/kubepods.slice/kubepods-besteffort.slice/x.slice/cri-containerd-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/system.slice/docker-{ID}.scope"),
            format!("/libpod_parent/libpod-{ID}"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}"),
        ] {
            assert_eq!(id_of(path.as_bytes()).as_deref(), Some(ID), "{path}");
        }
        for path in [
            "/",
            "/user.slice/session-1.scope",
            "/default/plain1",
            &format!("/x/libpod-conmon-{ID}.scope"),
            &format!("/{ID}0"),
        ] {
            assert_eq!(id_of(path.as_bytes()), None, "{path}");
        }
    }

    fn put(root: &Path, path: &str, value: &Value) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, value.to_string()).unwrap();
    }

    fn seen(root: &Path) -> Value {
        let mut containers = Containers::new(root);
        let path = format!("/docker/{ID}");
        let text = containers.first_seen(path.as_bytes(), 7).unwrap().0;
        assert_eq!(containers.first_seen(path.as_bytes(), 8), None, "once");
        assert_eq!(containers.first_seen(format!("/other/{ID}").as_bytes(), 9), None, "once under every path");
        serde_json::from_str::<Value>(&text).unwrap()["container"].clone()
    }

    #[test]
    fn a_bundle_of_the_kubelet_names_pod_and_image() {
        let root = tempfile::tempdir().unwrap();
        let spec = json!({
            "annotations": {
                "io.kubernetes.cri.container-name": "web", "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.image-name": "registry:5000/shop/web:1.4@sha256:ab", "io.kubernetes.cri.sandbox-id": "s1",
                "io.kubernetes.cri.sandbox-name": "checkout", "io.kubernetes.cri.sandbox-namespace": "prod",
            },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/host", "source": "/etc", "options": ["rbind", "rprivate", "ro"] },
            ],
            "linux": { "resources": { "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "access": "rwm" }] } },
        });
        put(root.path(), &format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"), &spec);
        let container = seen(root.path());
        assert_eq!(container["id"], ID[..12]);
        assert_eq!(container["name"], "web");
        assert_eq!(
            [&container["imagerepo"], &container["imagetag"], &container["imagedigest"]],
            ["registry:5000/shop/web", "1.4", "sha256:ab"]
        );
        assert_eq!(container["labels"]["io.kubernetes.pod.name"], "checkout");
        assert_eq!(container["privileged"], true);
        assert_eq!(container["Mounts"].as_array().unwrap().len(), 1);
        assert_eq!(container["Mounts"][0]["RW"], false);
    }

    #[test]
    fn docker_and_podman_describe_theirs() {
        let root = tempfile::tempdir().unwrap();
        let config = json!({ "Name": "/shop", "Image": "sha256:ff", "Config": { "Image": "nginx", "Labels": { "a": "b" } }, "MountPoints": {} });
        put(root.path(), &format!("var/lib/docker/containers/{ID}/config.v2.json"), &config);
        put(root.path(), &format!("var/lib/docker/containers/{ID}/hostconfig.json"), &json!({ "Privileged": true }));
        let container = seen(root.path());
        assert_eq!([&container["name"], &container["imagerepo"], &container["imageid"]], ["shop", "nginx", "ff"]);
        assert_eq!(container["labels"]["a"], "b");
        assert_eq!(container["privileged"], true);

        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            &format!("var/lib/containers/storage/overlay-containers/{ID}/userdata/config.json"),
            &json!({}),
        );
        let list =
            json!([{ "id": ID, "names": ["cave"], "image": "ee", "metadata": "{\"image-name\":\"quay.io/x/y:2\"}" }]);
        put(root.path(), "var/lib/containers/storage/overlay-containers/containers.json", &list);
        let container = seen(root.path());
        assert_eq!([&container["name"], &container["imagerepo"], &container["imagetag"]], ["cave", "quay.io/x/y", "2"]);
        assert!(container["privileged"].is_null(), "unknown");
    }

    #[test]
    fn cri_o_and_users_podman_describe_theirs() {
        let root = tempfile::tempdir().unwrap();
        let spec = json!({ "annotations": {
            "io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.ImageName": "quay.io/shop/web:2",
            "io.kubernetes.cri-o.SandboxID": "s1", "io.kubernetes.cri-o.Namespace": "prod",
            "io.kubernetes.cri-o.Labels": "{\"io.kubernetes.container.name\":\"web\",\"io.kubernetes.pod.name\":\"checkout\",\"app\":\"shop\"}",
        } });
        put(root.path(), &format!("run/containers/storage/overlay-containers/{ID}/userdata/config.json"), &spec);
        let container = seen(root.path());
        assert_eq!(
            [&container["name"], &container["imagerepo"], &container["imagetag"]],
            ["web", "quay.io/shop/web", "2"]
        );
        assert_eq!(container["type"], CRIO);
        let labels = &container["labels"];
        assert_eq!(
            [&labels["io.kubernetes.pod.name"], &labels["io.kubernetes.pod.namespace"], &labels["app"]],
            ["checkout", "prod", "shop"]
        );
        let root = tempfile::tempdir().unwrap();
        let storage = "home/ann/.local/share/containers/storage/overlay-containers";
        put(root.path(), &format!("{storage}/{ID}/userdata/config.json"), &json!({ "mounts": [] }));
        let list = json!([{ "id": ID, "names": ["tools"], "image": "ab", "metadata": "{\"image-name\":\"localhost/tools:1\"}" }]);
        put(root.path(), &format!("{storage}/containers.json"), &list);
        let container = seen(root.path());
        assert_eq!(
            [&container["name"], &container["imagerepo"], &container["imageid"]],
            ["tools", "localhost/tools", "ab"]
        );
    }

    #[test]
    fn what_is_no_json_describes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(format!("var/lib/docker/containers/{ID}"));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("config.v2.json"), "{").unwrap();
        assert_eq!(Containers::new(root.path()).first_seen(format!("/docker/{ID}").as_bytes(), 7), None);
    }
}
