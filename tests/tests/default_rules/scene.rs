//! The stage on which every rule is tried: one machine with a container, a web server, a database, two sessions.

use casebook_fixtures::flags::{self, READ, WRITE};
use casebook_fixtures::{Container, Endpoint, Exec, Proc, Task, Trace};

/// Terminal of the sessions.
pub(crate) const PTS: u32 = 34816;

/// A trace with a cast. Cases add the few calls that matter.
pub(crate) struct Scene {
    pub(crate) t: Trace,
    /// The docker container that `app` and its kin live in.
    pub(crate) container: Container,
    /// containerd-shim on the host.
    pub(crate) shim: Task,
    /// First process of the container: some service.
    pub(crate) app: Task,
    /// A shell in the container, started by `app`.
    pub(crate) inside: Task,
    /// nginx in the container.
    pub(crate) web: Task,
    /// A shell of root on the host, without a login.
    pub(crate) root: Task,
    /// A shell of alice on the host, logged in at a terminal through sshd.
    pub(crate) alice: Task,
    /// cron on the host.
    pub(crate) cron: Task,
    /// sshd on the host.
    pub(crate) sshd: Task,
    /// nginx on the host, user www-data.
    pub(crate) nginx: Task,
    /// mysqld on the host.
    pub(crate) mysqld: Task,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Container::docker("c0ffee00c0ffee", "web", "example/app", "1"))
    }

    /// The same stage with another container on it.
    pub(crate) fn with(container: Container) -> Self {
        let mut t = Trace::new("node-1");
        let shim = t.process(Proc::new(2000, "/usr/bin/containerd-shim-runc-v2"));
        let app = t.process(Proc::new(3000, "/usr/local/bin/app").parent(shim).inside(&container, 1));
        let inside = t.process(Proc::new(3010, "/bin/sh").argv(&["sh"]).parent(app).inside(&container, 11));
        let web = t.process(Proc::new(3020, "/usr/sbin/nginx").argv(&["nginx"]).parent(shim).inside(&container, 21));
        let root = t.process(Proc::new(4000, "/bin/bash").argv(&["bash"]).cwd("/root"));
        let sshd = t.process(Proc::new(600, "/usr/sbin/sshd").argv(&["sshd: [listener]"]));
        let session = t.process(Proc::new(4090, "/usr/sbin/sshd").argv(&["sshd: alice@pts/0"]).parent(sshd));
        let alice = t.process(
            Proc::new(4100, "/bin/bash").argv(&["-bash"]).parent(session).uid(1000).login(1000, PTS).cwd("/home/alice"),
        );
        let cron = t.process(Proc::new(610, "/usr/sbin/cron"));
        let nginx = t.process(Proc::new(700, "/usr/sbin/nginx").argv(&["nginx: worker process"]).uid(33));
        let mysqld = t.process(Proc::new(710, "/usr/sbin/mysqld").uid(105));
        t.container(&container);
        Self { t, container, shim, app, inside, web, root, alice, cron, sshd, nginx, mysqld }
    }

    /// A program started from the shell in the container.
    pub(crate) fn boxed(&mut self, path: &str, argv: &[&str]) -> Task {
        self.t.spawn(self.inside, path, argv)
    }

    /// A program started by root on the host.
    pub(crate) fn host(&mut self, path: &str, argv: &[&str]) -> Task {
        self.t.spawn(self.root, path, argv)
    }

    /// A program started by alice.
    pub(crate) fn user(&mut self, path: &str, argv: &[&str]) -> Task {
        self.t.spawn(self.alice, path, argv)
    }

    /// A described program started by this task.
    pub(crate) fn run(&mut self, parent: Task, exec: &Exec<'_>) -> Task {
        let child = self.t.fork(parent);
        self.t.exec(child, exec);
        child
    }

    pub(crate) fn read(&mut self, task: Task, path: &str) {
        self.t.open(task, path, READ);
    }

    pub(crate) fn write(&mut self, task: Task, path: &str) {
        self.t.open(task, path, WRITE);
    }

    /// Opens for writing without cutting: a change, no new content.
    pub(crate) fn edit(&mut self, task: Task, path: &str) {
        self.t.open(task, path, flags::O_WRONLY);
    }

    /// A TCP connection out of the machine.
    pub(crate) fn call(&mut self, task: Task, ip: &str, port: u16) -> i64 {
        let local = if ip.contains(':') { "2001:db8::5" } else { "10.0.0.5" };
        self.t.connect(task, Endpoint::new(local, 40_000), Endpoint::new(ip, port))
    }

    /// A TCP port opened on all addresses.
    pub(crate) fn wait_on(&mut self, task: Task, port: u16) {
        self.t.listen(task, Endpoint::new("10.0.0.5", port));
    }
}

/// One rule on trial.
pub(crate) struct Case {
    /// Its name.
    pub(crate) rule: &'static str,
    /// What it is made for.
    pub(crate) attack: fn(&mut Scene),
    /// What looks like it and is not.
    pub(crate) benign: fn(&mut Scene),
    /// The container on the stage, where the usual one will not do.
    pub(crate) container: Option<fn() -> Container>,
}

/// A case on the usual stage.
pub(crate) fn case(rule: &'static str, attack: fn(&mut Scene), benign: fn(&mut Scene)) -> Case {
    Case { rule, attack, benign, container: None }
}
