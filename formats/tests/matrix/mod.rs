//! The fault matrix: a `.scap.zst` damaged in every way that is thought of, and what `verify` and `salvage` make of it.
//!
//! Shared by the test `faults` (some places of each kind) and the example `faults`, which does all of it and writes the
//! table of `FAULTS.md`. What is intact is known here from the places that were touched, not from what the tools say.

#![allow(clippy::unwrap_used, unreachable_pub)] // a failed step fails the run; a module of two programs

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use casebook_formats::cli::run_to;
use casebook_formats::custody::Entry;
use casebook_formats::record::Kind;
use casebook_formats::seekable::pieces::{Pieces, What};
use casebook_formats::seekable::verify::{Wrong, verify};
use casebook_formats::seekable::{Options, SeekableWriter};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use rayon::prelude::*;

/// Numbers without a library: the sequence must be the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

/// A stretch of the whole file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Data,
    Record,
    Custody,
    Index,
    Seal,
    Table,
}

/// The file that is damaged, and what stands in it.
pub struct Whole {
    pub file: Vec<u8>,
    /// Parts in file order: what, from, to.
    parts: Vec<(Part, usize, usize)>,
    /// Events of each data frame, as the bytes of their blocks.
    events: Vec<Vec<Vec<u8>>>,
}

/// One damaged file: its bytes, and the frames that are untouched in it.
struct Trial {
    file: Vec<u8>,
    intact: BTreeSet<usize>,
    /// The last of them has no record that vouches for it.
    unvouched: bool,
}

/// A kind of damage.
pub struct Row {
    pub name: &'static str,
    /// What `verify` may say, and it has to say one of it.
    words: &'static [Wrong],
    trials: Vec<Trial>,
}

/// What came of all trials of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub times: usize,
    /// `verify` found something, and nothing but the right words.
    pub named: usize,
    /// `verify` counted the intact frames right.
    pub counted: usize,
    /// Events in intact frames, and how many of them `salvage` gave back.
    pub expected: usize,
    pub salvaged: usize,
    /// Events that `salvage` gave and that the whole file does not hold.
    pub invented: usize,
    /// Trials that went wrong, for people.
    pub wrong: Vec<String>,
}

/// A capture made for this: events on several threads, with numbers and paths.
pub fn synthetic(events: u64) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    let mut random = Random(7);
    for n in 0..events {
        let (fd, flags) = ((random.below(60) as i64).to_le_bytes(), 4097_u32.to_le_bytes());
        let path = format!("/srv/data/{:x}/{n}\0", random.below(1 << 30));
        let (ts, tid) = (1_790_000_000_000_000_000 + n * 1000, 100 + random.below(40) as i64);
        let written = match n % 3 {
            0 => writer.event(ts, tid, 0, ppme::PPME_SYSCALL_OPEN_X, &[&fd, path.as_bytes(), &flags]),
            _ => writer.event(ts, tid, 1, ppme::PPME_SYSCALL_FCHDIR_X, &[&fd, &n.to_le_bytes()]),
        };
        written.unwrap();
    }
    writer.into_inner().unwrap()
}

/// A plain capture as a `.scap.zst` with custody entries.
pub fn pack(plain: &[u8], frame_bytes: usize) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = SeekableWriter::new(Vec::new(), Options { frame_bytes, level: 3 }).unwrap();
    writer.write_all(plain).unwrap();
    let note = |text: &str| Entry { note: Some(text.to_owned()), ..Entry::new("record", "the fault matrix") };
    writer.custody(["one", "two", "three"].map(note));
    writer.finish().unwrap().0
}

impl Whole {
    pub fn new(file: Vec<u8>) -> Self {
        let mut parts = Vec::new();
        let mut events = Vec::new();
        let mut pieces = Pieces::new(&file[..]);
        while let Some(piece) = pieces.next_piece().unwrap() {
            let part = match piece.what {
                What::Data => {
                    events.push(event_blocks(&zstd::stream::decode_all(pieces.bytes()).unwrap()));
                    Part::Data
                }
                What::Own(Some(Kind::Record), _) => Part::Record,
                What::Own(Some(Kind::Custody), _) => Part::Custody,
                What::Own(Some(Kind::Index), _) => Part::Index,
                What::Own(Some(Kind::Seal), _) => Part::Seal,
                What::SeekTable => Part::Table,
                other => panic!("{other:?} in a whole file"),
            };
            let from = piece.offset as usize;
            parts.push((part, from, from + piece.len as usize));
        }
        Self { file, parts, events }
    }

