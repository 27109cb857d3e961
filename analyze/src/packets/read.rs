//! Packet files: pcap and pcapng, plain, gzip or zstd.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

use super::link::{Packet, ends};

/// Packets that are kept; a row takes about 100 bytes.
pub const MAX_PACKETS: usize = 4_000_000;

/// The packets of some files.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    /// Names of the files.
    pub files: Vec<String>,
    /// The packets that have ends, file by file.
    pub list: Vec<Packet>,
    /// Packets that are no IP, or cut off before their ports.
    pub others: u64,
    /// Packets that found no room.
    pub left_out: u64,
    /// Files that broke off, and why.
    pub damage: Vec<String>,
}

/// Why a file is no packet file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ReadError {
    path: String,
    message: String,
}

/// Reads files one after the other.
///
/// # Errors
///
/// The first file that is missing or no packet file. One that breaks off later keeps what came before.
pub fn read(paths: &[PathBuf]) -> Result<Packets, ReadError> {
    let mut packets = Packets::default();
    for path in paths {
        let name = path.to_string_lossy().into_owned();
        packets.files.push(name.clone());
        one(path, &mut packets).map_err(|message| ReadError { path: name, message })?;
    }
    Ok(packets)
}

fn one(path: &Path, packets: &mut Packets) -> Result<(), String> {
    let mut file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start).map_err(|error| error.to_string())?;
    let input = std::io::Cursor::new(start.clone()).chain(file);
    match start.as_slice() {
        [0x1F, 0x8B, ..] => unpacked(flate2::read::MultiGzDecoder::new(input), packets),
        [0x28, 0xB5, 0x2F, 0xFD] => {
            unpacked(zstd::stream::read::Decoder::new(input).map_err(|error| error.to_string())?, packets)
        }
        _ => unpacked(input, packets),
    }
}

fn unpacked(mut input: impl Read, packets: &mut Packets) -> Result<(), String> {
    let mut start = Vec::new();
    input.by_ref().take(4).read_to_end(&mut start).map_err(|error| error.to_string())?;
    let is_ng = start == [0x0A, 0x0D, 0x0D, 0x0A];
    let input = std::io::Cursor::new(start).chain(input);
    if is_ng { pcapng(input, packets) } else { pcap(input, packets) }
}

fn pcap(input: impl Read, packets: &mut Packets) -> Result<(), String> {
    let mut reader = PcapReader::new(input).map_err(|error| format!("no pcap or pcapng file: {error}"))?;
    let link = reader.header().datalink;
    let mut number = 0;
    while let Some(packet) = reader.next_packet() {
        number += 1;
        match packet {
            Ok(packet) => {
                let time = i64::try_from(packet.timestamp.as_nanos()).unwrap_or(i64::MAX);
                packets.push(number, time, packet.orig_len, link, &packet.data);
            }
            Err(error) => {
                packets.broke_off(number, &error);
                break;
            }
        }
    }
    Ok(())
}

fn pcapng(input: impl Read, packets: &mut Packets) -> Result<(), String> {
    let mut reader = PcapNgReader::new(input).map_err(|error| format!("no pcapng file: {error}"))?;
    // Link and nanoseconds of a unit of time of each interface of the section.
    let mut interfaces: Vec<(DataLink, f64)> = Vec::new();
    let mut number = 0;
    while let Some(block) = reader.next_block() {
        match block {
            Ok(Block::SectionHeader(_)) => interfaces.clear(),
            Ok(Block::InterfaceDescription(interface)) => {
                let resolution = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
                    _ => None,
                });
                interfaces.push((interface.linktype, unit(resolution.unwrap_or(6))));
            }
            Ok(Block::EnhancedPacket(packet)) => {
                number += 1;
                let Some((link, unit)) = interfaces.get(packet.interface_id as usize) else {
                    packets.others += 1;
                    continue;
                };
                // The library hands on units of the interface as if they were nanoseconds.
                let units = packet.timestamp.as_nanos();
                let time = scaled(units, *unit);
                packets.push(number, time, packet.original_len, *link, &packet.data);
            }
            Ok(_) => {}
            Err(error) => {
                packets.broke_off(number + 1, &error);
                break;
            }
        }
    }
    Ok(())
}

/// Nanoseconds of a unit, from the option `if_tsresol`: a power of ten, or of two with the highest bit.
fn unit(resolution: u8) -> f64 {
    let exponent = i32::from(resolution & 0x7F);
    if resolution & 0x80 == 0 { 10f64.powi(9 - exponent) } else { 1e9 / 2f64.powi(exponent) }
}

/// Exact for units that are whole nanoseconds, which are all in use.
fn scaled(units: u128, unit: f64) -> i64 {
    let ns = if unit >= 1.0 { units.saturating_mul(unit as u128) } else { (units as f64 * unit) as u128 };
    i64::try_from(ns).unwrap_or(i64::MAX)
}

impl Packets {
    fn push(&mut self, number: u64, time: i64, length: u32, link: DataLink, data: &[u8]) {
        match ends(link, data) {
            None => self.others += 1,
            Some(_) if self.list.len() >= MAX_PACKETS => self.left_out += 1,
            Some(ends) => {
                let file = self.files.len().saturating_sub(1) as u32;
                self.list.push(Packet { file, number, time, length, ends });
            }
        }
    }

    fn broke_off(&mut self, number: u64, error: &PcapError) {
        let file = self.files.last().cloned().unwrap_or_default();
        self.damage.push(format!("{file}: packet {number}: {error}; what came before is kept"));
    }
}
