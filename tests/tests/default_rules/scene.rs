//! A small stage for tests of the vocabulary: one machine with a container. The rules' own cases have theirs in
//! `fixtures/stages`.

use casebook_fixtures::flags::{READ, WRITE};
use casebook_fixtures::{Container, Endpoint, Proc, Task, Trace};

/// A trace with a cast. Tests add the few calls that matter.
pub(crate) struct Scene {
    pub(crate) t: Trace,
    /// First process of the container: some service.
    pub(crate) app: Task,
    /// A shell in the container, started by `app`.
    inside: Task,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let container = Container::docker("c0ffee00c0ffee", "web", "example/app", "1");
        let mut t = Trace::new("node-1");
        let shim = t.process(Proc::new(2000, "/usr/bin/containerd-shim-runc-v2"));
        let app = t.process(Proc::new(3000, "/usr/local/bin/app").parent(shim).inside(&container, 1));
        let inside = t.process(Proc::new(3010, "/bin/sh").argv(&["sh"]).parent(app).inside(&container, 11));
        t.container(&container);
        Self { t, app, inside }
    }

    /// A program started from the shell in the container.
    pub(crate) fn boxed(&mut self, path: &str, argv: &[&str]) -> Task {
        self.t.spawn(self.inside, path, argv)
    }

    pub(crate) fn read(&mut self, task: Task, path: &str) {
        self.t.open(task, path, READ);
    }

    pub(crate) fn write(&mut self, task: Task, path: &str) {
        self.t.open(task, path, WRITE);
    }

    /// A TCP connection out of the machine.
    pub(crate) fn call(&mut self, task: Task, ip: &str, port: u16) -> i64 {
        self.t.connect(task, Endpoint::new("10.0.0.5", 40_000), Endpoint::new(ip, port))
    }
}