    pub fn frames(&self) -> usize {
        self.events.len()
    }

    pub fn events(&self) -> usize {
        self.events.iter().map(Vec::len).sum()
    }

    /// Where all parts of a kind stand.
    fn places(&self, kind: Part) -> Vec<(usize, usize)> {
        self.parts.iter().filter(|(part, ..)| *part == kind).map(|&(_, from, to)| (from, to)).collect()
    }

    fn all(&self) -> BTreeSet<usize> {
        (0..self.frames()).collect()
    }

    /// All frames but those whose data this byte is in.
    fn all_but(&self, byte: usize) -> BTreeSet<usize> {
        let data = self.places(Part::Data);
        (0..data.len()).filter(|&frame| !(data[frame].0..data[frame].1).contains(&byte)).collect()
    }

    /// The file put together from stretches of it.
    fn of(&self, stretches: &[(usize, usize)]) -> Vec<u8> {
        stretches.iter().flat_map(|&(from, to)| &self.file[from..to]).copied().collect()
    }

    fn without(&self, (from, to): (usize, usize)) -> Vec<u8> {
        self.of(&[(0, from), (to, self.file.len())])
    }

    fn cut(&self, at: usize) -> Trial {
        let data = self.places(Part::Data);
        let intact: BTreeSet<usize> = (0..data.len()).filter(|&frame| data[frame].1 <= at).collect();
        let unvouched = intact.last().is_some_and(|&last| at < self.places(Part::Record)[last].1);
        Trial { file: self.file[..at].to_vec(), intact, unvouched }
    }

    fn flip(&self, at: usize, bit: usize) -> Trial {
        let mut file = self.file.clone();
        file[at] ^= 1 << bit;
        Trial { file, intact: self.all_but(at), unvouched: false }
    }

    /// One bit flipped, `times` times, somewhere in a part.
    fn flips(&self, part: Part, times: usize) -> Vec<Trial> {
        let (places, mut random) = (self.places(part), Random(part as u64 + 10));
        (0..times)
            .map(|_| {
                let (from, to) = places[random.below(places.len())];
                self.flip(from + random.below(to - from), random.below(8))
            })
            .collect()
    }

    /// The same done to each of some frames (data and record): what `change` makes of all their stretches.
    fn frames_changed(
        &self,
        step: usize,
        change: impl Fn(&mut Vec<(usize, usize)>, usize) -> Vec<usize>,
    ) -> Vec<Trial> {
        let pairs: Vec<(usize, usize)> = self
            .places(Part::Data)
            .iter()
            .zip(self.places(Part::Record))
            .map(|(data, record)| (data.0, record.1))
            .collect();
        let end = pairs.last().unwrap().1;
        (0..pairs.len())
            .step_by(step)
            .map(|at| {
                let mut stretches = pairs.clone();
                let lost = change(&mut stretches, at);
                stretches.push((end, self.file.len()));
                let intact = self.all().into_iter().filter(|frame| !lost.contains(frame)).collect();
                Trial { file: self.of(&stretches), intact, unvouched: false }
            })
            .collect()
    }

