//! Containers: the id from the cgroup path, everything else from the files that runtimes leave on the host.
//!
//! When a container is seen for the first time its description is written as a container event before the event that
//! showed it, so that nothing has to be asked of a runtime later. Here is which containers were seen and who is asked
//! for again; what the files tell is read in [`runtimes`].

mod runtimes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;

pub(crate) use runtimes::describe;

/// Characters of an id.
const FULL: usize = 64;
/// Cgroup paths that are remembered; beyond that they are looked at anew.
const REMEMBERED: usize = 1 << 16;
/// Descriptions that are remembered; beyond that those of containers that are gone are forgotten.
const DESCRIBED: usize = 4096;
/// How often a container without a description is looked for again.
const TRIES: u32 = 512;

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use serde_json::Value;

    use super::runtimes::CRIO;
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
