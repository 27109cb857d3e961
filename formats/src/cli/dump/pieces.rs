//! The file itself, as FORMAT.md describes it: every frame, and our skippable frames field by field.
//!
//! [`RECORD`] and its relatives are that page's tables; a body that does not end where its layout ends is shown to.

use std::io::Write;

use super::super::args::DumpArgs;
use super::super::exit::Exit;
use super::super::{say, time};
use super::page::{Page, number};
use crate::record::{Kind, hex};
use crate::seekable::pieces::{Piece, Pieces, What};
use crate::source;

/// How a field is encoded (FORMAT.md, "Encoding").
enum Enc {
    Number,
    /// A number of ns since 1970; 0: none.
    Time,
    Flag,
    Byte,
    Bytes,
    /// A set of event types.
    Types,
    Text,
    Hash,
    /// Fixed, without encoding: 64 bytes.
    Signature,
    List(Layout),
    Maybe(&'static Enc),
}

type Layout = &'static [(&'static str, Enc)];

const LOSSES: Layout = &[("cause", Enc::Text), ("count", Enc::Number)];

const RECORD: Layout = &[
    ("sequence", Enc::Number),
    ("raw offset", Enc::Number),
    ("raw length", Enc::Number),
    ("packed length", Enc::Number),
    ("events", Enc::Number),
    ("delivered", Enc::Number),
    ("delivered before", Enc::Number),
    ("numbering", Enc::Byte),
    ("earliest", Enc::Time),
    ("latest", Enc::Time),
    ("irregular", Enc::Flag),
    ("snapshots", Enc::Flag),
    ("types", Enc::Types),
    ("threads", Enc::Bytes),
    ("containers", Enc::Maybe(&Enc::Bytes)),
    ("carried", Enc::Maybe(&Enc::List(&[("distance", Enc::Number)]))),
    ("losses", Enc::List(LOSSES)),
    ("digest", Enc::Hash),
    ("previous", Enc::Hash),
];

const CUSTODY: Layout = &[
    ("operation", Enc::Text),
    ("tool", Enc::Text),
    ("by", Enc::Maybe(&Enc::Text)),
    ("at", Enc::Maybe(&Enc::Time)),
    ("note", Enc::Maybe(&Enc::Text)),
    ("parents", Enc::List(&[("length", Enc::Number), ("SHA-256", Enc::Hash), ("root", Enc::Maybe(&Enc::Hash))])),
    ("previous", Enc::Hash),
];

const INDEX_ENTRY: Layout = &[
    ("offset", Enc::Number),
    ("packed length", Enc::Number),
    ("record length", Enc::Number),
    ("raw length", Enc::Number),
    ("events", Enc::Number),
    ("delivered", Enc::Number),
    ("numbering", Enc::Byte),
    ("earliest", Enc::Time),
    ("latest", Enc::Time),
    ("irregular", Enc::Flag),
    ("snapshots", Enc::Flag),
    ("stands alone", Enc::Flag),
    ("types", Enc::Types),
    ("digest", Enc::Hash),
    ("check", Enc::Hash),
];

const SEAL: Layout = &[
    ("frames", Enc::Number),
    ("raw length", Enc::Number),
    ("packed length", Enc::Number),
    ("events", Enc::Number),
    ("earliest", Enc::Time),
    ("latest", Enc::Time),
    ("losses", Enc::List(LOSSES)),
    ("root", Enc::Hash),
    ("index", Enc::Hash),
    ("seek table", Enc::Hash),
    ("key", Enc::Maybe(&Enc::Signature)),
];

