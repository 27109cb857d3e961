//! Saved queries: questions that come up in every case, by name.
//!
//! One table: `--saved NAME`, `.saved`, completion and `QUERIES.md` read it; a golden test asks each of them.

use std::fmt::Write as _;

use casebook_rules::suggest;

/// One saved query.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    /// Its name, part of the interface.
    pub name: &'static str,
    /// What it answers, and what the answer does not say.
    pub question: &'static str,
    /// The query.
    pub sql: &'static str,
    /// It asks the table `alerts`, which is empty without rules.
    pub needs_rules: bool,
}

/// The query of this name.
///
/// # Errors
///
/// The nearest name, where one is near.
pub fn named(name: &str) -> Result<&'static Saved, Option<&'static str>> {
    let found = QUERIES.iter().find(|query| query.name == name);
    found.ok_or_else(|| suggest::closest(name, QUERIES.iter().map(|query| query.name)))
}

/// `QUERIES.md`. `columns` gives the names of a query's columns.
pub fn markdown(columns: impl Fn(&Saved) -> Vec<String>) -> String {
    let mut text = String::from(MARKDOWN_HEAD);
    for query in QUERIES {
        let columns: Vec<String> = columns(query).iter().map(|name| format!("`{name}`")).collect();
        let rules = if query.needs_rules { " Needs rules (`-r`, `--default-rules`)." } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## `{}`\n\n{}{rules}\n\nColumns: {}.\n\n```sql\n{}\n```\n",
            query.name,
            query.question,
            columns.join(", "),
            query.sql
        );
    }
    text
}

const MARKDOWN_HEAD: &str = "\
# Saved queries

`casebook-analyze sql --saved NAME CAPTURES…` asks one of these; in the shell, `.saved NAME`. Copy one and change it: the
tables are in [TABLES.md](TABLES.md). Generated from `analyze/src/sql/saved.rs`;
`BLESS=1 cargo test -p casebook-analyze --test tables` writes it anew.

A process that ran before the capture began, a file opened before it, bytes beyond the snap length: what the capture does not
hold, no query finds. The table `ledger` says what it could not show.
";

macro_rules! queries {
    ($($name:literal $(($rules:ident))? $question:literal $sql:literal;)*) => {
        /// All saved queries.
        pub const QUERIES: &[Saved] = &[$(Saved {
            name: $name, question: $question, sql: $sql, needs_rules: queries!(@ $($rules)?),
        }),*];
    };
    (@) => { false };
    (@ rules) => { true };
}

queries! {
"top-talkers" "Which processes moved the most bytes over the network, and with whom?"
"SELECT host, proc_name, container_id, server_ip, server_port, dns_name, COUNT(*) AS connections,
       SUM(bytes_out) AS bytes_out, SUM(bytes_in) AS bytes_in
FROM network
WHERE protocol <> 'unix'
GROUP BY host, proc_name, container_id, server_ip, server_port, dns_name
HAVING SUM(bytes_out) + SUM(bytes_in) > 0
ORDER BY bytes_out + bytes_in DESC, proc_name, server_ip, server_port";

"new-binaries" "Which programs were started that no process ran when the capture began? The first start of each."
"SELECT host, exepath, container_id, MIN(time) AS first, COUNT(*) AS starts, MIN(cmdline) AS example,
       MIN(parent_name) AS parent_name
FROM execs
WHERE result = 'SUCCESS'
  AND exepath NOT IN (SELECT exepath FROM processes WHERE from_snapshot AND exepath IS NOT NULL)
GROUP BY host, exepath, container_id
ORDER BY first, exepath";

"shell-history" "What was typed, or piped, into shells? Every program that a shell started, in order."
"SELECT time, host, user_name, login_name, tty, container_id, parent_name, cmdline, cwd
FROM execs
WHERE result = 'SUCCESS' AND parent_name IN ('sh', 'bash', 'dash', 'zsh', 'ksh', 'ash', 'fish', 'csh', 'tcsh')
ORDER BY time, num";

"persistence" "Who wrote where programs are started again: cron, systemd, init, shell profiles, SSH keys, preload lists, users?"
"SELECT first, host, proc_name, container_id, path, writes, created, renames, chmods
FROM files
WHERE (writes > 0 OR created > 0 OR renames > 0)
  AND (path ~ '^/etc/(cron|anacron|systemd/|init\\.d/|rc[0-9S.]|profile|bash\\.bashrc|zsh|ld\\.so\\.preload|ld\\.so\\.conf|modules|passwd|shadow|sudoers|pam\\.d/|ssh/|udev/rules\\.d/|xdg/autostart|update-motd\\.d/|apt/apt\\.conf\\.d/)'
    OR path ~ '^/(usr/)?lib/systemd/'
    OR path ~ '^/var/spool/(cron|at|anacron)'
    OR path ~ '/\\.(bashrc|bash_profile|bash_login|bash_logout|profile|zshrc|zprofile|ssh/authorized_keys2?|ssh/rc|config/(systemd|autostart)/.*|pam_environment)$')
ORDER BY first, path, proc_name";

"beacons" "Which processes connect to the same server again and again, and how regularly? Jitter is the mean deviation from the mean interval, as a share of it: near 0 is a clock."
"WITH calls AS (
  SELECT host, proc_name, container_id, server_ip, server_port, first,
         CAST(first AS BIGINT) - LAG(CAST(first AS BIGINT)) OVER (PARTITION BY host, proc_name, container_id, server_ip, server_port ORDER BY first) AS pause
  FROM network
  WHERE role = 'client' AND first IS NOT NULL AND connects + failed > 0 AND protocol <> 'unix'
), means AS (
  SELECT host, proc_name, container_id, server_ip, server_port, COUNT(*) AS connections, AVG(pause) AS mean,
         MIN(first) AS first, MAX(first) AS last
  FROM calls
  GROUP BY host, proc_name, container_id, server_ip, server_port
  HAVING COUNT(*) >= 4
)
SELECT means.host, means.proc_name, means.container_id, means.server_ip, means.server_port,
       MIN(means.connections) AS connections, ROUND(MIN(means.mean) / 1000000000.0, 3) AS every_s,
       ROUND(AVG(ABS(calls.pause - means.mean)) / MIN(means.mean), 3) AS jitter,
       MIN(means.first) AS first, MIN(means.last) AS last
