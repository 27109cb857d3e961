//! The figures of `formats/BENCH.md`, measured on a capture of your own.
//!
//! ```text
//! cargo run --release -p casebook-formats --example figures -- CAPTURE.scap [FOLDER]
//! ```
//!
//! CAPTURE is plain scap; FOLDER (the system's temporary one by default) needs room for half its size. Every row is the
//! median of three runs; CPU seconds are those of the process and its children, in steps of 10 ms. The commands `zstd`,
//! `gzip` and `wc` have to be there.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::seekable::verify::verify;
use casebook_formats::seekable::{Options, SeekableFile, SeekableWriter, Selection};
use casebook_formats::tables::ppme;

type Outcome = Result<(), Box<dyn Error>>;

/// Wall and CPU seconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

/// CPU seconds of this process and of the children that have ended.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 to 17 in ticks of 10 ms; the name before them may hold blanks and ends with a parenthesis.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The run of median CPU time among three.
fn measure(mut run: impl FnMut() -> Outcome) -> Result<Cost, Box<dyn Error>> {
    let mut costs = Vec::new();
    for _ in 0..3 {
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        run()?;
        costs.push(Cost { wall: wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu });
    }
    costs.sort_by(|one, two| one.cpu.total_cmp(&two.cpu));
    Ok(costs[1])
}

fn command(program: &str, args: &[&str], file: &Path, out: Stdio) -> Outcome {
    let status = Command::new(program).args(args).arg(file).stdout(out).status()?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}").into()) }
}

/// Reads to the end; how many events.
fn drain(mut reader: CaptureReader) -> Result<u64, Box<dyn Error>> {
    let mut events = 0;
    while let Some(item) = reader.next_item()? {
        events += u64::from(matches!(item, Item::Event(_)));
    }
    Ok(events)
}

fn seekable(path: &Path) -> Result<SeekableFile, Box<dyn Error>> {
    Ok(SeekableFile::open(path)?.ok_or("not seekable")?)
}

fn write(plain: &Path, target: &Path, threads: usize) -> Outcome {
    let mut writer = SeekableWriter::with_threads(BufWriter::new(File::create(target)?), Options::default(), threads)?;
    std::io::copy(&mut File::open(plain)?, &mut writer)?;
    writer.finish()?;
    Ok(())
}

struct Table {
    raw: f64,
    base: f64,
}

impl Table {
    fn row(&self, name: &str, cost: Cost) -> Outcome {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "| {name} | {:.2} | {:.2} | {:.0} | {:.2} |",
            cost.cpu,
            cost.wall,
            self.raw / 1e6 / cost.wall,
            cost.cpu / self.base
        )?;
        Ok(())
    }
}

fn main() -> Outcome {
    let mut args = std::env::args_os().skip(1);
    let plain = PathBuf::from(args.next().ok_or("usage: figures CAPTURE.scap [FOLDER]")?);
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut out = std::io::stdout();
    let place = |ending: &str| folder.join(format!("figures-{}{ending}", std::process::id()));
    let (ours, zst, gz) = (place(".scap.zst"), place(".zst"), place(".gz"));
    let result = figures(&plain, [&ours, &zst, &gz], &mut out);
    for path in [&ours, &zst, &gz] {
        // What was not written need not be removed.
        let _ = std::fs::remove_file(path);
    }
    result
}