    /// Every kind of damage; `thorough`: at all places, else at some.
    pub fn rows(&self, thorough: bool) -> Vec<Row> {
        use Wrong::{Damaged, Foreign, Removed, Repeated, Swapped, Truncated};
        let (many, some, step) = if thorough { (1000, 100, 1) } else { (60, 20, 13) };
        let frames = self.frames();
        let (data, records) = (self.places(Part::Data), self.places(Part::Record));
        let row = |name, words, trials| Row { name, words, trials };
        let whole = |file: Vec<u8>| Trial { file, intact: self.all(), unvouched: false };
        let removed = |part| vec![whole(self.without(*self.places(part).last().unwrap()))];
        let mut random = Random(1);
        let mut anywhere = |times: usize| (0..times).map(|_| random.below(self.file.len())).collect::<Vec<_>>();
        let (cuts, flipped, holes) = (anywhere(many), anywhere(many), anywhere(some));
        let inserted = |at: usize, bytes: &[u8]| whole([&self.file[..at], bytes, &self.file[at..]].concat());
        let custody = self.places(Part::Custody);
        let twice = |(from, to): (usize, usize)| self.of(&[(0, to), (from, self.file.len())]);
        let other = Self::new(pack(&synthetic(self.events() as u64 / 2 + 1), 8000));
        let foreign = |frame: usize| {
            let strange = &other.file[other.places(Part::Data)[0].0..other.places(Part::Record)[0].1];
            let file = [&self.file[..data[frame].0], strange, &self.file[records[frame].1..]].concat();
            Trial { file, intact: self.all().into_iter().filter(|&kept| kept != frame).collect(), unvouched: false }
        };
        let own_first = [&0x184D_2A50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"note"].concat();
        vec![
            row(
                "cut at every boundary",
                &[Truncated],
                self.parts.iter().skip(1).step_by(step).map(|part| self.cut(part.1)).collect(),
            ),
            row("cut anywhere", &[Truncated], cuts.into_iter().map(|at| self.cut(at.max(1))).collect()),
            row("one bit flipped anywhere", &[Damaged], flipped.into_iter().map(|at| self.flip(at, at % 8)).collect()),
            row("one bit flipped in a frame record", &[Damaged], self.flips(Part::Record, some)),
            row("one bit flipped in a custody entry", &[Damaged], self.flips(Part::Custody, some)),
            row("one bit flipped in the index", &[Damaged], self.flips(Part::Index, some)),
            row("one bit flipped in the seal", &[Damaged], self.flips(Part::Seal, some)),
            row("one bit flipped in the seek table", &[Damaged], self.flips(Part::Table, some)),
            row(
                "100 bytes zeroed anywhere",
                &[Damaged, Removed, Truncated],
                holes.into_iter().map(|at| self.hole(at, 100)).collect(),
            ),
            row(
                "a frame removed with its record",
                &[Removed],
                self.frames_changed(step, |all, at| {
                    all.remove(at);
                    vec![at]
                }),
            ),
            row(
                "a frame repeated with its record",
                &[Repeated],
                self.frames_changed(step, |all, at| {
                    all.insert(at, all[at]);
                    vec![]
                }),
            ),
            row(
                "two frames swapped with their records",
                &[Swapped],
                self.frames_changed(step, |all, at| {
                    all.swap(at, (at + 5) % frames);
                    vec![]
                }),
            ),
            row(
                "the data of a frame removed",
                &[Removed],
                (0..frames)
                    .step_by(step)
                    .map(|at| Trial {
                        file: self.without(data[at]),
                        intact: self.all_but(data[at].0),
                        unvouched: false,
                    })
                    .collect(),
            ),
            row(
                "the record of a frame removed",
                &[Removed],
                (0..frames).step_by(step).map(|at| whole(self.without(records[at]))).collect(),
            ),
            row(
                "the data of two frames swapped",
                &[Swapped],
                (0..frames - 5)
                    .step_by(step)
                    .map(|at| {
                        whole(self.of(&[
                            (0, data[at].0),
                            data[at + 5],
                            (data[at].1, data[at + 5].0),
                            data[at],
                            (data[at + 5].1, self.file.len()),
                        ]))
                    })
                    .collect(),
            ),
            row(
                "a frame replaced by one of another file",
                &[Foreign, Damaged, Removed, Repeated],
                (1..frames).step_by(step).map(foreign).collect(),
            ),
            row(
                "somebody else's skippable frame put in",
                &[Foreign],
                (1..frames).step_by(step).map(|at| inserted(data[at].0, &own_first)).collect(),
            ),
            row(
                "a custody entry removed",
                &[Removed],
                custody.iter().map(|&place| whole(self.without(place))).collect(),
            ),
            row("a custody entry repeated", &[Repeated], custody.iter().map(|&place| whole(twice(place))).collect()),
            row(
                "two custody entries swapped",
                &[Swapped, Removed],
                vec![whole(self.of(&[(0, custody[0].0), custody[1], custody[0], (custody[1].1, self.file.len())]))],
            ),
            row("the index removed", &[Removed], removed(Part::Index)),
            row("the seal removed", &[Removed], removed(Part::Seal)),
            row("the seek table removed", &[Truncated], removed(Part::Table)),
        ]
    }

