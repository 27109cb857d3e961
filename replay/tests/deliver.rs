//! Delivery: alerts to servers of our own that take, refuse, break and sleep; what arrives, what is counted, what is said.
#![allow(clippy::unwrap_used)] // sockets and files of the tests

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use casebook_replay::cli::Exit;
use program::{Answer, within};
use serde_json::Value as Json;

/// Alerts of the built-in example.
const ALERTS: usize = 31;

fn run(options: &[&str]) -> Answer {
    within(&[&["--example"], options].concat())
}

/// The alerts and summary without delivery, as JSON lines.
fn alerts() -> Vec<Json> {
    let run = run(&["--output", "json"]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.err);
    run.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|it: &Json| it["rule"] != Json::Null)
        .collect()
}

/// What the summary says about the one target.
fn report(run: &Answer) -> Json {
    let last: Json = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    last["summary"]["deliveries"][0].clone()
}

/// A web server: `answer` says what each request gets, by its number; `None` closes the connection. Bodies come out.
fn server(answer: impl Fn(usize) -> Option<&'static str> + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (bodies, received) = channel();
    thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming() {
            serve(stream.unwrap(), &bodies, &mut number, &answer);
        }
    });
    (address, received)
}

fn serve(
    stream: TcpStream,
    bodies: &Sender<String>,
    number: &mut usize,
    answer: &impl Fn(usize) -> Option<&'static str>,
) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut output = stream;
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while input.read_line(&mut line).unwrap_or(0) > 2 {
            head.push_str(&line.to_ascii_lowercase());
            line.clear();
        }
        if head.is_empty() {
            return;
        }
        assert!(head.starts_with("post / http/1.1") && head.contains("content-type: application/json"), "{head}");
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
        input.read_exact(&mut body).unwrap();
        *number += 1;
        let Some(status) = answer(*number - 1) else { return };
        if status.starts_with("200") {
            bodies.send(String::from_utf8(body).unwrap()).unwrap();
        }
        let head = if let Some((status, more)) = status.split_once('|') {
            format!("HTTP/1.1 {status}\r\n{more}\r\n")
        } else {
            format!("HTTP/1.1 {status}\r\n")
        };
        write!(output, "{head}Content-Length: 0\r\n\r\n").unwrap();
    }
}

#[test]
fn a_webhook_gets_every_alert_in_falcos_json_and_in_order() {
    let (address, received) = server(|_| Some("200 OK"));
    let run = run(&["--output", "json", "--deliver", &address]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.err);
    let got: Vec<Json> = received.try_iter().map(|body| serde_json::from_str(&body).unwrap()).collect();
    assert_eq!(got, alerts());
    // What falcosidekick's handler asks of a payload.
    for alert in &got {
        for member in ["output", "priority", "rule", "time", "output_fields", "source", "hostname", "tags"] {
            assert!(alert.get(member).is_some(), "{member}");
        }
    }
    assert_eq!(report(&run)["delivered"], ALERTS);
    // What the output shows does not depend on where alerts are sent.
    let silent = self::run(&["--output", "json"]);
    assert_eq!(run.out.lines().take(ALERTS).collect::<Vec<_>>(), silent.out.lines().take(ALERTS).collect::<Vec<_>>());
    assert!(!silent.out.contains("deliveries") && !run.out.contains('\0'));
}

#[test]
fn the_summary_in_words_names_the_target_but_no_secret() {
    let (address, _received) = server(|_| Some("200 OK"));
    let run = run(&["--deliver", &address]);
    assert!(run.out.ends_with(&format!("Deliveries:\n   {address}: 31 delivered\n")), "{}", run.out);
    let secret = self::run(&["--deliver", "http://user:pass@127.0.0.1:1/s3cr3t?key=1", "--deliver-attempts", "1"]);
    assert!(secret.out.contains("   http://127.0.0.1:1: 0 delivered, 31 failed"), "{}", secret.out);
    assert!(!(secret.out + &secret.err).contains("s3cr3t"));
}

#[test]
fn overload_and_errors_of_the_server_are_tried_again() {
    let answers = ["429 Too Many|Retry-After: 0\r", "500 Oops", "200 OK", "503 Later", "200 OK"];
    let (address, received) = server(move |n| answers.get(n).copied().map_or(Some("200 OK"), Some));
    let run = run(&["--output", "json", "--deliver", &address]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.err);
    assert_eq!(received.try_iter().count(), ALERTS);
    let report = report(&run);
    assert_eq!((&report["delivered"], &report["retries"]), (&ALERTS.into(), &3.into()), "{report}");
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let (address, received) = server(|n| (n != 3).then_some("200 OK"));
    let run = run(&["--output", "json", "--deliver", &address]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.err);
    assert_eq!(received.try_iter().count(), ALERTS);
}

#[test]
fn what_the_server_refuses_for_good_is_not_tried_again() {
    let (address, received) = server(|n| Some(if n == 5 { "400 Bad Request" } else { "200 OK" }));
    let run = run(&["--output", "json", "--deliver", &address]);
    assert_eq!(run.exit, Exit::Undelivered, "{}", run.err);
    assert_eq!(received.try_iter().count(), ALERTS - 1);
    let report = report(&run);
    assert_eq!((&report["refused"], &report["retries"]), (&1.into(), &0.into()), "{report}");
    assert_eq!(report["error"], "the server answers 400 Bad Request");
}

