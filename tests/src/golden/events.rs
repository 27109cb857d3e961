//! The events of a golden, whatever its form: field goldens are streamed, container goldens are tables in memory.
//!
//! What [`crate::agreement`] compares with: which fields a golden holds, which events, and their texts in rising order.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::corpora::{Capture, Corpora};
use crate::golden::containers;
use crate::golden::fields::{Columns, EventKey, Row, Rows, survey};
use crate::known::Against;

/// A golden of one capture, whatever its form.
pub struct Golden {
    /// The capture.
    pub capture: Capture,
    /// Fields that it holds.
    pub fields: BTreeSet<String>,
    /// Its events in order.
    pub events: Vec<EventKey>,
    /// Which of them have to be found among ours.
    pub needed: Vec<bool>,
    texts: GoldenTexts,
}

enum GoldenTexts {
    /// A field golden, to be read as a stream.
    Stream(PathBuf),
    /// A container golden.
    Table(containers::Containers),
}

impl Golden {
    /// The golden of a capture, `None` where there is none.
    pub fn open(corpora: &Corpora, capture: Capture, against: Against) -> Result<Option<Self>, String> {
        let path = match against {
            Against::Falco => corpora.field_golden(&capture),
            Against::Sysdig => corpora.container_golden(&capture),
        };
        let Some(path) = path else { return Ok(None) };
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        Ok(Some(match against {
            Against::Falco => {
                let survey = survey(&path).map_err(failed)?;
                let needed = vec![true; survey.events.len()];
                Self { capture, fields: survey.keys, events: survey.events, needed, texts: GoldenTexts::Stream(path) }
            }
            Against::Sysdig => {
                let table = containers::read(&path).map_err(failed)?;
                let key = |row: &containers::ContainerRow| EventKey {
                    num: 0,
                    time: row.time,
                    tid: row.tid,
                    kind: half(row.enter),
                };
                Self {
                    capture,
                    fields: table.fields.iter().cloned().collect(),
                    events: table.rows.iter().map(key).collect(),
                    // sysdig shows enter halves apart, which are merged into their exits in our stream.
                    needed: table.rows.iter().map(|row| !row.enter).collect(),
                    texts: GoldenTexts::Table(table),
                }
            }
        }))
    }

    /// The texts of its events, to be asked for in rising order.
    pub fn rows<'c>(&'c self, columns: &'c Columns) -> Result<GoldenRows<'c>, String> {
        Ok(match &self.texts {
            GoldenTexts::Stream(path) => {
                let rows = Rows::open(path, columns).map_err(|error| format!("{}: {error}", path.display()))?;
                GoldenRows(Source::Stream { rows, read: 0 })
            }
            GoldenTexts::Table(table) => GoldenRows(Source::Table { table, columns, row: Row::default() }),
        })
    }
}

/// Texts of a golden's events.
pub struct GoldenRows<'c>(Source<'c>);

enum Source<'c> {
    Stream { rows: Rows<'c>, read: usize },
    Table { table: &'c containers::Containers, columns: &'c Columns, row: Row },
}

impl GoldenRows<'_> {
    /// The texts of event `index`; indices rise from call to call.
    pub fn at(&mut self, index: usize) -> Result<&Row, String> {
        match &mut self.0 {
            Source::Stream { rows, read } => {
                let failed = |error: std::io::Error| format!("golden, event {index}: {error}");
                while *read < index {
                    rows.next_row().map_err(failed)?;
                    *read += 1;
                }
                *read += 1;
                rows.next_row().map_err(failed)?.ok_or_else(|| "the golden changed while it was read".to_owned())
            }
            Source::Table { table, columns, row } => {
                let texts = table.rows.get(index).map(|row| row.texts.as_slice()).unwrap_or_default();
                row.set(columns, table.fields.iter().map(String::as_str).zip(texts.iter().map(String::as_str)));
                Ok(row)
            }
        }
    }
}

/// Stands for the half of a call where types are not compared.
pub fn half(enter: bool) -> u64 {
    u64::from(enter)
}