    fn hole(&self, at: usize, len: usize) -> Trial {
        let end = (at + len).min(self.file.len());
        let mut file = self.file.clone();
        file[at..end].fill(0);
        let data = self.places(Part::Data);
        let touched = |frame: &usize| data[*frame].0 < end && at < data[*frame].1;
        Trial { file, intact: (0..data.len()).filter(|frame| !touched(frame)).collect(), unvouched: false }
    }

    /// Does all trials of a row; files are written to `folder`.
    pub fn score(&self, row: &Row, folder: &Path) -> Score {
        let known = counted(self.events.iter().flatten());
        let scores =
            row.trials.par_iter().enumerate().map(|(number, trial)| self.try_one(row, number, trial, &known, folder));
        scores.reduce(Score::default, |mut sum, one| {
            sum.times += one.times;
            sum.named += one.named;
            sum.counted += one.counted;
            sum.expected += one.expected;
            sum.salvaged += one.salvaged;
            sum.invented += one.invented;
            sum.wrong.extend(one.wrong);
            sum
        })
    }

    fn try_one(&self, row: &Row, number: usize, trial: &Trial, known: &HashMap<&[u8], usize>, folder: &Path) -> Score {
        let mut score = Score { times: 1, ..Score::default() };
        let report = verify(&trial.file[..]).unwrap();
        let words: BTreeSet<&str> = report.faults.iter().map(|fault| fault.wrong.word()).collect();
        if !report.faults.is_empty() && report.faults.iter().all(|fault| row.words.contains(&fault.wrong)) {
            score.named = 1;
        } else {
            score.wrong.push(format!("{} {number}: verify says {words:?}: {:?}", row.name, report.faults));
        }
        if report.intact == (trial.intact.len() - usize::from(trial.unvouched)) as u64 {
            score.counted = 1;
        } else {
            score.wrong.push(format!(
                "{} {number}: {} intact, verify counts {}",
                row.name,
                trial.intact.len(),
                report.intact
            ));
        }
        let got = salvage(&trial.file, &folder.join(format!("{}-{number}", row.name.replace(['/', ' ', '\''], "-"))));
        let got = counted(got.iter());
        let expected = counted(trial.intact.iter().flat_map(|&frame| &self.events[frame]));
        score.expected = expected.values().sum();
        score.salvaged =
            expected.iter().map(|(event, &count)| got.get(event).map_or(0, |&there| there.min(count))).sum();
        score.invented =
            got.iter().map(|(event, &count)| count.saturating_sub(known.get(event).copied().unwrap_or(0))).sum();
        if row.name.contains("another file") {
            // The strange frame's own events are there too, and are no invention.
            score.invented = 0;
        }
        if score.salvaged < score.expected || score.invented > 0 {
            let (salvaged, expected, invented) = (score.salvaged, score.expected, score.invented);
            score
                .wrong
                .push(format!("{} {number}: {salvaged} of {expected} events salvaged, {invented} invented", row.name));
        }
        score
    }
}

fn counted<'e>(events: impl Iterator<Item = &'e Vec<u8>>) -> HashMap<&'e [u8], usize> {
    let mut counts = HashMap::new();
    for event in events {
        *counts.entry(event.as_slice()).or_default() += 1;
    }
    counts
}

/// The event blocks of a plain scap stream, byte by byte; libs' numbers of all event blocks.
fn event_blocks(plain: &[u8]) -> Vec<Vec<u8>> {
    let (mut blocks, mut at) = (Vec::new(), 0);
    while let Some(head) = plain.get(at..at + 8) {
        let number = u32::from_le_bytes(head[..4].try_into().unwrap());
        let len = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        if matches!(number, 0x204 | 0x208 | 0x216 | 0x217 | 0x221 | 0x222) {
            blocks.push(plain[at..at + len].to_vec());
        }
        at += len;
    }
    assert_eq!(at, plain.len());
    blocks
}

/// The events that `casebook salvage` gets out of a file.
fn salvage(file: &[u8], path: &Path) -> Vec<Vec<u8>> {
    std::fs::write(path, file).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    run_to(["casebook", "salvage", path.to_str().unwrap(), "--to", "scap"], &mut out, &mut err);
    std::fs::remove_file(path).unwrap();
    event_blocks(&out)
}
