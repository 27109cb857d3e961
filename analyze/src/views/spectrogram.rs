//! `spectrogram`: how long calls took, as a heat map of time against latency.
//!
//! Events with a known latency from [`super::walk`] → counts by slice of time and decade of latency → rows of cells.
//! Latency is known where a capture holds both halves of a call: old captures do, today's hold exit halves only. How
//! many events could be drawn is said, so that an empty map is not taken for a quiet system.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use casebook_formats::terminal::Safe;
use casebook_replay::cli::Exit;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Position;
use casebook_replay::fields::Catalogue;
use casebook_replay::summary::iso_time;
use casebook_rules::event::{EventFields as _, Extracted};
use casebook_rules::schema::FieldRef;
use casebook_rules::value::Value;
use clap::Args;
use serde_json::json;

use super::walk::{Look, WalkArgs, say, walk};
use crate::print::text::json_line;

/// Columns of a decade of latency.
const COLUMNS_A_DECADE: usize = 6;
/// From 100 ns, below which no call ends, to 100 s.
const DECADES: usize = 9;
const SHORTEST: f64 = 100.0;
const COLUMNS: usize = COLUMNS_A_DECADE * DECADES;
/// Slices of time that are kept; a capture decides how long it is, so slices are joined in pairs when it is longer.
const MAX_SLICES: usize = 4096;
/// Rows that are drawn unless `--slice` says otherwise.
const ROWS: u64 = 40;
/// More rows without calls than these become one line.
const QUIET_ROWS: u64 = 3;

/// Options of `spectrogram`.
#[derive(Args, Debug)]
pub struct SpectrogramArgs {
    #[command(flatten)]
    walk: WalkArgs,

    /// Milliseconds of a row [default: such that about 40 rows come out]
    #[arg(long, value_name = "MS")]
    slice: Option<u64>,

    /// JSON: counts by row and column instead of a picture
    #[arg(long)]
    json: bool,

    /// No colours, also on a terminal
    #[arg(long)]
    no_color: bool,
}

/// Runs `spectrogram`; `terminal` says whether somebody looks at `out`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &SpectrogramArgs, out: &mut dyn Write, err: &mut dyn Write, terminal: bool) -> io::Result<Exit> {
    if args.slice == Some(0) {
        say(err, "--slice 0: a row has to last some time")?;
        return Ok(Exit::Usage);
    }
    let Ok(latency) = Catalogue::new().parse("syscall", "evt.latency") else {
        say(err, "the field evt.latency is missing in the catalogue")?;
        return Ok(Exit::Usage);
    };
    let mut map =
        Drawing { args, latency: latency.clone(), colour: terminal && !args.no_color, out, heat: Heat::default() };
    let exit = walk(&args.walk, &mut map, err)?;
    map.out.flush()?;
    Ok(exit)
}

/// Counts of one capture.
#[derive(Default)]
struct Heat {
    name: String,
    first: u64,
    /// Duration of a slice, ns.
    slice: u64,
    slices: BTreeMap<u64, [u32; COLUMNS]>,
    known: u64,
    unknown: u64,
}

impl Heat {
    fn add(&mut self, ts: u64, latency: u64) {
        let mut at = ts.saturating_sub(self.first) / self.slice;
        while at >= MAX_SLICES as u64 {
            self.halve();
            at = ts.saturating_sub(self.first) / self.slice;
        }
        let cells = self.slices.entry(at).or_insert([0; COLUMNS]);
        let cell = &mut cells[column(latency)];
        *cell = cell.saturating_add(1);
        self.known += 1;
    }

    /// Twice as long slices, half as many.
    fn halve(&mut self) {
        self.slice = self.slice.saturating_mul(2);
        for (at, cells) in std::mem::take(&mut self.slices) {
            let joined = self.slices.entry(at / 2).or_insert([0; COLUMNS]);
            for (sum, count) in joined.iter_mut().zip(cells) {
                *sum = sum.saturating_add(count);
            }
        }
    }

    /// Joins slices until they fit `rows`.
    fn shrink(&mut self, rows: u64) {
        while self.slices.last_key_value().is_some_and(|(last, _)| *last >= rows) {
            self.halve();
        }
    }
}

/// Column of a latency in nanoseconds.
fn column(latency: u64) -> usize {
    let decades = (latency.max(1) as f64 / SHORTEST).log10();
    ((decades * COLUMNS_A_DECADE as f64).max(0.0) as usize).min(COLUMNS - 1)
}

struct Drawing<'d> {
    args: &'d SpectrogramArgs,
    latency: FieldRef,
    colour: bool,
    out: &'d mut dyn Write,
    heat: Heat,
}

impl Look for Drawing<'_> {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        // A millisecond to begin with: `shrink` makes of it what fits.
        let slice = self.args.slice.map_or(1_000_000, |ms| ms.saturating_mul(1_000_000));
        self.heat = Heat { name: name.to_owned(), slice, ..Heat::default() };
        Ok(())
    }

    fn event(&mut self, context: &EventContext<'_>) -> io::Result<()> {
        if self.heat.first == 0 {
            self.heat.first = context.event.ts;
        }
        match context.extract(&self.latency) {
            Extracted::One(Value::U64(latency)) if latency > 0 => self.heat.add(context.event.ts, latency),
            _ => self.heat.unknown += 1,
        }
        Ok(())
    }

    fn end(&mut self, _: &Position) -> io::Result<()> {
        if self.args.slice.is_none() {
            self.heat.shrink(ROWS);
        }
        if self.args.json { self.json() } else { self.picture() }
    }
}

