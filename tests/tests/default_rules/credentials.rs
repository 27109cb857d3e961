//! Cases for `30-credential-access.yaml`.

use casebook_fixtures::flags::{self, EACCES, ENOENT};

use crate::scene::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "Monitored file read through directory traversal",
            |s| {
                s.t.chdir(s.nginx, "/var/www/html/a");
                s.read(s.nginx, "../../../../../etc/passwd");
                s.t.open_failed(s.nginx, "../../../../../etc/secret", flags::READ, ENOENT);
            },
            |s| {
                s.read(s.nginx, "/etc/nginx/nginx.conf");
                s.t.chdir(s.alice, "/home/alice/src");
                let cat = s.user("/usr/bin/cat", &["cat", "../../../etc/hosts"]);
                s.read(cat, "../../../etc/hosts");
            },
        ),
        case(
            "Sensitive file read by a server after its start",
            |s| {
                s.t.wait_ms(60_000);
                s.read(s.nginx, "/etc/shadow");
            },
            |s| {
                let young = s.host("/usr/sbin/nginx", &["nginx"]);
                s.read(young, "/etc/shadow");
                s.read(s.nginx, "/etc/nginx/nginx.conf");
            },
        ),
        case(
            "Sensitive file read by an unexpected program",
            |s| {
                let cat = s.boxed("/bin/cat", &["cat", "/etc/shadow"]);
                s.read(cat, "/etc/shadow");
            },
            |s| {
                let login = s.host("/bin/login", &["login"]);
                s.read(login, "/etc/shadow");
                let cat = s.user("/bin/cat", &["cat", "/etc/shadow"]);
                s.t.open_failed(cat, "/etc/shadow", flags::READ, EACCES);
                s.read(cat, "/etc/passwd");
            },
        ),
        case(
            "Sensitive file refused to a program",
            |s| {
                let cat = s.user("/bin/cat", &["cat", "/etc/shadow"]);
                s.t.open_failed(cat, "/etc/shadow", flags::READ, EACCES);
            },
            |s| {
                let cat = s.user("/bin/cat", &["cat", "/etc/ssl/private/key"]);
                s.t.open_failed(cat, "/etc/ssl/private/key", flags::READ, EACCES);
                let sudo = s.user("/usr/bin/sudo", &["sudo", "id"]);
                s.t.open_failed(sudo, "/etc/sudoers", flags::READ, EACCES);
                s.t.open_failed(s.root, "/etc/gshadow", flags::READ, ENOENT);
            },
        ),
        case(
            "SSH private key read by an unexpected program",
            |s| {
                let tar = s.host("/usr/bin/tar", &["tar", "cf", "-", "/home/alice/.ssh"]);
                s.read(tar, "/home/alice/.ssh/id_ed25519");
            },
            |s| {
                let ssh = s.user("/usr/bin/ssh", &["ssh", "web-2"]);
                s.read(ssh, "/home/alice/.ssh/id_ed25519");
                let cat = s.user("/usr/bin/cat", &["cat", ".ssh/id_ed25519.pub"]);
                s.read(cat, "/home/alice/.ssh/id_ed25519.pub");
            },
        ),
        case(
            "Search for private keys",
            |s| {
                s.boxed("/usr/bin/find", &["find", "/", "-name", "id_rsa"]);
                s.boxed("/bin/grep", &["grep", "-r", "BEGIN RSA PRIVATE KEY", "/"]);
            },
            |s| {
                s.user("/usr/bin/find", &["find", ".", "-name", "*.rs"]);
                s.user("/bin/grep", &["grep", "-r", "TODO", "src"]);
            },
        ),
        case(
            "Search for cloud credentials",
            |s| {
                s.boxed("/bin/grep", &["grep", "-ri", "aws_secret_access_key", "/"]);
                s.boxed("/usr/bin/find", &["find", "/", "-path", "*/.aws/credentials"]);
            },
            |s| {
                s.user("/bin/grep", &["grep", "-r", "aws_region", "terraform"]);
            },
        ),
        case(
            "Cloud or cluster credentials read by a shell tool",
            |s| {
                let cat = s.boxed("/bin/cat", &["cat", "/root/.aws/credentials"]);
                s.read(cat, "/root/.aws/credentials");
            },
            |s| {
                let aws = s.user("/usr/local/bin/aws", &["aws", "s3", "ls"]);
                s.read(aws, "/home/alice/.aws/credentials");
                let kubectl = s.user("/usr/bin/kubectl", &["kubectl", "get", "pods"]);
                s.read(kubectl, "/home/alice/.kube/config");
            },
        ),
        case(
            "Service account token read by a tool",
            |s| {
                let cat = s.boxed("/bin/cat", &["cat", TOKEN]);
                s.read(cat, TOKEN);
            },
            |s| {
                s.read(s.app, TOKEN);
                let curl = s.boxed("/usr/bin/curl", &["curl", "--cacert", "ca.crt", "https://10.0.0.9/"]);
                s.read(curl, "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
            },
        ),
        case(
            "Environment of another process read",
            |s| {
                let cat = s.boxed("/bin/cat", &["cat", "/proc/1/environ"]);
                s.read(cat, "/proc/1/environ");
            },
            |s| {
                s.read(s.app, "/proc/self/environ");
                let ps = s.boxed("/bin/ps", &["ps", "e"]);
                s.read(ps, "/proc/1/environ");
            },
        ),
        case(
            "Memory of another process opened",
            |s| {
                let dumper = s.host("/opt/x/dump", &["dump", "600"]);
                s.read(dumper, "/proc/600/mem");
            },
            |s| {
                let gdb = s.host("/usr/bin/gdb", &["gdb", "-p", "3000"]);
                s.read(gdb, "/proc/3000/mem");
                s.read(s.app, "/proc/self/mem");
                s.read(s.app, "/proc/600/maps");
            },
        ),
        case(
            "Instance metadata contacted from a container",
            |s| {
                let curl = s.boxed("/usr/bin/curl", &["curl", "http://169.254.169.254/latest/meta-data/"]);
                s.call(curl, "169.254.169.254", 80);
            },
            |s| {
                let agent = s.host("/usr/bin/cloud-init", &["cloud-init"]);
                s.call(agent, "169.254.169.254", 80);
                s.call(s.app, "93.184.216.34", 443);
            },
        ),
        case(
            "Account database changed by an unexpected program",
            |s| {
                let tee = s.host("/usr/bin/tee", &["tee", "-a", "/etc/passwd"]);
                s.edit(tee, "/etc/passwd");
            },
            |s| {
                let useradd = s.host("/usr/sbin/useradd", &["useradd", "bob"]);
                s.edit(useradd, "/etc/passwd");
                let cat = s.user("/usr/bin/cat", &["cat", "/etc/passwd"]);
                s.read(cat, "/etc/passwd");
            },
        ),
    ]
}

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