fn figures(plain: &Path, [ours, zst, gz]: [&Path; 3], out: &mut impl Write) -> Outcome {
    let len = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.len());
    // Once around, so that the file is in memory.
    command("wc", &["-c"], plain, Stdio::null())?;
    let zstd_3 = measure(|| command("zstd", &["-3", "-q", "-c"], plain, File::create(zst)?.into()))?;
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    command("gzip", &["-6", "-c"], plain, File::create(gz)?.into())?;
    let gzip_6 = Cost { wall: wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu };
    let two = measure(|| write(plain, ours, 2))?;
    let one = measure(|| write(plain, ours, 1))?;

    let raw = len(plain)? as f64;
    writeln!(out, "| size | bytes | of plain |\n|---|---|---|")?;
    for (name, path) in [("plain", plain), ("gzip -6", gz), ("zstd -3", zst), (".scap.zst", ours)] {
        let bytes = len(path)?;
        writeln!(out, "| {name} | {bytes} | {:.1} % |", bytes as f64 * 100.0 / raw)?;
    }
    let frames = seekable(ours)?.frames().len();
    let unpack = measure(|| command("zstd", &["-dc", "-q"], ours, Stdio::null()))?;
    let table = Table { raw, base: unpack.cpu };
    let head = "CPU s | wall s | MB/s plain | CPU to `zstd -dc`";
    writeln!(out, "\n{frames} frames\n\n| writing | {head} |\n|---|---|---|---|---|")?;
    table.row("`zstd -3`", zstd_3)?;
    table.row("`gzip -6` (one run)", gzip_6)?;
    table.row(".scap.zst, caller's thread", one)?;
    table.row(".scap.zst, two threads", two)?;

    writeln!(out, "\n| reading | {head} |\n|---|---|---|---|---|")?;
    table.row("`zstd -dc` of .scap.zst", unpack)?;
    table.row("`zstd -dc` of zstd -3", measure(|| command("zstd", &["-dc", "-q"], zst, Stdio::null()))?)?;
    table.row("`gzip -dc`", measure(|| command("gzip", &["-dc"], gz, Stdio::null()))?)?;
    table.row("plain, read and thrown away", measure(|| sink(plain))?)?;
    table.row("events of plain", measure(|| drain(CaptureReader::open(plain)?).map(drop))?)?;
    table.row("events of .scap.zst, as a stream", measure(|| drain(CaptureReader::open(ours)?).map(drop))?)?;
    let all = Selection::all();
    table.row("same, by frames", measure(|| drain(seekable(ours)?.select(&all, 0)?).map(drop))?)?;
    table.row("same, two threads ahead", measure(|| drain(seekable(ours)?.select(&all, 2)?).map(drop))?)?;
    table.row("events of zstd -3", measure(|| drain(CaptureReader::open(zst)?).map(drop))?)?;
    table.row("events of gzip -6", measure(|| drain(CaptureReader::open(gz)?).map(drop))?)?;
    let execs = Selection::all().types([ppme::PPME_SYSCALL_PTRACE_X]);
    table.row("frames that can hold ptrace", measure(|| drain(seekable(ours)?.select(&execs, 0)?).map(drop))?)?;
    table.row("`casebook verify`, hashing", measure(|| verify(File::open(ours)?).map(drop).map_err(Into::into))?)?;

    middle(ours, out)
}

/// Plain bytes, read and thrown away.
fn sink(path: &Path) -> Outcome {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 256 << 10]);
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The first event of the second half: straight there, and by reading up to it.
fn middle(ours: &Path, out: &mut impl Write) -> Outcome {
    let at = seekable(ours)?.frames().len() / 2;
    let first = |reader: &mut CaptureReader, from: u64| -> Result<u64, Box<dyn Error>> {
        while let Some(item) = reader.next_item()? {
            if let Item::Event(event) = item
                && event.raw.offset >= from
            {
                return Ok(event.num);
            }
        }
        Err("no event there".into())
    };
    let mut walls = [Vec::new(), Vec::new()];
    let mut numbers = [0, 0];
    for _ in 0..3 {
        let start = Instant::now();
        let file = seekable(ours)?;
        let from = file.frames()[at].raw_offset;
        numbers[0] = first(&mut file.resume(at..usize::MAX, None, 0)?, from)?;
        walls[0].push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        numbers[1] = first(&mut CaptureReader::open(ours)?, from)?;
        walls[1].push(start.elapsed().as_secs_f64());
    }
    if numbers[0] != numbers[1] {
        return Err(format!("event {} is not event {}", numbers[0], numbers[1]).into());
    }
    let [direct, reading] = walls.map(|mut walls| {
        walls.sort_by(f64::total_cmp);
        walls[1]
    });
    writeln!(
        out,
        "\nTo event {} in the middle: opened there in {:.2} ms, read up to there in {:.0} ms: {:.0} times.",
        numbers[0],
        direct * 1e3,
        reading * 1e3,
        reading / direct
    )?;
    Ok(())
}
