//! `baseline`: what captures show that benign ones do not.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write};
use std::path::PathBuf;

use casebook_formats::terminal::Safe;
use casebook_replay::cli::{Exit, Terminals};
use casebook_replay::summary::iso_time;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::{News, Profile, Sort, facts, news, wanted};
use crate::load::{LoadArgs, say};
use crate::print::text::json_line;

/// Bytes of a profile that are read; what is longer counts as cut off.
const MAX_PROFILE: u64 = 256 << 20;

/// Options of `baseline`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("against").required(true).multiple(true).args(["benign", "profile"]))]
pub struct BaselineArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// Benign captures: files, directories, glob patterns; `--` ends them
    #[arg(long, value_name = "CAPTURE", num_args = 1..)]
    benign: Vec<PathBuf>,

    /// A profile that --save wrote; repeat for more
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,

    /// Keep the profile of the benign captures in this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Only facts of these sorts, separated by commas
    #[arg(long, value_name = "SORTS", value_delimiter = ',')]
    sorts: Vec<Sort>,

    /// Also facts that so many benign captures have, and no more
    #[arg(long, value_name = "CAPTURES", default_value_t = 0)]
    rare: u64,

    /// Lines of each sort; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Output")]
    top: usize,

    /// One JSON object a fact
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs `baseline`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &BaselineArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let (profile, benign_exit) = match benign(args, err, terminals) {
        Ok(benign) => benign,
        Err(exit) => return Ok(exit),
    };
    if let Some(path) = &args.save {
        save(&profile, path)?;
    }
    let loaded = match args.load.load(wanted(), err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let mut list = news(&profile, &facts(&loaded.frames), args.rare);
    list.retain(|news| args.sorts.is_empty() || args.sorts.contains(&news.fact.0));
    let against = format!("{} benign captures with {} facts", profile.captures, profile.len());
    if args.json {
        for news in &list {
            print_json(news, profile.captures, out)?;
        }
    } else {
        print_text(args, &list, out)?;
    }
    let what = if args.rare == 0 { "new" } else { "new or rare" };
    say(err, &format!("{} facts are {what} against {against}", list.len()));
    if profile.left_out > 0 {
        say(err, &format!("warning: the profile had no room for {} facts; they count as new", profile.left_out));
    }
    Ok(if loaded.exit == Exit::Complete { benign_exit } else { loaded.exit })
}

/// What is benign: profiles and captures together.
fn benign(args: &BaselineArgs, err: &mut dyn Write, terminals: Terminals) -> Result<(Profile, Exit), Exit> {
    let mut profile = Profile::default();
    for path in &args.profile {
        let read = File::open(path).map_err(|error| error.to_string());
        let read = read.and_then(|file| Profile::read(&mut BufReader::new(file.take(MAX_PROFILE))));
        match read {
            Ok(one) => profile.absorb(one),
            Err(error) => {
                say(err, &format!("error: --profile {}: {error}", path.display()));
                return Err(Exit::Usage);
            }
        }
    }
    let mut exit = Exit::Complete;
    if !args.benign.is_empty() {
        let load = LoadArgs { captures: args.benign.clone(), example: false, ..args.load.clone() };
        let loaded = load.load(wanted(), err, terminals)?;
        exit = loaded.exit;
        profile.add(&facts(&loaded.frames));
    }
    Ok((profile, exit))
}

/// Writes beside the file first, so that a failure leaves what was there.
fn save(profile: &Profile, path: &PathBuf) -> io::Result<()> {
    let mut partial = path.clone().into_os_string();
    partial.push(".partial");
    let written = (|| {
        let mut file = BufWriter::new(File::create(&partial)?);
        profile.write(&mut file)?;
        file.flush()?;
        std::fs::rename(&partial, path)
    })();
    if written.is_err() {
        // Nothing is there to be kept.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

fn print_text(args: &BaselineArgs, list: &[News], out: &mut dyn Write) -> io::Result<()> {
    use clap::ValueEnum as _;
    for sort in Sort::value_variants() {
        let of_sort: Vec<&News> = list.iter().filter(|news| news.fact.0 == *sort).collect();
        if of_sort.is_empty() {
            continue;
        }
        writeln!(out, "{} ({})", heading(*sort), of_sort.len())?;
        let shown = if args.top == 0 { of_sort.len() } else { args.top.min(of_sort.len()) };
        for news in &of_sort[..shown] {
            let time = time(news).unwrap_or_else(|| "before the capture".to_owned());
            let rare = if news.benign > 0 { format!("  in {} benign captures", news.benign) } else { String::new() };
            let also =
                if news.captures > 1 { format!(" and {} more captures", news.captures - 1) } else { String::new() };
            let line = format!("  {}{rare}  [{time}, {}{also}: {}]", news.fact.1, news.capture, news.example.detail);
            writeln!(out, "{}", Safe(line.as_bytes()))?;
        }
        if shown < of_sort.len() {
            writeln!(out, "  … {} more (--top 0 shows all)", of_sort.len() - shown)?;
        }
    }
    Ok(())
}

fn heading(sort: Sort) -> &'static str {
    match sort {
        Sort::Binary => "Programs",
        Sort::Parent => "Who starts whom",
        Sort::Listener => "Listening ports",
        Sort::Destination => "Destinations",
        Sort::Write => "Written paths",
        Sort::User => "Who runs what",
        Sort::Container => "Containers",
        Sort::Audit => "Kubernetes requests",
    }
}

fn time(news: &News) -> Option<String> {
    news.example.first.and_then(|ns| u64::try_from(ns).ok()).map(iso_time)
}

fn print_json(news: &News, benign: u64, out: &mut dyn Write) -> io::Result<()> {
    let object = json!({
        "sort": news.fact.0.name(),
        "value": news.fact.1,
        "benign_captures": news.benign,
        "of_benign_captures": benign,
        "captures": news.captures,
        "capture": news.capture,
        "first": time(news),
        "upid": news.example.upid,
        "detail": news.example.detail,
        "count": news.example.count,
    });
    writeln!(out, "{}", json_line(&object))
}
