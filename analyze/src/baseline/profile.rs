//! Profiles: facts of benign captures and how many captures have each; what is new against them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde_json::{Value as Json, json};

use super::facts::{Example, Fact, Sort};

/// Facts that a profile keeps.
pub const MAX_FACTS: usize = 2_000_000;

/// The first line of a profile file.
const HEADER: &str = "casebook-baseline/1";

/// Facts, and how many captures have each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Captures that went in.
    pub captures: u64,
    facts: BTreeMap<Fact, u64>,
    /// Facts that found no room.
    pub left_out: u64,
}

impl Profile {
    /// Adds the facts of captures.
    pub fn add(&mut self, captures: &BTreeMap<String, BTreeMap<Fact, Example>>) {
        self.captures += captures.len() as u64;
        for fact in captures.values().flat_map(BTreeMap::keys) {
            if let Some(count) = self.facts.get_mut(fact) {
                *count += 1;
            } else if self.facts.len() < MAX_FACTS {
                self.facts.insert(fact.clone(), 1);
            } else {
                self.left_out += 1;
            }
        }
    }

    /// Adds another profile, made of other captures.
    pub fn absorb(&mut self, other: Self) {
        self.captures += other.captures;
        self.left_out += other.left_out;
        for (fact, count) in other.facts {
            if self.facts.len() < MAX_FACTS || self.facts.contains_key(&fact) {
                *self.facts.entry(fact).or_default() += count;
            } else {
                self.left_out += 1;
            }
        }
    }

    /// Captures that have a fact.
    pub fn count(&self, fact: &Fact) -> u64 {
        self.facts.get(fact).copied().unwrap_or(0)
    }

    /// Number of facts.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// No fact at all.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Writes the profile: a header line, then one JSON array a fact, in their order.
    ///
    /// # Errors
    ///
    /// The output could not be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", json!({ "format": HEADER, "captures": self.captures, "facts": self.facts.len() }))?;
        for ((sort, value), count) in &self.facts {
            writeln!(out, "{}", json!([sort.name(), value, count]))?;
        }
        Ok(())
    }

    /// Reads what [`Profile::write`] wrote.
    ///
    /// # Errors
    ///
    /// What is wrong, with its line.
    pub fn read(input: &mut dyn BufRead) -> Result<Self, String> {
        let mut profile = Self::default();
        let mut facts = None;
        for (at, line) in input.lines().enumerate() {
            let wrong = |what: &str| format!("line {}: {what}", at + 1);
            let line = line.map_err(|error| wrong(&error.to_string()))?;
            let json: Json = serde_json::from_str(&line).map_err(|error| wrong(&error.to_string()))?;
            if facts.is_none() {
                if json["format"] != HEADER {
                    return Err(wrong(&format!("no profile of this program (it begins with {HEADER})")));
                }
                profile.captures =
                    json["captures"].as_u64().ok_or_else(|| wrong("the number of captures is missing"))?;
                facts = Some(json["facts"].as_u64().unwrap_or_default());
                continue;
            }
            let fact =
                (|| Some(((Sort::named(json[0].as_str()?)?, json[1].as_str()?.to_owned()), json[2].as_u64()?)))();
            let (fact, count) = fact.ok_or_else(|| wrong("not [sort, value, captures]"))?;
            if profile.facts.len() >= MAX_FACTS {
                return Err(wrong("more facts than a profile holds"));
            }
            profile.facts.insert(fact, count);
        }
        match facts {
            None => Err("the file is empty".to_owned()),
            Some(facts) if facts != profile.facts.len() as u64 => {
                Err(format!("it says {facts} facts and holds {}: it was cut off or changed", profile.facts.len()))
            }
            Some(_) => Ok(profile),
        }
    }
}

/// A fact that is new, or rare among benign captures.
#[derive(Clone, Debug)]
pub struct News {
    /// Sort and value.
    pub fact: Fact,
    /// Benign captures that have it.
    pub benign: u64,
    /// Captures in question that have it.
    pub captures: u64,
    /// The first of them.
    pub capture: String,
    /// When and by whom there.
    pub example: Example,
}

/// Facts of captures that at most `rare` benign captures have: the rarest first, then by sort, then what fewest of the
/// captures in question have.
pub fn news(profile: &Profile, captures: &BTreeMap<String, BTreeMap<Fact, Example>>, rare: u64) -> Vec<News> {
    let mut found: BTreeMap<&Fact, News> = BTreeMap::new();
    for (capture, facts) in captures {
        for (fact, example) in facts {
            let benign = profile.count(fact);
            if benign > rare {
                continue;
            }
            let news = found.entry(fact).or_insert_with(|| News {
                fact: fact.clone(),
                benign,
                captures: 0,
                capture: capture.clone(),
                example: example.clone(),
            });
            news.captures += 1;
        }
    }
    let mut list: Vec<News> = found.into_values().collect();
    list.sort_by(|a, b| (a.benign, a.fact.0, a.captures, &a.fact.1).cmp(&(b.benign, b.fact.0, b.captures, &b.fact.1)));
    list
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic
    use super::*;

    fn capture(name: &str, values: &[&str]) -> (String, BTreeMap<Fact, Example>) {
        let facts = values.iter().map(|value| ((Sort::Binary, (*value).to_owned()), Example::default())).collect();
        (name.to_owned(), facts)
    }

    #[test]
    fn the_rarest_come_first() {
        let mut profile = Profile::default();
        profile.add(&[capture("a", &["/bin/ls", "/bin/odd"]), capture("b", &["/bin/ls"])].into());
        let question = [capture("x", &["/bin/ls", "/bin/odd", "/dev/shm/.d"]), capture("y", &["/bin/ls"])].into();
        let told = |rare| news(&profile, &question, rare).into_iter().map(|n| (n.fact.1, n.benign)).collect::<Vec<_>>();
        assert_eq!(told(0), [("/dev/shm/.d".to_owned(), 0)]);
        assert_eq!(told(1), [("/dev/shm/.d".to_owned(), 0), ("/bin/odd".to_owned(), 1)]);
    }

    #[test]
    fn profiles_are_written_and_read() {
        let mut profile = Profile::default();
        profile.add(&[capture("a", &["/bin/ls", "/bin/\"\n"])].into());
        let mut bytes = Vec::new();
        profile.write(&mut bytes).unwrap();
        assert_eq!(Profile::read(&mut bytes.as_slice()).unwrap(), profile);
        let cut = &bytes[..bytes.len() - 30];
        assert!(Profile::read(&mut &cut[..]).is_err());
        assert!(Profile::read(&mut b"{}".as_slice()).unwrap_err().contains("no profile"));
    }
}