#[test]
fn where_nobody_listens_the_replay_goes_on_and_says_so() {
    let begin = Instant::now();
    let run = run(&["--output", "json", "--deliver", "http://127.0.0.1:1", "--deliver-attempts", "2"]);
    assert_eq!(run.exit, Exit::Undelivered);
    assert_eq!(run.out.lines().count(), ALERTS + 1);
    assert_eq!(report(&run)["failed"], ALERTS, "{}", report(&run));
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_full_queue_of_a_failing_target_drops_and_counts() {
    let (address, _received) = server(|_| Some("503 Never"));
    let options = ["--deliver-queue", "4", "--deliver-attempts", "3"];
    let run = run(&[&["--output", "json", "--deliver", &address], &options[..]].concat());
    assert_eq!(run.exit, Exit::Undelivered);
    let report = report(&run);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert!(count("overflowed") > 0, "{report}");
    assert_eq!(count("delivered") + count("failed") + count("overflowed"), ALERTS as u64, "{report}");
}

#[test]
fn a_slow_target_makes_the_replay_wait_and_loses_nothing() {
    let (address, received) = server(|_| {
        thread::sleep(Duration::from_millis(15));
        Some("200 OK")
    });
    let run = run(&["--output", "json", "--deliver", &address, "--deliver-queue", "1"]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.out);
    assert_eq!(received.try_iter().count(), ALERTS);
}

#[test]
fn patience_ends() {
    let (address, _received) = server(|_| Some("503 Never"));
    let begin = Instant::now();
    let options = ["--deliver-attempts", "1000", "--deliver-patience", "1"];
    let run = run(&[&["--output", "json", "--deliver", &address], &options[..]].concat());
    assert_eq!((run.exit, &report(&run)["failed"]), (Exit::Undelivered, &ALERTS.into()));
    assert!(begin.elapsed() < Duration::from_secs(15));
}

/// The first and the last alert as syslog messages begin.
fn is_syslog(first: &str, last: &str) {
    assert!(first.starts_with("<10>1 2026-03-02T09:00:10.218750Z node-7 casebook - alert [casebook@32473 rule=\"Shell started by a web server\" source=\"syscall\" tags=\""), "{first}");
    assert!(first.contains("] \u{feff}09:00:10.218750000: Critical Shell started by a web server ("), "{first}");
    assert!(last.starts_with('<') && last.contains("casebook@32473"), "{last}");
}

#[test]
fn syslog_by_datagrams() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let run = run(&["--deliver", &format!("udp://{}", socket.local_addr().unwrap())]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.err);
    let mut buffer = vec![0; 70_000];
    let messages: Vec<String> = (0..ALERTS)
        .map(|_| {
            let n = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..n].to_vec()).unwrap()
        })
        .collect();
    is_syslog(&messages[0], &messages[ALERTS - 1]);
}

#[test]
fn syslog_by_a_connection_has_lengths_in_front() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let collector = thread::spawn(move || {
        let mut all = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
        all
    });
    let run = run(&["--deliver", &address]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.err);
    let all = collector.join().unwrap();
    let (mut rest, mut messages) = (&all[..], Vec::new());
    while !rest.is_empty() {
        let blank = rest.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&rest[..blank]).unwrap().parse().unwrap();
        messages.push(String::from_utf8(rest[blank + 1..=blank + length].to_vec()).unwrap());
        rest = &rest[blank + 1 + length..];
    }
    assert_eq!(messages.len(), ALERTS);
    is_syslog(&messages[0], &messages[ALERTS - 1]);
}

#[test]
fn syslog_by_a_local_socket_and_a_file_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("log"), folder.path().join("alerts.jsonl"));
    let socket = UnixDatagram::bind(&path).unwrap();
    // The kernel keeps few datagrams: somebody has to read.
    let collector = thread::spawn(move || {
        let mut buffer = vec![0; 70_000];
        (0..ALERTS)
            .map(|_| socket.recv(&mut buffer).map(|n| String::from_utf8(buffer[..n].to_vec()).unwrap()).unwrap())
            .collect::<Vec<_>>()
    });
    fs::write(&file, "{\"before\":1}\n").unwrap();
    let (unix, to_file) = (format!("unix:{}", path.display()), format!("file:{}", file.display()));
    let run = run(&["--deliver", &unix, "--deliver", &to_file]);
    assert_eq!(run.exit, Exit::Complete, "{}", run.err);
    let messages = collector.join().unwrap();
    is_syslog(&messages[0], &messages[ALERTS - 1]);
    let lines = fs::read_to_string(&file).unwrap();
    let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["before"].as_u64(), &lines[1..]), (Some(1), &alerts()[..]), "what was there stays");
}

#[test]
fn what_is_no_target_is_refused_before_anything_is_replayed() {
    for target in ["localhost:2801", "ftp://x", "https://"] {
        let run = run(&["--deliver", target]);
        assert_eq!((run.exit, run.out.as_str()), (Exit::Usage, ""), "{}", run.err);
    }
    let run = run(&["--deliver", "file:/nowhere/at/all.jsonl"]);
    assert_eq!(run.exit, Exit::Output);
    assert!(run.err.contains("file:/nowhere/at/all.jsonl: No such file"), "{}", run.err);
}
