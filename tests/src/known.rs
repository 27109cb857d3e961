//! The chosen differences between Casebook and the real Falco, read from `tests/known-differences.md`.
//!
//! That page is for readers and for the harness alike: its tables are parsed here, so what is written there is what
//! is applied, and nothing else. A class covers a difference only when field, capture, golden text, our text, the
//! golden's other fields and the condition on the event all match; what no class covers is unexplained and fails the
//! strict tests.
//!
//! The `when` conditions are rule-language conditions on *our* event; [`crate::ours`] compiles and evaluates them.
//! Those of `after` are about events before it; [`crate::history`] keeps in mind where they held.

use std::fmt;

use crate::glob::{Glob, any};

/// The page, compiled in: it belongs to the code that it describes.
pub const PAGE: &str = include_str!("../known-differences.md");

/// All classes of the page.
#[derive(Clone, Default, Debug)]
pub struct KnownDifferences {
    /// Differences in the value of a field.
    pub fields: Vec<FieldClass>,
    /// Alerts that only one side prints.
    pub alerts: Vec<AlertClass>,
}

/// A class of differences in field values.
#[derive(Clone, Debug)]
pub struct FieldClass {
    /// Short name.
    pub id: String,
    /// Which golden it speaks of.
    pub against: Against,
    /// Fields it covers.
    pub fields: Vec<Glob>,
    /// Captures it covers.
    pub captures: Vec<Glob>,
    /// Condition on our event; empty for always.
    pub when: String,
    /// What must have happened before, in the process or in one that it comes from; empty for anything.
    pub after: String,
    /// Golden texts it covers; `<NA>` stands for absent.
    pub golden: Vec<Glob>,
    /// Our texts it covers.
    pub ours: Vec<OurPattern>,
    /// What other fields of the same golden event have to say: of each field one of its patterns.
    pub beside: Vec<Beside>,
}

/// A pattern for our text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OurPattern {
    /// Any text that matches.
    Text(Glob),
    /// `{field}`: the text of that field of the same golden event.
    SameAs(String),
    /// `<`: a number below the golden's.
    Less,
}

impl OurPattern {
    fn new(pattern: &str) -> Self {
        if pattern == "<" {
            return Self::Less;
        }
        match pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(field) => Self::SameAs(field.to_owned()),
            None => Self::Text(Glob::new(pattern)),
        }
    }

    fn matches(&self, difference: &Difference<'_>) -> bool {
        match self {
            Self::Text(glob) => glob.matches(difference.ours),
            Self::Less => {
                let number = |text: &str| text.parse::<f64>().ok();
                number(difference.ours).zip(number(difference.golden)).is_some_and(|(ours, golden)| ours < golden)
            }
            Self::SameAs(field) => (difference.beside)(field).is_some_and(|text| text == difference.ours),
        }
    }
}

/// A field of the golden event and the text that it has to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beside {
    /// The field.
    pub field: String,
    /// Its text.
    pub text: Glob,
}

/// A difference, to be asked about.
#[derive(Clone, Copy)]
pub struct Difference<'d> {
    /// Which tool's golden.
    pub against: Against,
    /// Capture name.
    pub capture: &'d str,
    /// The field.
    pub field: &'d str,
    /// Golden text.
    pub golden: &'d str,
    /// Our text.
    pub ours: &'d str,
    /// Text of another field of the golden event; `None` where the golden does not show that field (an alert shows
    /// the fields of its output only), which no class can hold against a difference.
    pub beside: &'d dyn Fn(&str) -> Option<String>,
}

/// A class of alerts that only one side prints.
#[derive(Clone, Debug)]
pub struct AlertClass {
    /// Short name.
    pub id: String,
    /// Which side lacks the alert.
    pub side: AlertSide,
    /// Rules it covers.
    pub rules: Vec<Glob>,
    /// Captures it covers.
    pub captures: Vec<Glob>,
    /// Condition on our event; empty for always.
    pub when: String,
}

/// Which tool's golden a field class speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Against {
    /// `falco-goldens/fields` and the output fields of alerts.
    Falco,
    /// `falco-goldens/containers`.
    Sysdig,
}

/// Which side prints an alert that the other does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlertSide {
    /// Falco prints it, we don't.
    Missing,
    /// We print it, Falco doesn't.
    Extra,
}

/// What is wrong with the page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageError {
    /// Line of the page, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "known-differences.md:{}: {}", self.line, self.message)
    }
}

impl std::error::Error for PageError {}

impl KnownDifferences {
    /// The classes of the project's own page.
    pub fn of_this_project() -> Result<Self, PageError> {
        Self::parse(PAGE)
    }

