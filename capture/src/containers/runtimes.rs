//! What runtimes leave on the host about a container, as the format describes containers.
//!
//! Sources, by what they know: the bundle that containerd or runc run from (OCI specification with CRI's annotations),
//! docker's `config.v2.json`, the `config.json` of podman (also of users who run it without root) and CRI-O. No socket is
//! opened. What no file tells stays unknown.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Characters that are shown of an id.
const SHORT: usize = 12;
/// Largest file that is read.
const FILE_MAX: u64 = 4 << 20;
/// Mounts and labels that are written of one container.
const ENTRIES_MAX: usize = 256;

// Types of the format.
const DOCKER: u32 = 0;
const CONTAINERD: u32 = 7;
pub(super) const CRIO: u32 = 8;
const PODMAN: u32 = 11;

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
