//! Who is there when a script begins: users, containers, processes.

use casebook_fixtures::flags::{ALL_CAPS, DOCKER_CAPS};
use casebook_fixtures::{Container, Proc, Task};
use casebook_rules::diagnostics::did_you_mean;
use casebook_rules::source::FileSpan;
use casebook_rules::yaml::Node;

use super::{Actor, Named, Teller, words};
use crate::lab::tree::{Entries, several};

/// Number of the first process that does not say its own.
const FIRST_PID: i64 = 1000;
/// Largest number of a process of the stage: the builder numbers those that are started later from 5000 on.
const LAST_PID: i64 = 4999;
/// Numbers between the processes of a container, as if each had started a few short ones.
const VPID_STEP: i64 = 10;
/// The device of `pts/0`.
const PTS0: u32 = 34_816;

/// The name of the machine that a stage sets.
pub(super) fn host(stage: &Node) -> Option<String> {
    stage.get("host")?.scalar().map(|name| name.value.clone())
}

impl Teller<'_> {
    /// Reads the users and containers of a stage.
    pub(super) fn places(&mut self, entries: &mut Entries<'_>) {
        if let Some(users) = entries.take("users") {
            self.each_entry(users, "users", |this, name, uid, _| {
                let uid = this.notes.number(uid)?;
                this.trace.user(uid, name, &format!("/home/{name}"), "/bin/bash");
                Some(())
            });
        }
        if let Some(containers) = entries.take("containers") {
            self.each_entry(containers, "containers", Self::container);
        }
    }

    /// Reads the processes of a stage.
    pub(super) fn processes(&mut self, entries: &mut Entries<'_>) {
        if let Some(processes) = entries.take("processes") {
            self.each_entry(processes, "processes", Self::process);
        }
    }

    /// Calls `read` with each name of a mapping, its value and the name's place.
    fn each_entry(&mut self, node: &Node, what: &str, read: impl Fn(&mut Self, &str, &Node, FileSpan) -> Option<()>) {
        let Some(entries) = node.mapping() else {
            self.notes.wrong::<()>(node.span, format!("{what} are a mapping, not {}", node.kind_name()));
            return;
        };
        for (key, value) in entries {
            if let Some(name) = self.notes.words(key) {
                read(self, name, value, key.span);
            }
        }
    }

    /// `web: {id: c0ffee, image: example/app:1, pod: {...}, mounts: [...], privileged: true}`
    fn container(&mut self, name: &str, node: &Node, place: FileSpan) -> Option<()> {
        let mut entries = Entries::of(node, "a container", self.notes)?;
        let id = entries.take("id").and_then(|id| self.notes.words(id));
        let id = id.map_or_else(|| made_up_id(name), str::to_owned);
        if id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return self.notes.wrong(place, "the id of a container is up to 64 hexadecimal digits");
        }
        let image = entries.take("image").and_then(|image| self.notes.words(image)).unwrap_or("example/app:1");
        let (repository, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
        let mut container = Container::docker(&id, name, repository, tag);
        if let Some(pod) = entries.take("pod") {
            let mut keys = Entries::of(pod, "a pod", self.notes)?;
            let mut key = |key, or: &str| match keys.take(key) {
                Some(value) => self.notes.words(value).map(str::to_owned),
                None => Some(or.to_owned()),
            };
            let (namespace, pod_name) = (key("namespace", "default")?, key("name", name)?);
            let uid = key("uid", "0c6cf1f4-8d7b-4a36-b1fb-3f2d9a0f6a11")?;
            keys.end("a pod", self.notes);
            container = container.in_pod(&namespace, &pod_name, &uid);
        }
        if let Some(privileged) = entries.take("privileged")
            && self.notes.yes(privileged)?
        {
            container = container.privileged();
        }
        if let Some(mounts) = entries.take("mounts") {
            for mount in several(mounts) {
                let text = self.notes.words(mount)?;
                let (paths, rw) = match text.strip_suffix(":ro") {
                    Some(paths) => (paths, false),
                    None => (text, true),
                };
                let Some((source, destination)) = paths.split_once(':') else {
                    return self.notes.wrong(mount.span, "a mount is `source:destination` or `source:destination:ro`");
                };
                container = container.mount(source, destination, rw);
            }
        }
        entries.end("a container", self.notes);
        // A container of the script takes the place of one of the stage.
        self.containers.insert(name.to_owned(), container);
        Some(())
    }

    /// `alice: {exe: /bin/bash, argv: -bash, parent: sshd, user: 1000, login: 1000, tty: pts/0, cwd: /home/alice}`
    fn process(&mut self, name: &str, node: &Node, place: FileSpan) -> Option<()> {
        let mut entries = Entries::of(node, "a process", self.notes)?;
        if self.actors.contains_key(name) {
            return self.notes.wrong(place, format!("there is a process `{name}` already"));
        }
        let exe = entries.need("exe", "a process", self.notes)?;
        let exe = self.notes.words(exe)?;
        let pid = match entries.take("pid") {
            Some(pid) => self.notes.number(pid)?,
            None => self.free_pid(),
        };
        if !(2..=LAST_PID).contains(&pid) || self.taken(pid) {
            return self.notes.wrong(place, format!("a process of the stage has a number of its own up to {LAST_PID}"));
        }
        let mut process = Proc::new(pid, exe);
        if let Some(argv) = entries.take("argv") {
            let argv = self.words(argv)?;
            process = process.argv(&argv.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Some(env) = entries.take("env") {
            let env = self.texts(env)?;
            process = process.env(&env.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Some(comm) = entries.take("comm") {
            process = process.comm(self.notes.words(comm)?);
        }
        if let Some(parent) = entries.take("parent") {
            process = process.parent(self.actor(parent)?);
        }
        if let Some(uid) = entries.take("user") {
            process = process.uid(self.notes.number(uid)?);
        }
        if let Some(cwd) = entries.take("cwd") {
            process = process.cwd(self.notes.words(cwd)?);
        }
        if let Some(leader) = entries.take("session") {
            process = process.session(self.actor(leader)?.0);
        }
        let login = entries.take("login").map(|uid| self.notes.number(uid));
        let tty = entries.take("tty").map(|tty| self.tty(tty));
        if login.is_some() || tty.is_some() {
            process = process.login(login.unwrap_or(Some(u32::MAX))?, tty.unwrap_or(Some(0))?);
        }
        let inside = entries.take("container").map(|container| self.container_of(container));
        let vpid = entries.take("vpid").map(|vpid| self.notes.number::<i64>(vpid));
        if let Some(container) = inside {
            let (container, others) = container?;
            process = process.inside(&container, vpid.unwrap_or(Some(1 + others * VPID_STEP))?);
        } else if vpid.is_some() {
            return self.notes.wrong(place, "`vpid` is the number in a container; this process is in none");
        }
        entries.end("a process", self.notes);
        let task = self.trace.process(process);
        self.actors.insert(name.to_owned(), Actor { task, named: Named::Stage });
        Some(())
    }

    /// A container by its name, and how many processes of the stage live in it.
    fn container_of(&mut self, node: &Node) -> Option<(Container, i64)> {
        let name = self.text(node)?;
        if let Some(container) = self.containers.get(&name).cloned() {
            let others = self.trace.processes_in(&container) as i64;
            return Some((container, others));
        }
        let hint = did_you_mean(&name, self.containers.keys().map(String::as_str));
        self.notes.wrong_with(node.span, format!("there is no container `{name}`"), hint)
    }

    /// The container of a name.
    pub(super) fn container_named(&mut self, node: &Node) -> Option<Container> {
        self.container_of(node).map(|(container, _)| container)
    }

    /// Tells the metadata of all containers, as recorders do when they begin.
    pub(super) fn announce(&mut self) {
        for container in self.containers.values() {
            self.trace.container(container);
        }
    }

    fn taken(&self, pid: i64) -> bool {
        self.actors.values().any(|actor| actor.task == Task(pid))
    }

    fn free_pid(&self) -> i64 {
        (FIRST_PID..=LAST_PID).find(|&pid| !self.taken(pid)).unwrap_or(0)
    }

    /// `pts/0` or a device number.
    pub(super) fn tty(&mut self, node: &Node) -> Option<u32> {
        let text = self.text(node)?;
        let number = match text.trim_start_matches("/dev/").strip_prefix("pts/") {
            Some(number) => number.parse().ok().and_then(|number: u32| PTS0.checked_add(number)),
            None => text.parse().ok(),
        };
        number.or_else(|| self.notes.wrong(node.span, format!("`{text}` is no terminal like pts/0")))
    }

    /// `all`, `docker`, `none`, or the bits of a set of capabilities.
    pub(super) fn caps(&mut self, node: &Node) -> Option<u64> {
        let text = self.text(node)?;
        match &*text {
            "all" => Some(ALL_CAPS),
            "docker" => Some(DOCKER_CAPS),
            "none" => Some(0),
            bits => words::number(bits).map(|bits| bits as u64).or_else(|| {
                self.notes.wrong(node.span, format!("`{bits}` is none of all, docker, none, and no number"))
            }),
        }
    }

    /// A command line: one text that is split as a shell does, or a sequence of words.
    pub(super) fn words(&mut self, node: &Node) -> Option<Vec<String>> {
        if node.sequence().is_some() {
            return self.texts(node);
        }
        let line = self.text(node)?;
        match words::split(&line) {
            Ok(words) if words.is_empty() => self.notes.wrong(node.span, "this is empty"),
            Ok(words) => Some(words),
            Err(why) => self.notes.wrong(node.span, why),
        }
    }

    /// Several texts.
    pub(super) fn texts(&mut self, node: &Node) -> Option<Vec<String>> {
        match node.sequence() {
            Some(items) => items.iter().map(|item| self.text(item)).collect(),
            None => self.text(node).map(|text| vec![text]),
        }
    }
}

/// An id for a container that does not say its own: digits that follow from the name.
fn made_up_id(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