    /// Reads every table of a page whose first column is `id`; prose and other tables are for readers only.
    pub fn parse(page: &str) -> Result<Self, PageError> {
        let mut known = Self::default();
        let mut header: Option<Vec<String>> = None;
        for (index, line) in page.lines().enumerate() {
            let Some(cells) = cells(line) else {
                header = None;
                continue;
            };
            match &header {
                None => header = Some(cells),
                Some(titles) if titles.first().is_some_and(|title| title == "id") => {
                    if !cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':'))) {
                        known.row(&Row { titles, cells: &cells, line: index + 1 })?;
                    }
                }
                Some(_) => {}
            }
        }
        Ok(known)
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), PageError> {
        let id = row.text("id")?;
        if id.is_empty() || self.ids().any(|other| other == id) {
            return Err(row.error("every class needs an id of its own"));
        }
        if row.text("reason")?.len() < 20 {
            return Err(row.error("every class needs a reason"));
        }
        if row.titles.iter().any(|title| title == "rules") {
            self.alerts.push(AlertClass {
                id,
                side: match row.text("side")?.as_str() {
                    "missing" => AlertSide::Missing,
                    "extra" => AlertSide::Extra,
                    _ => return Err(row.error("side is `missing` or `extra`")),
                },
                rules: row.globs("rules")?,
                captures: row.globs("captures")?,
                when: row.condition()?,
            });
        } else {
            let class = FieldClass {
                id,
                against: match row.text("against")?.as_str() {
                    "falco" => Against::Falco,
                    "sysdig" => Against::Sysdig,
                    _ => return Err(row.error("against is `falco` or `sysdig`")),
                },
                fields: row.globs("fields")?,
                captures: row.globs("captures")?,
                when: row.condition()?,
                after: row.optional("after"),
                golden: row.globs("golden")?,
                ours: row.spans("ours")?.into_iter().map(OurPattern::new).collect(),
                beside: row.beside()?,
            };
            let anything = [Glob::new("*")];
            let any_value = class.golden == anything && class.ours == [OurPattern::Text(Glob::new("*"))];
            let unconditional = class.when.is_empty() && class.after.is_empty() && class.beside.is_empty();
            if class.fields == anything || (any_value && unconditional) {
                return Err(row.error("a class must name its fields, and values or a condition: no blanket exemptions"));
            }
            self.fields.push(class);
        }
        Ok(())
    }

    /// Ids of all classes, fields first, in the order of the page.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().map(|class| class.id.as_str());
        fields.chain(self.alerts.iter().map(|class| class.id.as_str()))
    }
}

impl FieldClass {
    /// Fields of the golden event that the class asks for.
    pub fn asks(&self) -> impl Iterator<Item = &str> {
        let same = self.ours.iter().filter_map(|pattern| match pattern {
            OurPattern::SameAs(field) => Some(field.as_str()),
            OurPattern::Text(_) | OurPattern::Less => None,
        });
        self.beside.iter().map(|beside| beside.field.as_str()).chain(same)
    }

    /// Everything but `when` and `after` matches.
    pub fn covers(&self, difference: &Difference<'_>) -> bool {
        // Patterns for one field are alternatives; each field named has to match.
        let beside = |beside: &Beside| {
            let alternatives = self.beside.iter().filter(|other| other.field == beside.field);
            (difference.beside)(&beside.field)
                .is_none_or(|text| alternatives.into_iter().any(|other| other.text.matches(&text)))
        };
        self.against == difference.against
            && any(&self.fields, difference.field)
            && any(&self.captures, difference.capture)
            && any(&self.golden, difference.golden)
            && self.ours.iter().any(|pattern| pattern.matches(difference))
            && self.beside.iter().all(beside)
    }
}

/// One row of a table of classes.
struct Row<'p> {
    titles: &'p [String],
    cells: &'p [String],
    line: usize,
}