/// Runs the subcommand with `--pieces`.
pub(super) fn run(args: &DumpArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let name = args.capture.display().to_string();
    let mut pieces = match source::open(&args.capture) {
        Ok((input, _)) => Pieces::new(input),
        Err(error) => {
            say(err, &format!("{name}: {error}"));
            return Exit::Unreadable;
        }
    };
    let mut page = Page::new(args.raw);
    let (mut count, mut frames, mut is_ours, mut broken) = (0, 0_u64, false, false);
    while args.count.is_none_or(|limit| count < limit) {
        let piece = match pieces.next_piece() {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => {
                say(err, &format!("{name}: {error}"));
                return Exit::Unreadable;
            }
        };
        is_ours |= matches!(piece.what, What::Own(..));
        broken |= matches!(piece.what, What::Unusable(_) | What::Stray | What::Cut);
        Walk { page: &mut page, offset: piece.offset, bytes: pieces.bytes(), at: 0 }.piece(&piece, frames);
        frames += u64::from(piece.what == What::Data);
        page.text.push('\n');
        count += 1;
        if let Err(error) = page.write(out) {
            return Exit::of_output(&error);
        }
    }
    match out.flush() {
        Err(error) => Exit::of_output(&error),
        Ok(()) if !is_ours && args.count.is_none() => {
            say(err, &format!("{name}: no .scap.zst: none of its pieces is ours"));
            Exit::Unreadable
        }
        Ok(()) if broken => Exit::Incomplete,
        Ok(()) => Exit::Complete,
    }
}

/// A piece being shown.
struct Walk<'p, 'b> {
    page: &'p mut Page,
    /// Place of the piece in the file.
    offset: u64,
    bytes: &'b [u8],
    at: usize,
}

impl Walk<'_, '_> {
    fn piece(&mut self, piece: &Piece, frames: u64) {
        match piece.what {
            What::Data => self.data(frames),
            What::Own(kind, _) => self.own(kind),
            What::SeekTable => self.seek_table(),
            What::Unusable(error) => self.rest(&format!("a piece of ours that cannot be used: {error}")),
            What::Skippable => self.rest("somebody else's skippable frame"),
            What::Stray => self.rest("bytes that are no frame"),
            What::Cut => self.rest("the beginning of a frame; the file ends in it"),
        }
    }

