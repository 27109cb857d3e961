//! `files` and `net`: which files and connections processes used, the weightiest first.
//!
//! Rows of the tables `files` and `network` that the options choose → a question in SQL, by way of grouping and order → the
//! writers of `sql`. What a column means stands in `TABLES.md`.

pub mod files;
pub mod net;

use std::collections::BTreeSet;
use std::io::{self, Write};

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;
use polars::prelude::{BooleanChunked, DataFrame, NewChunkedArray as _, PlSmallStr};

use super::forest::{self, Forest};
use crate::frames::{Frames, View, Wanted};
use crate::load::{LoadArgs, say};
use crate::print::Format;
use crate::print::form::{Form, delivered};
use crate::sql::{self, Refused};

/// Which processes, and how the answer is written: options of both views.
#[derive(Args, Debug)]
struct Common {
    /// Only this process (every life of that number) and all that came of it; repeat for more
    #[arg(long, value_name = "PID")]
    pid: Vec<i64>,

    /// Only processes of a user, login, container, pod, namespace or Kubernetes user of this name, and what came of them
    #[arg(long, value_name = "NAME")]
    who: Vec<String>,

    /// Only in containers whose id begins so, or that are called so; `host` for none; repeat for more
    #[arg(long, value_name = "ID|NAME")]
    container: Vec<String>,

    /// Only processes of this name; repeat for more
    #[arg(long, value_name = "NAME")]
    process: Vec<String>,

    /// Rows to show, 0 for all
    #[arg(short = 'n', long = "count", value_name = "COUNT", default_value_t = 50, help_heading = "Output")]
    count: usize,

    #[command(flatten)]
    form: Form,
}

/// One way of grouping: what is selected before the counts, and by which columns.
struct Question {
    what: &'static str,
    by: &'static str,
}

/// Reads, chooses, asks, prints.
fn answer(
    table: &'static str,
    load: &LoadArgs,
    common: &Common,
    query: &str,
    keep: &dyn Fn(View<'_>) -> Vec<bool>,
    (out, err): (&mut dyn Write, &mut dyn Write),
    terminals: Terminals,
) -> io::Result<Exit> {
    let wanted = Wanted::tables(&[table]).columns("processes", forest::COLUMNS);
    let loaded = match load.load(wanted, err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let (exit, mut frames) = (loaded.exit, loaded.frames);
    let mut kept = keep(frames.view(table));
    common.choose(&frames, table, &mut kept);
    let mask = BooleanChunked::from_slice(PlSmallStr::from_static("kept"), &kept);
    let answer =
        frames.frame(table).filter(&mask).map_err(|error| Refused::Query(error.to_string())).and_then(|rows| {
            frames.insert(table, rows);
            sql::answer(&frames, query)
        });
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            say(err, &format!("error: {error}"));
            return Ok(Exit::Output);
        }
    };
    if answer.height() == 0 {
        say(err, "nothing in the captures is what was asked for");
    }
    let shown = if common.count == 0 { answer.height() } else { common.count.min(answer.height()) };
    if shown < answer.height() && !load.quiet {
        say(err, &format!("note: {shown} of {} rows are shown; -n 0 shows all", answer.height()));
    }
    let size = if terminals.out { terminal_size::terminal_size() } else { None };
    let width = size.map_or(usize::MAX, |(terminal_size::Width(columns), _)| usize::from(columns));
    delivered(&worth_showing(&answer.head(Some(shown)), &common.form, width), &common.form, exit, (out, err), terminals)
}

/// Columns that a terminal narrower than this has no room for: a ranking is of use as lines, not as records.
const WIDE: &[(usize, &[&str])] =
    &[(160, &["last"]), (130, &["first", "lives"]), (100, &["user_name", "protocol", "failed", "connects"])];

/// For people, columns that say nothing here are left out: one host, no containers, no names; and those of [`WIDE`].
fn worth_showing(answer: &DataFrame, form: &Form, width: usize) -> DataFrame {
    if form.format.is_some_and(|format| format != Format::Table) || form.output.is_some() {
        return answer.clone();
    }
    let view = View::new(answer);
    let dull = |name: &str| match name {
        "host" => view.texts(name).iter().collect::<BTreeSet<_>>().len() < 2,
        "container_id" => view.texts(name).iter().all(|id| id.is_none_or(|id| id == "host")),
        "dns_name" => view.texts(name).iter().all(Option::is_none),
        _ => WIDE.iter().any(|(least, names)| width < *least && names.contains(&name)),
    };
    let names: Vec<String> = answer.columns().iter().map(|column| column.name().to_string()).collect();
    names.iter().filter(|name| dull(name)).fold(answer.clone(), |frame, name| frame.drop(name).unwrap_or(frame))
}

impl Common {
    /// Strikes the rows of other processes and containers.
    fn choose(&self, frames: &Frames, table: &str, kept: &mut [bool]) {
        let uses = frames.view(table);
        let (upids, names) = (uses.uints("upid"), uses.texts("proc_name"));
        let forest = Forest::of(frames.view("processes"));
        let lives: Option<BTreeSet<u64>> = (!self.pid.is_empty() || !self.who.is_empty()).then(|| {
            let found = forest.processes.iter().enumerate().filter(|(_, process)| {
                process.pid.is_some_and(|pid| self.pid.contains(&pid)) || self.who.iter().any(|who| process.is_of(who))
            });
            let found: Vec<usize> = found.map(|(at, _)| at).collect();
            forest.with_descendants(found).into_iter().map(|at| forest.processes[at].upid).collect()
        });
        for (row, kept) in kept.iter_mut().enumerate() {
            let life = upids[row].and_then(|upid| forest.find(upid)).map(|at| &forest.processes[at]);
            let inside = self.container.is_empty()
                || life.is_some_and(|life| {
                    let (id, name) = (life.container_id.unwrap_or_default(), life.container_name.unwrap_or_default());
                    self.container.iter().any(|wanted| {
                        !wanted.is_empty()
                            && (name == wanted
                                || id.starts_with(wanted.as_str())
                                || (id.len() >= 12 && wanted.starts_with(id)))
                    })
                });
            let called = self.process.is_empty()
                || names[row].is_some_and(|name| self.process.iter().any(|wanted| wanted == name));
            let chosen = lives.as_ref().is_none_or(|lives| upids[row].is_some_and(|upid| lives.contains(&upid)));
            *kept &= inside && called && chosen;
        }
    }
}