impl Drawing<'_> {
    fn json(&mut self) -> io::Result<()> {
        let heat = &self.heat;
        let rows: Vec<_> = heat
            .slices
            .iter()
            .map(|(at, cells)| json!({ "time": iso_time(heat.first + at * heat.slice), "counts": cells.to_vec() }))
            .collect();
        let bounds: Vec<u64> =
            (0..COLUMNS).map(|at| (SHORTEST * 10f64.powf(at as f64 / COLUMNS_A_DECADE as f64)) as u64).collect();
        let object = json!({
            "capture": heat.name,
            "slice_ns": heat.slice,
            "latency_from_ns": bounds,
            "events": heat.known,
            "events_without_latency": heat.unknown,
            "rows": rows,
        });
        writeln!(self.out, "{}", json_line(&object))
    }

    fn picture(&mut self) -> io::Result<()> {
        let Heat { name, known, unknown, slice, .. } = &self.heat;
        let total = known + unknown;
        writeln!(self.out, "{}: latency of {known} of {total} events is known", Safe(name.as_bytes()))?;
        if *known == 0 {
            return writeln!(self.out, "  (latency needs both halves of a call; this capture holds exit halves only)");
        }
        writeln!(self.out, "  rows of {}, columns of latency; {}", duration(*slice), self.legend())?;
        write!(self.out, "{:>15} ", "")?;
        for decade in ["100ns", "1us", "10us", "100us", "1ms", "10ms", "100ms", "1s", "10s"] {
            write!(self.out, "{decade:<COLUMNS_A_DECADE$}")?;
        }
        writeln!(self.out)?;
        let most = self.heat.slices.values().flatten().copied().max().unwrap_or(1);
        let mut next = 0;
        for (at, cells) in std::mem::take(&mut self.heat.slices) {
            self.quiet(next..at)?;
            let row: String = cells.iter().map(|count| cell(*count, most, self.colour)).collect();
            writeln!(self.out, "{:>15} {}", self.time(at), row.trim_end())?;
            next = at + 1;
        }
        Ok(())
    }

    /// Rows without calls; many of them are told in one line.
    fn quiet(&mut self, rows: Range<u64>) -> io::Result<()> {
        if rows.end - rows.start > QUIET_ROWS {
            return writeln!(self.out, "{:>15} ({} rows without calls)", "...", rows.end - rows.start);
        }
        for at in rows {
            writeln!(self.out, "{:>15}", self.time(at))?;
        }
        Ok(())
    }

    /// Time of day of a row, to the millisecond: the day stands in no row.
    fn time(&self, at: u64) -> String {
        let time = iso_time(self.heat.first.saturating_add(at * self.heat.slice));
        time.get(11..23).unwrap_or(&time).to_owned()
    }

    /// What the cells mean, from few to many.
    fn legend(&self) -> String {
        let cells: String = (1..=LEVELS.len()).map(|level| drawn(level, self.colour)).collect();
        format!("few {cells} many")
    }
}

/// Characters and colours (of the 256 of a terminal) from few to many.
const LEVELS: [(char, u8); 7] = [('.', 22), (':', 28), ('-', 34), ('+', 220), ('*', 214), ('#', 202), ('@', 196)];

/// A cell, by the logarithm of its count: one call among millions still shows.
fn cell(count: u32, most: u32, colour: bool) -> String {
    if count == 0 {
        return " ".to_owned();
    }
    let share = f64::from(count).ln_1p() / f64::from(most).ln_1p();
    drawn(((share * LEVELS.len() as f64).ceil() as usize).clamp(1, LEVELS.len()), colour)
}

/// Level 1 is the lowest.
fn drawn(level: usize, colour: bool) -> String {
    let (character, shade) = LEVELS[level - 1];
    if colour { format!("\x1b[48;5;{shade}m \x1b[0m") } else { character.to_string() }
}

fn duration(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} us", ns / 1000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_have_their_columns() {
        for (latency, at) in [(0, 0), (100, 0), (1_000, 6), (1_000_000, 24), (99_000_000_000, 53), (u64::MAX, 53)] {
            assert_eq!(column(latency), at, "{latency}");
        }
    }

    #[test]
    fn slices_are_joined_when_a_capture_is_long() {
        let mut heat = Heat { first: 1, slice: 10, ..Heat::default() };
        for ts in 0..100_000 {
            heat.add(ts, 500);
        }
        heat.shrink(40);
        assert!(heat.slices.len() <= 40);
        assert_eq!(heat.slices.values().flatten().map(|count| u64::from(*count)).sum::<u64>(), 100_000);
    }

    #[test]
    fn rare_calls_show_beside_frequent_ones() {
        assert_eq!(cell(0, 1_000_000, false), " ");
        assert_eq!(cell(1, 1_000_000, false), ".");
        assert_eq!(cell(1_000_000, 1_000_000, false), "@");
    }
}
