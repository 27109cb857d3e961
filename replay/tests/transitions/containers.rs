//! Containers: which one, and what is known of it when.

use casebook_fixtures::{Container, Fork, Proc};
use casebook_formats::tables::ppme;

use super::{acts, desk, says};

fn web() -> Container {
    Container::docker("c0ffee", "web", "registry.local:5000/shop/web", "1.27")
}

const IMAGE: &str = "container.name container.image.repository container.image.tag";

// Metadata comes late: before it only the id is known, from it on everything, also of processes that began before.
#[test]
fn metadata_late() {
    let (mut t, _) = desk();
    let init = t.process(Proc::new(800, "/usr/sbin/nginx").inside(&web(), 1));
    acts(&mut t, init);
    says(
        &t,
        "container.id container.type container.name container.image.repository",
        "c0ffee000000 | docker | <NA> | <NA>",
    );
    t.container_async(&web());
    acts(&mut t, init);
    says(&t, IMAGE, "web | registry.local:5000/shop/web | 1.27");
    says(&t, "container.image container.full_id", &format!("registry.local:5000/shop/web:1.27 | {:0<64}", "c0ffee"));
}

// A process enters a container from outside; its children are in it, the runtime is not.
#[test]
fn entering_a_container() {
    let (mut t, shell) = desk();
    t.container(&web());
    let inside = t.enter(shell, &web());
    t.execve(inside, "/bin/sh", &["sh"]);
    let child = t.spawn(inside, "/bin/ls", &["ls"]);
    says(&t, "container.id container.name proc.vpid", &format!("c0ffee000000 | web | {}", child.0 - 4900));
    acts(&mut t, shell);
    says(&t, "container.id container.name", "host | host");
}

// A container has users of its own: 33 on the host is not 33 inside, and who root is inside the host cannot say.
#[test]
fn users_per_container() {
    let (mut t, _) = desk();
    let init = t.process(Proc::new(800, "/usr/sbin/nginx").uid(33).inside(&web(), 1));
    t.container(&web());
    acts(&mut t, init);
    says(&t, "user.uid user.name", "33 | <NA>");
    t.container_user(&web(), 33, "nginx", "/nonexistent", "/bin/false");
    acts(&mut t, init);
    says(&t, "user.name user.homedir user.shell group.name", "nginx | /nonexistent | /bin/false | nginx");
}

// Pod fields come from the labels of the container where there is nothing else.
#[test]
fn pods_from_labels() {
    let (mut t, _) = desk();
    let pod = web().in_pod("shop", "web-1", "0d5e4c44-9f0b-4b52-8e11-7c9a3b522f6f");
    let init = t.process(Proc::new(800, "/usr/sbin/nginx").inside(&pod, 1));
    t.container_async(&pod);
    acts(&mut t, init);
    let fields = "k8s.ns.name k8s.pod.name k8s.pod.uid container.label[io.kubernetes.container.name] container.type";
    says(&t, fields, "shop | web-1 | 0d5e4c44-9f0b-4b52-8e11-7c9a3b522f6f | web | containerd");
}

// Mounts by place and by destination; privileges as the runtime tells.
#[test]
fn mounts_and_privileges() {
    let (mut t, _) = desk();
    let tools = web().mount("/", "/host", true).mount("/etc/app", "/etc/app", false).privileged();
    let init = t.process(Proc::new(800, "/bin/tool").inside(&tools, 1));
    t.container_async(&tools);
    acts(&mut t, init);
    let fields = "container.privileged container.mount.source[0] container.mount.dest[1] container.mount.rdwr[/] \
                  container.mount.mode[/etc/app] container.mount.source[/host]";
    says(&t, fields, "true | / | /etc/app | true | ro | /");
}

// A runtime's child gets its container by the move of its control group, which its exec tells.
#[test]
fn moved_by_control_group() {
    let (mut t, shell) = desk();
    let child = t.fork_as(shell, &Fork::new());
    acts(&mut t, child);
    says(&t, "container.id", "host");
    let cgroup = format!("cpu={}\0", web().cgroup());
    let named = [
        ("res", 0_i64.into()),
        ("exe", "app".into()),
        ("tid", child.0.into()),
        ("pid", child.0.into()),
        ("ptid", shell.0.into()),
        ("comm", "app".into()),
        ("cgroups", casebook_fixtures::Value::Bytes(cgroup.as_bytes())),
    ];
    t.emit(child.0, ppme::PPME_SYSCALL_EXECVE_19_X, &named);
    says(&t, "container.id thread.cgroup.cpu", &format!("c0ffee000000 | {}", web().cgroup()));
}