FROM means JOIN calls
  ON means.host = calls.host AND means.proc_name = calls.proc_name AND means.container_id = calls.container_id
 AND means.server_ip = calls.server_ip AND means.server_port = calls.server_port
WHERE calls.pause IS NOT NULL AND means.mean > 0
GROUP BY means.host, means.proc_name, means.container_id, means.server_ip, means.server_port
ORDER BY jitter, connections DESC, means.proc_name, means.server_ip, means.server_port";

"exfil" "Who sent more than it received to addresses outside of private networks?"
"SELECT host, proc_name, container_id, server_ip, server_port, dns_name, SUM(bytes_out) AS bytes_out,
       SUM(bytes_in) AS bytes_in, MIN(first) AS first, MAX(last) AS last
FROM network
WHERE role = 'client' AND server_ip IS NOT NULL
  AND NOT server_ip ~ '^(0\\.|10\\.|127\\.|169\\.254\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.|22[4-9]\\.|23[0-9]\\.|255\\.|::1$|::$|fe80:|f[cd]|ff)'
GROUP BY host, proc_name, container_id, server_ip, server_port, dns_name
HAVING SUM(bytes_out) > SUM(bytes_in)
ORDER BY bytes_out DESC, proc_name, server_ip, server_port";

"failed-logins" "Which signs of refused logins are there: records written to btmp, and password checks, su, sudo and logins that ended with an error?"
"SELECT first AS time, host, proc_name, container_id, 'record in ' || path AS sign, CAST(NULL AS VARCHAR) AS cmdline,
       CAST(NULL AS VARCHAR) AS user_name
