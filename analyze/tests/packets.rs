//! `packets` end to end: a packet file beside the built-in example incident.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use casebook_analyze::cli;
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
