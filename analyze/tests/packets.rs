//! `packets` end to end: a packet file beside the built-in example incident.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use casebook_analyze::cli;
use casebook_fixtures::{Endpoint, Proc, Trace};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::{DataLink, TsResolution};
use serde_json::Value as Json;

/// 2026-03-02T09:00:33.2235Z, when `curl` talks to its server.
const WHEN: u64 = 1_772_442_033_223_500_000;

/// An Ethernet frame with IPv4 and TCP.
fn frame(source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    bytes.extend(source.0);
    bytes.extend(destination.0);
    bytes.extend(source.1.to_be_bytes());
    bytes.extend(destination.1.to_be_bytes());
    bytes.resize(54, 0);
    bytes
}

/// There and back of curl's connection, another one that no capture knows, and the same ends a day later.
fn frames() -> Vec<(u64, Vec<u8>)> {
    let (pod, server) = (([10, 244, 1, 17], 38200), ([203, 0, 113, 66], 80));
    let day = 86_400_000_000_000;
    vec![
        (WHEN, frame(pod, server)),
        (WHEN + 1_000_000, frame(server, pod)),
        (WHEN, frame(([192, 0, 2, 1], 1), ([192, 0, 2, 2], 2))),
        (WHEN + day, frame(pod, server)),
        (WHEN, vec![0; 60]),
    ]
}

fn pcap() -> Vec<u8> {
    let header = PcapHeader { ts_resolution: TsResolution::NanoSecond, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (time, frame) in frames() {
        writer.write_packet(&PcapPacket::new(Duration::from_nanos(time), frame.len() as u32, &frame)).unwrap();
    }
    writer.into_writer()
}

/// Times in microseconds, which is what the format means by default.
fn pcapng(options: Vec<InterfaceDescriptionOption<'static>>, unit: u64) -> Vec<u8> {
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0xFFFF, options };
    writer.write_pcapng_block(interface).unwrap();
    for (time, frame) in frames() {
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            // The library writes the number as it is.
            timestamp: Duration::from_nanos(time / unit),
            original_len: frame.len() as u32,
            data: frame.into(),
            options: Vec::new(),
        };
        writer.write_pcapng_block(packet).unwrap();
    }
    writer.into_inner()
}

fn run(args: &[&str]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(std::iter::once(&"casebook-analyze").chain(args), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn packets_belong_to_the_process_of_their_connection() {
    let folder = tempfile::tempdir().unwrap();
    let zipped = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let forms = [
        ("a.pcap", pcap()),
        ("a.pcap.gz", zipped(&pcap())),
        ("us.pcapng", pcapng(Vec::new(), 1_000)),
        ("ns.pcapng", pcapng(vec![InterfaceDescriptionOption::IfTsResol(9)], 1)),
    ];
    for (name, bytes) in forms {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let query = "SELECT number, proc_name, container_id, src_port, length, time FROM packets ORDER BY number";
        let args = ["packets", "--example", "--packets", path.to_str().unwrap(), "--query", query, "--format", "jsonl"];
        let (code, out, err) = run(&args);
        assert_eq!(code, ExitCode::SUCCESS, "{name}: {err}");
        assert!(err.contains("1 packets are no IP"), "{name}: {err}");
        let rows: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let owners: Vec<&Json> = rows.iter().map(|row| &row["proc_name"]).collect();
        let curl = &Json::from("curl");
        assert_eq!(owners, [curl, curl, &Json::Null, &Json::Null], "{name}: {out}");
        assert_eq!(rows[0]["container_id"], "7f3a90c41be2", "{name}");
        assert_eq!(rows[0]["time"], "2026-03-02T09:00:33.223500000Z", "{name}");
    }
}

/// An Ethernet frame with IPv6 and TCP.
fn frame_v6(source: (&str, u16), destination: (&str, u16)) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([0x86, 0xDD, 0x60, 0, 0, 0, 0, 20, 6, 64]);
    for (address, _) in [source, destination] {
        bytes.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    bytes.extend(source.1.to_be_bytes());
    bytes.extend(destination.1.to_be_bytes());
    bytes.resize(74, 0);
    bytes
}

/// A capture in which `curl` talks to a server on the same host, by IPv6, and to one behind address translation, by IPv4;
/// the moment of it.
fn local() -> (Vec<u8>, u64) {
    let mut trace = Trace::new("web1");
    let server = trace.process(Proc::new(100, "/usr/sbin/nginx"));
    let client = trace.process(Proc::new(200, "/usr/bin/curl"));
    let ends = (Endpoint::new("fd00::5", 40_000), Endpoint::new("fd00::9", 443));
    let ask = trace.connect(client, ends.0, ends.1);
    trace.accept(server, ends.0, ends.1);
    trace.write(client, ask, b"hello");
    let when = trace.now();
    trace.connect(client, Endpoint::new("172.17.0.2", 40_001), Endpoint::new("198.51.100.7", 80));
    (trace.finish().unwrap(), when)
}

/// The files of [`local`]: the capture, and what was on the wire as pcap and pcapng.
fn local_files(folder: &std::path::Path) -> (String, [String; 2]) {
    let (capture, when) = local();
    let (client, server) = (("fd00::5", 40_000), ("fd00::9", 443));
    let wire = [
        frame_v6(client, server),
        frame_v6(server, client),
        // Outside of the host, the container's address is the host's.
        frame(([203, 0, 113, 1], 40_001), ([198, 51, 100, 7], 80)),
    ];
    let header = PcapHeader { ts_resolution: TsResolution::NanoSecond, ..PcapHeader::default() };
    let mut pcap = PcapWriter::with_header(Vec::new(), header).unwrap();
    let mut pcapng = PcapNgWriter::new(Vec::new()).unwrap();
    let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0xFFFF, options: Vec::new() };
    pcapng.write_pcapng_block(interface).unwrap();
    for frame in &wire {
        pcap.write_packet(&PcapPacket::new(Duration::from_nanos(when), frame.len() as u32, frame)).unwrap();
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(when / 1_000),
            original_len: frame.len() as u32,
            data: frame.into(),
            options: Vec::new(),
        };
        pcapng.write_pcapng_block(packet).unwrap();
    }
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    (file("web1.scap", &capture), [file("wire.pcap", &pcap.into_writer()), file("wire.pcapng", &pcapng.into_inner())])
}