    /// Shows so many bytes, or what there is.
    fn show(&mut self, len: usize, meaning: impl FnOnce(&[u8]) -> String) -> Option<()> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len())?;
        let bytes = &self.bytes[self.at..end];
        self.page.field(self.offset + self.at as u64, bytes, &meaning(bytes));
        self.at = end;
        Some(())
    }

    fn rest(&mut self, meaning: &str) {
        let _ = self.show(self.bytes.len() - self.at, |_| meaning.to_owned());
    }

    fn data(&mut self, frames: u64) {
        let descriptor = self.bytes.get(4).copied().unwrap_or_default();
        let header = crate::seekable::zstd_header_len(descriptor).unwrap_or(5);
        let checksum = if descriptor & 4 == 0 { 0 } else { 4 };
        let total = self.bytes.len();
        let blocks = total.saturating_sub(header + checksum);
        let _ = self
            .show(4, |_| format!("data frame {frames}: zstd, {total} bytes"))
            .and_then(|()| self.show(1, |bytes| format!("descriptor: 0x{:02x}", number(bytes))))
            .and_then(|()| self.show(header - 5, |_| "window and content size".to_owned()))
            .and_then(|()| self.show(blocks, |_| "compressed blocks".to_owned()))
            .and_then(
                |()| if checksum > 0 { self.show(4, |_| "checksum of the content".to_owned()) } else { Some(()) },
            );
    }

    fn own(&mut self, kind: Option<Kind>) {
        let (title, layout) = match kind {
            Some(Kind::Record) => ("frame record", RECORD),
            Some(Kind::Custody) => ("custody entry", CUSTODY),
            Some(Kind::Index) => ("index", INDEX_ENTRY),
            Some(Kind::Seal) => ("seal", SEAL),
            None => ("piece of a kind of the future", &[][..]),
        };
        let end = self.bytes.len().saturating_sub(32);
        let _ = self
            .show(4, |_| format!("{title}: skippable frame"))
            .and_then(|()| self.show(4, |bytes| format!("length: {}", number(bytes))))
            .and_then(|()| self.show(4, |_| "mark: CSBK".to_owned()))
            .and_then(|()| self.show(1, |bytes| format!("kind: {}", char::from(bytes[0]).escape_default())))
            .and_then(|()| self.show(1, |bytes| format!("version: {}", number(bytes))));
        if kind == Some(Kind::Index) {
            let _ = self.show(8, |bytes| format!("frames: {}", number(bytes)));
            let mut entry = 0_u64;
            while self.at < end && self.fields(&format!("entry {entry}, "), layout).is_some() {
                entry += 1;
            }
        } else {
            let _ = self.fields("", layout);
        }
        if self.at < end {
            let _ = self.show(end - self.at, |_| "not in the layout".to_owned());
        }
        let _ = self.show(32, |bytes| format!("check: BLAKE3 {}", hex(bytes)));
    }

    fn fields(&mut self, head: &str, layout: Layout) -> Option<()> {
        layout.iter().try_for_each(|(name, enc)| self.field(&format!("{head}{name}"), enc))
    }

    fn field(&mut self, name: &str, enc: &Enc) -> Option<()> {
        match enc {
            Enc::Number => self.number(name, |value| value.to_string()).map(|_| ()),
            Enc::Time => {
                self.number(name, |value| {
                    if value == 0 { "none".to_owned() } else { format!("{value} = {}", time::utc(value)) }
                })
                .map(|_| ())
            }
            Enc::Flag | Enc::Byte => self.show(1, |bytes| format!("{name}: {}", number(bytes))),
            Enc::Bytes => {
                let len = self.number(&format!("{name}, length"), |value| value.to_string())?;
                self.some(len, |_| format!("{name}: Bloom filter"))
            }
            Enc::Types => {
                let len = self.number(&format!("{name}, length"), |value| value.to_string())?;
                self.some(len, |bytes| format!("{name}: {}", types(bytes)))
            }
            Enc::Text => {
                let len = self.number(&format!("{name}, length"), |value| value.to_string())?;
                self.some(len, |bytes| format!("{name}: {}", super::page::texts(bytes)))
            }
            Enc::Hash => self.show(32, |bytes| format!("{name}: {}", hex(bytes))),
            Enc::Signature => self.show(96, |_| format!("{name} and signature")),
            Enc::List(layout) => {
                let count = self.number(&format!("{name}, number"), |value| value.to_string())?;
                (0..count).try_for_each(|at| self.fields(&format!("{name} {at}, "), layout))
            }
            Enc::Maybe(enc) => {
                let is_there = self.bytes.get(self.at).copied()? != 0;
                self.show(1, |_| format!("{name}: {}", if is_there { "follows" } else { "none" }))?;
                if is_there { self.field(name, enc) } else { Some(()) }
            }
        }
    }

    /// So many bytes; nothing is shown of none.
    fn some(&mut self, len: u64, meaning: impl FnOnce(&[u8]) -> String) -> Option<()> {
        if len == 0 { Some(()) } else { self.show(usize::try_from(len).ok()?, meaning) }
    }

    /// A number of one byte, or of two, four or eight after a byte that says so.
    fn number(&mut self, name: &str, meaning: impl FnOnce(u64) -> String) -> Option<u64> {
        let first = self.bytes.get(self.at).copied()?;
        let more = match first {
            251 => 2,
            252 => 4,
            253 => 8,
            _ => 0,
        };
        let value = if more == 0 { u64::from(first) } else { number(self.bytes.get(self.at + 1..self.at + 1 + more)?) };
        self.show(1 + more, |_| format!("{name}: {}", meaning(value)))?;
        Some(value)
    }

    fn seek_table(&mut self) {
        let entries = self.bytes.len().saturating_sub(17) / 8;
        let _ = self
            .show(4, |_| "seek table: skippable frame".to_owned())
            .and_then(|()| self.show(4, |bytes| format!("length: {}", number(bytes))));
        for entry in 0..entries {
            let _ = self
                .show(4, |bytes| format!("frame {entry} of the file, length: {}", number(bytes)))
                .and_then(|()| self.show(4, |bytes| format!("its content: {}", number(bytes))));
        }
        let _ = self
            .show(4, |bytes| format!("entries: {}", number(bytes)))
            .and_then(|()| self.show(1, |bytes| format!("descriptor: 0x{:02x}", number(bytes))))
            .and_then(|()| self.show(4, |_| "magic number of seek tables".to_owned()));
    }
}

/// Event types of a set, by number.
fn types(bytes: &[u8]) -> String {
    let numbers = (0_usize..)
        .zip(bytes)
        .flat_map(|(at, byte)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| 8 * at + bit));
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}
