//! Everything that an attacker names: a capture, rules, an audit log, indicators and packets, full of [`super::texts`].

use std::time::Duration;

use casebook_analyze::frames::utf8;
use casebook_fixtures::{Container, Endpoint, Exec, Proc, Trace, Value, flags};
use casebook_formats::tables::ppme;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};

use super::{file, texts};

/// Files of the world by what command lines call them.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    files: Vec<(&'static str, String)>,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        // A file may be called anything but `/`, and be 255 bytes long.
        let named = |ending: &str, bytes: &[u8]| {
            file(place, &format!("\u{1b}[31m\u{202e}<script>alert(1)<img src=x>|`\n=1+1 {ending}"), bytes)
        };
        let files = vec![
            ("CAPTURE", named("web.scap", &capture())),
            ("BENIGN", named("quiet.scap", &Trace::new("quiet").finish().unwrap())),
            ("RULES", named("rules.yaml", rules().as_bytes())),
            ("AUDIT", named("audit.json", audit().as_bytes())),
            ("IOC", named("list.txt", indicators().as_bytes())),
            ("PCAP", named("wire.pcap", &packets())),
            ("OUT", place.join("out").to_str().unwrap().to_owned()),
        ];
        Self { folder, files }
    }

    /// A command line with the names of files in their places.
    pub(super) fn args(&self, words: &[&str]) -> Vec<String> {
        let place = |word: &&str| self.files.iter().find(|(name, _)| name == word).map(|(_, path)| path.clone());
        words.iter().map(|word| place(word).unwrap_or_else(|| (*word).to_owned())).collect()
    }
}

/// A text for places where a capture or an interface takes UTF-8 of some length.
fn short(text: &[u8], length: usize) -> String {
    utf8(text).chars().filter(|c| *c != '\0').take(length).collect()
}

/// All texts as paths, programs, arguments, names of processes, users, containers, pods, sockets, hosts and DNS names.
fn capture() -> Vec<u8> {
    let all = texts();
    let nasty = |at: usize, length| short(&all[at % all.len()].1, length);
    let mut trace = Trace::new("host\u{1b}[1m\u{202e}|`<b>");
    for (uid, (_, text)) in (2000..).zip(&all) {
        let name = short(text, 60);
        trace.user(uid, &name, &format!("/home/{name}"), &format!("/bin/{name}"));
    }
    let shim = trace.process(Proc::new(10, "/usr/bin/containerd-shim"));
    for (at, (_, text)) in all.iter().enumerate() {
        let id = format!("{at:02x}").repeat(32);
        let container = Container::docker(&id, &nasty(at, 200), &nasty(at + 1, 200), &nasty(at + 2, 60));
        let container = container.in_pod(&nasty(at + 3, 60), &nasty(at + 4, 60), "uid");
        trace.container(&container);
        let inside = trace.enter(shim, &container);
        trace.setuid(inside, 2000 + at as u32, 0);
        let child = trace.fork(inside);
        let (name, long) = (short(text, 15), short(text, 60_000));
        let path = format!("/bin/{}", short(text, 4000));
        trace.exec(child, &Exec::new(&path).argv(&[&path, &long]).comm(&name).upper_layer());
        let raw: Vec<u8> = [b"/tmp/".as_slice(), text.split(|byte| *byte == 0).next().unwrap(), b"\0"].concat();
        let fd = 3_i64;
        trace.emit(
            child.0,
            ppme::PPME_SYSCALL_OPENAT_2_X,
            &[
                ("fd", fd.into()),
                ("dirfd", (-100_i64).into()),
                ("name", Value::Bytes(&raw)),
                ("flags", (flags::WRITE | flags::O_F_CREATED).into()),
            ],
        );
        trace.write(child, fd, text);
        trace.connect_unix(child, &format!("/run/{}", short(text, 90)));
        let here = Endpoint::new("10.0.0.5", 40_000 + at as u16);
        let socket = trace.connect(child, here, Endpoint::new("203.0.113.9", 443));
        trace.write(child, socket, text).read(child, socket, text);
        let asked = trace.send_datagram(child, here, Endpoint::new("10.0.0.2", 53), &question(text));
        trace.read(child, asked, &answer(text));
        trace.wait_ms(1).exit(child, 0);
    }
    trace.finish().unwrap()
}

/// A DNS question for a name whose first label is a text.
fn question(text: &[u8]) -> Vec<u8> {
    let label = &text[..text.len().min(60)];
    let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.len() as u8];
    bytes.extend(label);
    bytes.extend(b"\x04evil\x00\x00\x01\x00\x01");
    bytes
}

fn answer(text: &[u8]) -> Vec<u8> {
    let mut bytes = question(text);
    bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9]);
    bytes
}

/// A rule a text, named and tagged so.
fn rules() -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut all = String::new();
    for (at, (_, text)) in texts().into_iter().enumerate() {
        let text: String = short(&text, 300).replace(['%', '\u{feff}'], "");
        let events = if at % 2 == 0 { "execve" } else { "openat" };
        let output = quoted(&format!("{text} %proc.name %proc.cmdline %fd.name %container.name"));
        let (name, tags) = (quoted(&format!("rule {at} {text}")), quoted(&text.replace(',', "")));
        let rule = format!(
            "- rule: {name}\n  desc: {name}\n  condition: evt.type = {events}\n  output: {output}\n  \
             priority: WARNING\n  tags: [mitre_execution, T1059, {tags}]\n"
        );
        all.push_str(&rule);
    }
    all
}

/// A request a text, by a user called so.
fn audit() -> String {
    let mut lines = String::new();
    for (_, text) in texts() {
        let text = short(&text, 500);
        let request = serde_json::json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": text, "stage": "ResponseComplete", "verb": "create",
            "requestURI": format!("/api/v1/namespaces/{text}/pods/{text}/exec?command={text}"),
            "user": { "username": text, "groups": [text] }, "sourceIPs": [text], "userAgent": text,
            "objectRef": { "resource": "pods", "namespace": text, "name": text, "subresource": "exec" },
            "responseStatus": { "code": 403, "reason": text }, "stageTimestamp": "2026-03-02T09:00:00.000000Z",
        });
        lines.push_str(&request.to_string());
        lines.push('\n');
    }
    lines
}

/// Indicators that occur, and some that are called as nobody should be.
fn indicators() -> String {
    "203.0.113.9\n/tmp/\u{1b}[31mred\nplain\n10.0.0.0/8\n<script>alert(1)</script>.example\n".to_owned()
}

/// A packet of the first connection.
fn packets() -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 5, 203, 0, 113, 9]);
    frame.extend(40_000_u16.to_be_bytes());
    frame.extend(443_u16.to_be_bytes());
    frame.resize(54, 0);
    let header =
        PcapHeader { ts_resolution: TsResolution::NanoSecond, datalink: DataLink::ETHERNET, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    let when = Duration::from_nanos(Trace::new("h").now());
    writer.write_packet(&PcapPacket::new(when, frame.len() as u32, &frame)).unwrap();
    writer.into_writer()
}