#[test]
fn each_side_owns_what_it_sent_and_translated_addresses_have_no_owner() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, wires) = local_files(folder.path());
    for wire in &wires {
        let query = "SELECT number, proc_name, to_server, client_ip, server_port FROM packets ORDER BY number";
        let (code, out, err) = run(&["packets", "--packets", wire, &capture, "--query", query, "--format", "csv"]);
        assert_eq!(code, ExitCode::SUCCESS, "{err}");
        let expected = "number,proc_name,to_server,client_ip,server_port\r\n\
                        1,curl,true,fd00::5,443\r\n\
                        2,nginx,false,fd00::5,443\r\n\
                        3,,true,203.0.113.1,80\r\n";
        assert_eq!(out, expected, "{wire}");
        assert!(err.contains("1 of 3 packets have no owner") && err.contains("NAT"), "{err}");
    }
}

#[test]
fn packets_are_a_table_of_sql_that_joins_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, wires) = local_files(folder.path());
    let join = "SELECT processes.pid, packets.length, network.bytes_out, packets.time > network.first AS later FROM packets \
                JOIN network ON packets.upid = network.upid AND packets.client_ip = network.client_ip AND \
                packets.client_port = network.client_port AND packets.server_ip = network.server_ip AND \
                packets.server_port = network.server_port JOIN processes ON packets.upid = processes.upid \
                ORDER BY packets.number";
    let args = ["sql", "--no-cache", "-q", "--packets", &wires[0], &capture, join, "--format", "csv"];
    let (code, out, err) = run(&args);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    assert_eq!(out, "pid,length,bytes_out,later\r\n200,74,5,true\r\n100,74,0,true\r\n");
    let (code, out, err) = run(&["sql", "--no-cache", &capture, "SELECT * FROM packets", "--format", "csv"]);
    assert_eq!((code, out.lines().count()), (ExitCode::SUCCESS, 1));
    assert!(err.contains("--packets"), "{err}");
    let (code, _, err) = run(&["packets", "--packets", &wires[0], &capture, "--query", "SELECT lenght FROM packets"]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("did you mean length?"), "{err}");
}

#[test]
fn files_that_are_cut_off_keep_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    let bytes = pcap();
    std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let (code, out, err) = run(&["packets", "--example", "--packets", path.to_str().unwrap(), "--format", "jsonl"]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    assert!(err.contains("what came before is kept") && out.contains("\"curl\""), "{err}");
    std::fs::write(&path, b"no packets").unwrap();
    let (code, _, err) = run(&["packets", "--example", "--packets", path.to_str().unwrap()]);
    assert_eq!(code, ExitCode::from(2), "{err}");
}
