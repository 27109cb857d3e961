//! `casebook-analyze sql` as people use it.

use std::process::ExitCode;

use super::{analyze, csv, file, incident};

#[test]
fn the_question_may_come_last_or_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "a.scap", &incident::capture());
    let query = "select name, exit_code from processes where name = 'sudo' order by upid";
    let asked = file(folder.path(), "q.sql", query.as_bytes());
    let expected = "name,exit_code\r\nsudo,1\r\nsudo,0\r\n";
    for args in [vec![capture.as_str(), query], vec!["-c", query, &capture], vec!["-f", &asked, &capture]] {
        let mut all = vec!["sql", "--no-cache", "--format", "csv"];
        all.extend(args);
        let (code, out, err) = analyze(&all);
        assert_eq!((code, String::from_utf8(out).unwrap().as_str(), err.as_str()), (ExitCode::SUCCESS, expected, ""));
    }
}

#[test]
fn lives_have_a_start_an_end_and_a_parent() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "a.scap", &incident::capture());
    let told = csv(
        &[&capture],
        "SELECT p.name, q.name AS parent, p.from_snapshot AS old, p.start IS NULL AS unstarted, p.\"end\" IS NULL AS alive, \
         p.exit_code, p.exit_signal FROM processes p LEFT JOIN processes q ON p.parent_upid = q.upid \
         WHERE p.name IN ('systemd', 'bash', 'job', 'stage2', 'sh') ORDER BY p.upid",
    );
    let expected = "name,parent,old,unstarted,alive,exit_code,exit_signal\n\
                    systemd,,true,true,true,,\n\
                    bash,sshd,true,true,true,,\n\
                    sh,nginx,false,false,false,0,\n\
                    stage2,bash,false,false,false,0,\n\
                    job,cron,false,false,false,,11\n";
    assert_eq!(told, expected);
}

#[test]
fn a_pid_that_is_used_again_is_another_life() {
    use casebook_fixtures::{Proc, Trace};
    let mut trace = Trace::new("h");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    let first = trace.spawn(shell, "/bin/a", &["a"]);
    trace.exit(first, 1).wait_ms(10);
    let second = trace.spawn(shell, "/bin/b", &["b"]);
    trace.exit(second, 2);
    // The story's kernel counts on; this one gives the same number out again.
    let bytes = trace.finish().unwrap();
    let (old, new) = (second.0.to_le_bytes(), first.0.to_le_bytes());
    let mut again = bytes.clone();
    for at in 0..again.len() - 8 {
        if again[at..at + 8] == old {
            again[at..at + 8].copy_from_slice(&new);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "a.scap", &again);
    let told =
        csv(&[&capture], &format!("SELECT name, exit_code FROM processes WHERE pid = {} ORDER BY upid", first.0));
    assert_eq!(told, "name,exit_code\na,1\nb,2\n");
}

#[test]
fn lives_of_several_captures_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(folder.path(), "a.scap", &incident::capture());
    let second = file(folder.path(), "b.scap", &incident::capture());
    let told = csv(&[&first, &second], "SELECT COUNT(*) AS n, COUNT(DISTINCT upid) AS lives FROM processes");
    let one = csv(&[&first], "SELECT COUNT(*) * 2 AS n, COUNT(DISTINCT upid) * 2 AS lives FROM processes");
    assert_eq!(told, one);
    let joined = csv(
        &[&first, &second],
        "SELECT COUNT(*) AS n FROM execs e JOIN processes p ON e.upid = p.upid WHERE e.capture <> p.capture",
    );
    assert_eq!(joined, "n\n0\n");
}

#[test]
fn wrong_names_cost_no_replay_and_are_told() {
    // The capture does not exist: the query is refused before it is looked for.
    let (code, _, err) = analyze(&["sql", "gone.scap", "select nmae from processes"]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("did you mean name?"), "{err}");
    let (code, _, err) = analyze(&["sql", "gone.scap", "--saved", "beacon"]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("did you mean beacons?"), "{err}");
    let (code, _, err) = analyze(&["sql", "-c", "select 1 from events"]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("no capture"), "{err}");
}

#[test]
fn what_cannot_be_read_is_said_and_has_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = incident::capture();
    let whole = file(folder.path(), "whole.scap", &bytes);
    let cut = file(folder.path(), "cut.scap", &bytes[..bytes.len() - 5]);
    let text = file(folder.path(), "notes.txt", b"no capture");
    let query = "select complete, events > 0 as events, note is null as fine from captures";
    let (code, out, err) = analyze(&["sql", "--no-cache", "--format", "csv", &whole, &cut, &text, query]);
    assert_eq!(code, ExitCode::from(4));
    let rows = "complete,events,fine\r\ntrue,true,true\r\nfalse,true,false\r\nfalse,false,false\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), rows);
    assert!(err.contains("notes.txt") && err.contains("cut.scap"), "{err}");
    let (code, ..) = analyze(&["sql", "--no-cache", &cut, query]);
    assert_eq!(code, ExitCode::from(5));
}