FROM files
WHERE path IN ('/var/log/btmp', '/var/log/faillog', '/var/log/tallylog') AND writes > 0
UNION ALL
SELECT COALESCE(\"end\", start) AS time, host, name AS proc_name, container_id,
       'exit code ' || CAST(exit_code AS VARCHAR) AS sign, cmdline, user_name
FROM processes
WHERE name IN ('unix_chkpwd', 'su', 'sudo', 'doas', 'login', 'passwd', 'sshd', 'sshd-session', 'kinit') AND exit_code > 0
ORDER BY time, proc_name";

"listening-ports" "Which processes listen where?"
"SELECT network.host, network.container_id, network.proc_name, processes.pid, processes.exepath, network.protocol,
       network.server_ip, network.server_port, network.first
FROM network LEFT JOIN processes ON network.upid = processes.upid
WHERE network.role = 'listener'
ORDER BY network.host, network.server_port, network.server_ip, network.proc_name";

"sudo-use" "Who became somebody else with sudo, su, doas, pkexec or runuser, to do what?"
"SELECT time, host, container_id, parent_name, user_name, login_name, tty, cmdline, result
FROM execs
WHERE (name IN ('sudo', 'su', 'doas', 'pkexec', 'runuser', 'newgrp', 'sudoedit') AND result = 'SUCCESS')
   OR parent_name IN ('sudo', 'su', 'doas', 'pkexec', 'runuser')
ORDER BY time, num";

"deleted-binaries" "Which programs ran although their file was removed in the same capture?"
"SELECT execs.time, execs.host, execs.container_id, execs.pid, execs.exepath, execs.cmdline, execs.user_name,
       files.proc_name AS removed_by, files.last AS removed
FROM execs JOIN files ON execs.capture = files.capture AND execs.exepath = files.path
WHERE execs.result = 'SUCCESS' AND execs.container_id = files.container_id AND files.unlinks > 0
ORDER BY execs.time, execs.num, files.last";

"memfd-exec" "Which programs ran from memory, without a file?"
"SELECT time, host, container_id, pid, parent_name, parent_cmdline, name, exepath, cmdline, user_name
FROM execs
WHERE result = 'SUCCESS' AND (is_exe_from_memfd OR exepath LIKE 'memfd:%' OR exepath LIKE '/memfd:%')
ORDER BY time, num";

"dropped-and-executed" "Which programs were written, and then run?"
"SELECT execs.time, execs.host, execs.container_id, execs.exepath, execs.cmdline, execs.user_name,
       files.proc_name AS written_by, files.first AS written
FROM execs JOIN files ON execs.capture = files.capture AND execs.exepath = files.path
WHERE execs.result = 'SUCCESS' AND execs.container_id = files.container_id AND execs.time >= files.first
  AND (files.writes > 0 OR files.created > 0 OR files.renames > 0)
ORDER BY execs.time, execs.num, files.first";

"suid-changes" "Which files were made setuid or setgid?"
"SELECT time, host, container_id, proc_name, user_name, type, args
FROM events
WHERE type IN ('chmod', 'fchmod', 'fchmodat', 'fchmodat2') AND res >= 0 AND args ~ 'S_ISUID|S_ISGID'
ORDER BY time, num";

"container-shells" "Which shells were started in containers, by what, and with a terminal?"
"SELECT execs.time, execs.host, execs.container_id, containers.name AS container_name, containers.image,
       containers.pod_name, execs.parent_name, execs.cmdline, execs.user_name, execs.tty
FROM execs LEFT JOIN containers ON execs.capture = containers.capture AND execs.container_id = containers.id
WHERE execs.container_id <> 'host' AND execs.result = 'SUCCESS'
  AND execs.name IN ('sh', 'bash', 'dash', 'zsh', 'ksh', 'ash', 'fish', 'csh', 'tcsh', 'busybox')
ORDER BY execs.time, execs.num";

"long-lived-connections" "Which connections were in use the longest?"
"SELECT host, proc_name, container_id, protocol, role, client_ip, client_port, server_ip, server_port,
       last - first AS duration, bytes_out, bytes_in, first
FROM network
WHERE role <> 'listener' AND protocol <> 'unix' AND last > first
ORDER BY duration DESC, proc_name, server_ip, server_port, client_port
LIMIT 50";

"rare-processes" "Which programs ran seldom?"
"SELECT exepath, COUNT(*) AS lives, COUNT(DISTINCT host) AS hosts, COUNT(DISTINCT container_id) AS containers,
       MIN(cmdline) AS example, MIN(start) AS first
FROM processes
WHERE exepath IS NOT NULL AND exepath <> ''
GROUP BY exepath
ORDER BY lives, exepath
LIMIT 50";

"sensitive-files" "Who opened passwords, keys, tokens and other processes' memory or environment, or tried to?"
"SELECT first, host, proc_name, container_id, path, opens, failed_opens, bytes_read
FROM files
WHERE opens + failed_opens > 0
  AND (path IN ('/etc/shadow', '/etc/gshadow', '/etc/sudoers', '/etc/shadow-', '/proc/kcore', '/dev/mem', '/dev/kmem')
    OR path ~ '^/proc/[0-9]+/(mem|environ|maps|auxv)$'
    OR path ~ '/\\.(aws/credentials|kube/config|docker/config\\.json|netrc|pgpass|git-credentials|npmrc|vault-token|gnupg/.*)$'
    OR path ~ '/\\.config/gcloud/'
    OR path ~ '/(id_rsa|id_dsa|id_ecdsa|id_ed25519|ssh_host_[a-z0-9]+_key)$'
    OR path ~ '^(/var)?/run/secrets/'
    OR path ~ '/(docker|containerd|crio)\\.sock$')
ORDER BY first, path, proc_name";

"dns-names" "Which names were looked up, by whom, and what was answered?"
"SELECT host, proc_name, query, type, COUNT(*) AS messages, COUNT(answer) AS answers, MIN(answer) AS example,
       MIN(server_ip) AS server, MIN(time) AS first
FROM dns
GROUP BY host, proc_name, query, type
ORDER BY first, query, type";

"ptrace-use" "Who looked into or changed other processes?"
"SELECT time, host, container_id, proc_name, pid, user_name, type, res, args
FROM events
WHERE type IN ('ptrace', 'process_vm_readv', 'process_vm_writev', 'process_madvise', 'pidfd_getfd')
   OR (type IN ('open', 'openat', 'openat2') AND res >= 0 AND fd_name ~ '^/proc/[0-9]+/mem$')
ORDER BY time, num";

"kernel-modules" "Which kernel modules and eBPF programs were loaded, or modules removed?"
"SELECT time, host, container_id, proc_name, pid, user_name, type, res, args
FROM events
WHERE type IN ('init_module', 'finit_module', 'delete_module', 'bpf', 'kexec_load', 'kexec_file_load')
ORDER BY time, num";

"privilege-changes" "Which processes changed their user or capabilities, or entered other namespaces?"
"SELECT time, host, container_id, proc_name, pid, user_name, type, res, args
FROM events
WHERE type IN ('setuid', 'setreuid', 'setresuid', 'setgid', 'setregid', 'setresgid', 'capset', 'setns', 'unshare', 'chroot', 'pivot_root', 'mount', 'umount', 'umount2')
ORDER BY time, num";

"log-tampering" "Who removed, emptied or renamed logs and histories?"
"SELECT time, host, container_id, proc_name, user_name, type, fd_name, res, args
FROM events
WHERE res >= 0
  AND ((type IN ('unlink', 'unlinkat', 'rename', 'renameat', 'renameat2', 'truncate', 'ftruncate') AND args ~ '/var/log/|_history|/wtmp|/utmp|/lastlog')
    OR (type IN ('open', 'openat', 'openat2', 'creat') AND args LIKE '%O_TRUNC%' AND fd_name ~ '^/var/log/|_history$'))
ORDER BY time, num";

"crashes" "Which processes were ended by a signal?"
"SELECT \"end\", host, container_id, pid, name, exepath, cmdline, exit_signal, user_name
FROM processes
WHERE exit_signal IS NOT NULL
ORDER BY \"end\", upid";

"busy-files" "Which files had the most bytes read and written?"
"SELECT host, container_id, path, SUM(bytes_read) AS bytes_read, SUM(bytes_written) AS bytes_written,
       COUNT(DISTINCT proc_name) AS programs, MIN(proc_name) AS example
FROM files
GROUP BY host, container_id, path
HAVING SUM(bytes_read) + SUM(bytes_written) > 0
ORDER BY bytes_read + bytes_written DESC, path
LIMIT 50";

"event-types" "How many events of each type are there, and how many failed?"
"SELECT type, category, COUNT(*) AS events, SUM(CASE WHEN res < 0 THEN 1 ELSE 0 END) AS failed
FROM events
GROUP BY type, category
ORDER BY events DESC, type";

"alerts-by-rule" (rules) "Which rules fired, how often, and where?"
"SELECT priority, severity, rule, COUNT(*) AS alerts, COUNT(DISTINCT host) AS hosts, COUNT(DISTINCT container_id) AS containers,
       MIN(time) AS first, MAX(time) AS last
FROM alerts
GROUP BY severity, priority, rule
ORDER BY severity, alerts DESC, rule";

"suspects" (rules) "Which processes have the most alerts on them?"
"SELECT processes.host, processes.pid, processes.name, processes.cmdline, processes.user_name, processes.container_name,
       processes.alerts, processes.start, COUNT(DISTINCT alerts.rule) AS rules, MIN(alerts.severity) AS severity
FROM processes JOIN alerts ON processes.upid = alerts.upid
GROUP BY processes.upid, processes.host, processes.pid, processes.name, processes.cmdline, processes.user_name, processes.container_name, processes.alerts, processes.start
ORDER BY severity, rules DESC, processes.upid";

"k8s-access" "Who ran commands in pods, read secrets or changed roles through the Kubernetes API?"
"SELECT time, \"user\", source_ips, user_agent, verb, resource, subresource, namespace, name, response_code
FROM k8s_audit
WHERE subresource IN ('exec', 'attach', 'portforward', 'ephemeralcontainers') OR resource = 'secrets'
   OR (resource IN ('roles', 'rolebindings', 'clusterroles', 'clusterrolebindings') AND verb IN ('create', 'update', 'patch', 'delete'))
ORDER BY time, num";

"losses" "What could the captures not show?"
"SELECT capture, counter, severity, origin, count, meaning
FROM ledger
ORDER BY capture, CASE severity WHEN 'data loss' THEN 0 WHEN 'error' THEN 1 ELSE 2 END, counter";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_one() {
        for (at, query) in QUERIES.iter().enumerate() {
            assert!(crate::sql::check(query.sql).is_ok(), "{}: {:?}", query.name, crate::sql::check(query.sql));
            assert!(QUERIES.iter().skip(at + 1).all(|other| other.name != query.name), "{}", query.name);
            assert!(query.question.ends_with(['?', '.']), "{}", query.name);
        }
    }

    #[test]
    fn near_names_are_told() {
        assert!(matches!(named("top-talker"), Err(Some("top-talkers"))));
        assert!(named("beacons").is_ok());
    }
}