impl Row<'_> {
    fn error(&self, message: impl Into<String>) -> PageError {
        PageError { line: self.line, message: message.into() }
    }

    /// Text of a cell, without backticks.
    fn text(&self, title: &str) -> Result<String, PageError> {
        let cell = self.titles.iter().position(|other| other == title).and_then(|column| self.cells.get(column));
        let cell = cell.ok_or_else(|| self.error(format!("no cell in column '{title}'")))?;
        Ok(cell.trim_matches('`').to_owned())
    }

    /// Text of a cell that a table may do without.
    fn optional(&self, title: &str) -> String {
        self.text(title).unwrap_or_default()
    }

    /// The code spans of a cell: one pattern each.
    fn globs(&self, title: &str) -> Result<Vec<Glob>, PageError> {
        Ok(self.spans(title)?.into_iter().map(Glob::new).collect())
    }

    fn spans(&self, title: &str) -> Result<Vec<&str>, PageError> {
        let column = self.titles.iter().position(|other| other == title);
        let cell = column.and_then(|column| self.cells.get(column)).map_or("", String::as_str);
        if cell.matches('`').count() % 2 == 1 {
            return Err(self.error(format!("unpaired backtick in column '{title}'")));
        }
        let spans: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if spans.is_empty() {
            return Err(self.error(format!("column '{title}' needs patterns in backticks")));
        }
        Ok(spans)
    }

    /// The `golden beside` cell: code spans of the form `field=text`, or nothing.
    fn beside(&self) -> Result<Vec<Beside>, PageError> {
        if self.text("golden beside")?.is_empty() {
            return Ok(Vec::new());
        }
        let spans = self.spans("golden beside")?;
        let read = |span: &str| {
            let (field, text) = span.split_once('=').ok_or_else(|| self.error("`golden beside` is `field=text`"))?;
            Ok(Beside { field: field.to_owned(), text: Glob::new(text) })
        };
        spans.into_iter().map(read).collect()
    }

    /// The `when` cell: one code span, or nothing.
    fn condition(&self) -> Result<String, PageError> {
        self.text("when")
    }
}

/// Cells of a table line, `None` for other lines. `\|` is a bar inside a cell.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = vec![String::new()];
    let mut chars = inner.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '|' => cells.push(String::new()),
            '\\' if chars.peek() == Some(&'|') => {
                chars.next();
                cells.last_mut()?.push('|');
            }
            char => cells.last_mut()?.push(char),
        }
    }
    Some(cells.into_iter().map(|cell| cell.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn the_projects_own_page_is_readable() {
        KnownDifferences::of_this_project().unwrap();
    }

    const HEAD: &str = "| id | against | fields | captures | when | golden | ours | golden beside | reason |\n\
                        |---|---|---|---|---|---|---|---|---|\n";

    #[test]
    fn a_class_is_read_with_its_patterns() {
        let page = format!(
            "# Title\n\n{HEAD}| uid | falco | `user.uid`, `group.gid` | `*` | `evt.type = execve` | `4294967295` | `<NA>` or `0` | `user.name=<NA>` | a made-up value of the conversion |\n"
        );
        let known = KnownDifferences::parse(&page).unwrap();
        let [class] = &known.fields[..] else { panic!("one class") };
        assert_eq!(class.when, "evt.type = execve");
        let nobody = |_: &str| Some("<NA>".to_owned());
        let root = |_: &str| Some("root".to_owned());
        let difference = Difference {
            against: Against::Falco,
            capture: "any",
            field: "group.gid",
            golden: "4294967295",
            ours: "0",
            beside: &nobody,
        };
        assert!(class.covers(&difference));
        assert!(class.covers(&Difference { beside: &|_| None, ..difference }));
        assert!(!class.covers(&Difference { ours: "1", ..difference }));
        assert!(!class.covers(&Difference { against: Against::Sysdig, ..difference }));
        assert!(!class.covers(&Difference { field: "user.name", ..difference }));
        assert!(!class.covers(&Difference { beside: &root, ..difference }));
    }

    #[test]
    fn our_text_can_be_that_of_another_field_of_the_golden() {
        let page = format!(
            "{HEAD}| setsid | falco | `proc.vpgid` | `*` | | `*` | `{{proc.sid}}` | | a session leads its own group |\n"
        );
        let known = KnownDifferences::parse(&page).unwrap();
        let [class] = &known.fields[..] else { panic!("one class") };
        assert_eq!(class.asks().collect::<Vec<_>>(), ["proc.sid"]);
        let sid = |_: &str| Some("35".to_owned());
        let difference = Difference {
            against: Against::Falco,
            capture: "any",
            field: "proc.vpgid",
            golden: "314",
            ours: "35",
            beside: &sid,
        };
        assert!(class.covers(&difference));
        assert!(!class.covers(&Difference { ours: "36", ..difference }));
        assert!(!class.covers(&Difference { beside: &|_| None, ..difference }));
    }

    #[test]
    fn blanket_exemptions_are_refused() {
        let page = format!("{HEAD}| lazy | falco | `*` | `*` | | `a` | `b` | | because it is so much easier |\n");
        let error = KnownDifferences::parse(&page).unwrap_err();
        assert_eq!(error.line, 3);
        let page = format!("{HEAD}| lazy | falco | `fd.name` | `*` | | `*` | `*` | | because it is so much easier |\n");
        assert!(KnownDifferences::parse(&page).is_err());
    }

    #[test]
    fn bars_inside_cells_are_escaped() {
        assert_eq!(cells(r"| a \| b | c |").unwrap(), ["a | b", "c"]);
        assert_eq!(cells("prose"), None);
    }
}