#[test]
fn rows_without_room_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "a.scap", &incident::capture());
    let query = "select count as n from ledger where counter = 'tables_full'";
    let asked = ["sql", "--no-cache", "--format", "csv", "--limit-memory", "4K", &capture];
    let mut args = asked.to_vec();
    args.push("select count(*) as n, count(args) as a from events");
    let (code, out, err) = analyze(&args);
    let kept: u64 = String::from_utf8(out).unwrap().lines().nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(code, ExitCode::from(5));
    assert!(err.contains("had no room for"), "{err}");
    let all: u64 = csv(&[&capture], "select count(*) as n from events").lines().nth(1).unwrap().parse().unwrap();
    assert!(kept < all);
    let mut args = asked.to_vec();
    // The rows of events are made as they are named, whatever becomes of them.
    let with_events = format!("with e as (select count(args) as n from events) {query}");
    args.push(&with_events);
    let (_, out, _) = analyze(&args);
    assert_eq!(String::from_utf8(out).unwrap(), format!("n\r\n{}\r\n", all - kept));
}

#[test]
fn audit_logs_are_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let log = file(folder.path(), "audit.json", incident::AUDIT.as_bytes());
    let told = csv(&[&log], "SELECT verb, \"user\", groups, source_ips, subresource, response_code FROM k8s_audit");
    let expected = "verb,user,groups,source_ips,subresource,response_code\n\
                    create,mallory,(devs),\"198.51.100.4,10.0.0.1\",exec,101\n";
    assert_eq!(told, expected);
    assert_eq!(csv(&[&log], "SELECT format, host FROM captures"), "format,host\naudit log,\n");
}

#[test]
fn files_are_what_other_tools_read() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "a.scap", &incident::capture());
    for name in ["rows.parquet", "rows.arrow", "rows.jsonl", "rows.csv"] {
        let path = folder.path().join(name);
        let output = path.to_str().unwrap();
        let (code, out, err) =
            analyze(&["sql", "--no-cache", &capture, "-o", output, "select upid, name, start, alerts from processes"]);
        assert_eq!((code, out.len(), err.as_str()), (ExitCode::SUCCESS, 0, ""), "{name}");
        let rows = match name {
            "rows.parquet" => {
                let file = std::fs::File::open(&path).unwrap();
                let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
                reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum()
            }
            "rows.arrow" => {
                let file = std::fs::File::open(&path).unwrap();
                let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
                reader.map(|batch| batch.unwrap().num_rows()).sum()
            }
            "rows.jsonl" => std::fs::read_to_string(&path).unwrap().lines().count(),
            _ => std::fs::read_to_string(&path).unwrap().lines().count() - 1,
        };
        let counted = csv(&[&capture], "select count(*) as n from processes");
        assert_eq!(format!("n\n{rows}\n"), counted, "{name}");
    }
}

#[test]
fn an_audit_log_beside_a_capture_tells_the_kubernetes_user() {
    use casebook_fixtures::{Container, Proc, Trace};
    let mut trace = Trace::new("node1");
    let runtime = trace.process(Proc::new(300, "/usr/bin/runc"));
    let web = Container::docker(&"ab".repeat(32), "web", "nginx", "1").in_pod("shop", "web-0", "6a1d");
    trace.process(Proc::new(400, "/usr/sbin/nginx").inside(&web, 1));
    trace.container(&web);
    trace.wait_ms(1_050);
    let shell = trace.enter(runtime, &web);
    trace.execve(shell, "/proc/self/exe", &["/proc/self/exe", "init"]);
    trace.execve(shell, "/bin/sh", &["sh"]);
    trace.spawn(shell, "/usr/bin/id", &["id"]);
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "node1.scap", &trace.finish().unwrap());
    let log = file(folder.path(), "audit.json", incident::AUDIT.as_bytes());
    let query = "SELECT name, k8s_user_name FROM processes WHERE container_id <> 'host' ORDER BY upid";
    assert_eq!(csv(&[&capture, &log], query), "name,k8s_user_name\nnginx,\nsh,mallory\nid,mallory\n");
    assert_eq!(csv(&[&capture], query), "name,k8s_user_name\nnginx,\nsh,\nid,\n");
}

#[test]
fn links_are_made_where_they_are_and_directories_are_only_opened() {
    use casebook_fixtures::{Proc, Trace, flags};
    let mut trace = Trace::new("h");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    trace.symlink(shell, "/etc/shadow", "/tmp/soft").link(shell, "/etc/shadow", "/tmp/hard").mkdir(shell, "/tmp/new");
    // As recorders tell it: the bit of `O_DIRECTORY` is one of `O_TMPFILE`.
    trace.open(shell, "/etc", flags::READ | flags::O_DIRECTORY | (1 << 13));
    trace.create(shell, "/tmp/file");
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "a.scap", &trace.finish().unwrap());
    let told = csv(&[&capture], "SELECT path, created FROM files ORDER BY path");
    assert_eq!(told, "path,created\n/etc,0\n/tmp/file,1\n/tmp/hard,1\n/tmp/new,1\n/tmp/soft,1\n");
}
