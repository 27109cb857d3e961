//! Cases for `60-impact.yaml`.

use casebook_fixtures::flags::ENOENT;

use crate::scene::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "Crypto miner started",
            |s| {
                s.boxed("/tmp/.x/xmrig", &["./xmrig", "-c", "config.json"]);
                s.host("/var/tmp/sshd", &["sshd", "--donate-level", "1"]);
            },
            |s| {
                s.host("/usr/bin/grep", &["grep", "-r", "miner", "/var/log"]);
                s.t.execve_failed(s.root, "/usr/local/bin/xmrig", ENOENT);
            },
        ),
        case(
            "Mining pool in a command line",
            |s| {
                s.host("/var/tmp/sshd", &["sshd", "-o", "stratum+tcp://pool.example:3333"]);
                s.host("/var/tmp/httpd", &["httpd", "-o", "xmr-eu1.nanopool.org:14433"]);
            },
            |s| {
                s.host("/usr/bin/ssh", &["ssh", "stratum-1.ntp.example"]);
            },
        ),
        case(
            "Connection to a mining pool port",
            |s| {
                s.call(s.app, "198.51.100.23", 14444);
            },
            |s| {
                s.call(s.app, "198.51.100.23", 443);
                s.call(s.app, "10.0.0.9", 3333);
            },
        ),
        case(
            "Data shredded",
            |s| {
                s.host("/usr/bin/shred", &["shred", "-u", "/var/log/auth.log"]);
                s.host("/sbin/mkfs.ext4", &["mkfs.ext4", "/dev/sdb1"]);
            },
            |s| {
                s.host("/bin/rm", &["rm", "/tmp/x"]);
            },
        ),
        case(
            "Disk overwritten or tree deleted",
            |s| {
                s.host("/bin/dd", &["dd", "if=/dev/zero", "of=/dev/sda", "bs=1M"]);
                s.host("/bin/rm", &["rm", "-rf", "--no-preserve-root", "/"]);
            },
            |s| {
                s.host("/bin/dd", &["dd", "if=/dev/zero", "of=/swapfile", "bs=1M"]);
                s.host("/bin/rm", &["rm", "-rf", "/home/alice/build"]);
            },
        ),
    ]
}
