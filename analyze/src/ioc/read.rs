//! Files of indicators: one a line, CSV, or STIX bundles.
//!
//! Bytes of a file → [`Indicators`]. Defanged forms (`hxxp://`, `1[.]2[.]3[.]4`) are understood. Lines that are no
//! indicator are counted and the first of them named; they never stop the reading.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::stix;

/// Bytes of one file that are read; feeds of a million entries are smaller.
const MAX_BYTES: u64 = 256 << 20;
/// Indicators that are kept.
const MAX_INDICATORS: usize = 2_000_000;
/// The longest indicator; URLs are shorter.
const MAX_LENGTH: usize = 4096;

/// What the first column of a table of indicators is called.
const HEADINGS: [&str; 6] = ["type", "kind", "indicator_type", "indicator", "ioc", "value"];

/// What an indicator is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// An IPv4 or IPv6 address.
    Address,
    /// A network in CIDR notation.
    Network,
    /// A domain; its subdomains are meant too.
    Domain,
    /// A URL: its text, and its host.
    Url,
    /// An absolute path.
    Path,
    /// The name of a file or process.
    Name,
    /// MD5, SHA-1 or SHA-256 in hexadecimal.
    Hash,
}

impl Kind {
    /// As it is printed, and as a CSV file names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Path => "path",
            Self::Name => "name",
            Self::Hash => "hash",
        }
    }

    /// The kind that a column `type` of a CSV file means; names as MISP, OTX and others write them.
    fn named(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "address" | "ip" | "ip-src" | "ip-dst" | "ipv4" | "ipv6" | "ipv4-addr" | "ipv6-addr" => Self::Address,
            "network" | "cidr" | "netblock" => Self::Network,
            "domain" | "hostname" | "domain-name" | "fqdn" => Self::Domain,
            "url" | "uri" => Self::Url,
            "path" | "filepath" => Self::Path,
            "name" | "filename" | "process" => Self::Name,
            "hash" | "md5" | "sha1" | "sha256" | "filehash-md5" | "filehash-sha1" | "filehash-sha256" => Self::Hash,
            _ => return None,
        })
    }
}

/// One indicator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Indicator {
    /// What it is.
    pub kind: Kind,
    /// Its value: addresses, domains and hashes in small letters and their shortest form.
    pub value: String,
    /// What the list says about it: the rest of a CSV line, the name of a STIX indicator.
    pub about: String,
    /// File and line, or STIX id.
    pub source: String,
}

/// All indicators of some files, each value once, in the order of kind and value.
#[derive(Clone, Debug, Default)]
pub struct Indicators {
    /// The indicators.
    pub list: Vec<Indicator>,
    /// What was no indicator, with its place; the first hundred.
    pub refused: Vec<String>,
    /// How much was no indicator.
    pub refused_count: u64,
}

/// Why a file gives no indicators at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is larger than any list.
    #[error("{0}: larger than {MAX_BYTES} bytes, which is no list of indicators")]
    Large(String),
    /// It begins like JSON and is none.
    #[error("{path}: {message}")]
    Json {
        /// The file.
        path: String,
        /// Why.
        message: String,
    },
}

impl Indicators {
    /// Reads files; a value that several of them have keeps the first source.
    ///
    /// # Errors
    ///
    /// The first file that cannot be read.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self, ReadError> {
        let mut indicators = Self::default();
        for path in paths {
            indicators.file(path.as_ref())?;
        }
        let mut seen = BTreeSet::new();
        indicators.list.retain(|indicator| seen.insert((indicator.kind, indicator.value.clone())));
        indicators.list.sort();
        Ok(indicators)
    }

    fn file(&mut self, path: &Path) -> Result<(), ReadError> {
        let name = path.to_string_lossy().into_owned();
        let io = |error| ReadError::Io { path: name.clone(), error };
        let mut bytes = Vec::new();
        std::fs::File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ReadError::Large(name));
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{FEFF}');
        if text.trim_start().starts_with(['{', '[']) && !text.trim_start().starts_with("[.") {
            return stix::read(text, &name, self);
        }
        for (at, line) in text.lines().enumerate() {
            self.line(line, &name, at + 1);
        }
        Ok(())
    }

    fn line(&mut self, line: &str, file: &str, number: usize) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//") {
            return;
        }
        let source = format!("{file}:{number}");
        // `type,value[,more]`; a header line names its columns.
        let mut parts = line.splitn(3, ',').map(|part| part.trim().trim_matches('"'));
        let (first, second, rest) = (parts.next().unwrap_or(""), parts.next(), parts.next().unwrap_or(""));
        match second {
            // Columns are named in the first line at most.
            Some(_) if number == 1 && HEADINGS.iter().any(|heading| first.eq_ignore_ascii_case(heading)) => {}
            Some(value) => match Kind::named(first) {
                Some(kind) => self.push(kind, value, rest, source),
                // `value,comment`.
                None => self.guess(first, &line[line.find(',').map_or(line.len(), |at| at + 1)..], source),
            },
            None => {
                // A comment after blanks is not part of the value.
                let (value, about) = line.split_once(" #").unwrap_or((line, ""));
                self.guess(value.trim(), about.trim(), source);
            }
        }
    }

    fn guess(&mut self, value: &str, about: &str, source: String) {
        match recognised(value) {
            Some((kind, value)) => self.keep(Indicator { kind, value, about: about.trim().to_owned(), source }),
            None => self.refuse(&source, value),
        }
    }

    /// Keeps a value of a kind that the file states.
    pub(super) fn push(&mut self, kind: Kind, value: &str, about: &str, source: String) {
        let value = refanged(value);
        let value = match kind {
            Kind::Address | Kind::Network => match recognised(&value) {
                Some((kind @ (Kind::Address | Kind::Network), value)) => {
                    return self.keep(Indicator { kind, value, about: about.to_owned(), source });
                }
                _ => None,
            },
            Kind::Domain => domain(&value),
            Kind::Hash => hash(&value),
            Kind::Url | Kind::Path | Kind::Name => Some(value.clone()).filter(|value| !value.is_empty()),
        };
        match value.filter(|value| value.len() <= MAX_LENGTH) {
            Some(value) => self.keep(Indicator { kind, value, about: about.to_owned(), source }),
            None => self.refuse(&source, kind.name()),
        }
    }

    fn keep(&mut self, indicator: Indicator) {
        if self.list.len() < MAX_INDICATORS {
            self.list.push(indicator);
        } else {
            self.refuse(&indicator.source, "more indicators than are kept");
        }
    }

    /// Counts what is no indicator.
    pub(super) fn refuse(&mut self, source: &str, what: &str) {
        self.refused_count += 1;
        if self.refused.len() < 100 {
            let what: String = what.chars().take(60).collect();
            self.refused.push(format!("{source}: '{what}' is no indicator"));
        }
    }
}

/// Undoes what people do so that nobody clicks.
fn refanged(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for (from, to) in [
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("(dot)", "."),
        ("[:]", ":"),
        ("[://]", "://"),
        ("[@]", "@"),
    ] {
        if text.contains(from) {
            text = text.replace(from, to);
        }
    }
    if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("hxxp")) {
        text.replace_range(1..3, "tt");
        text.replace_range(..4, "http");
    }
    text
}

/// What a value without a stated kind is.
fn recognised(text: &str) -> Option<(Kind, String)> {
    let text = refanged(text);
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    if text.contains("://") {
        return Some((Kind::Url, text));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((Kind::Address, address.to_canonical().to_string()));
    }
    if let Ok(network) = text.parse::<IpNet>() {
        return Some((Kind::Network, network.trunc().to_string()));
    }
    if text.starts_with('/') {
        return Some((Kind::Path, text));
    }
    if let Some(hash) = hash(&text) {
        return Some((Kind::Hash, hash));
    }
    // `name.ext` is a domain by its form; known endings of files are names.
    let file_like = text.rsplit_once('.').is_some_and(|(_, ending)| {
        ["sh", "py", "pl", "so", "ko", "elf", "bin", "exe", "dll", "php", "jar", "ps1", "js"].contains(&ending)
    });
    // `sh`, `py`, `so`, `pl` are countries too: with more than one dot it is a domain.
    if let Some(domain) = domain(&text).filter(|_| !file_like || text.matches('.').count() > 1) {
        return Some((Kind::Domain, domain));
    }
    let plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    plain.then_some((Kind::Name, text))
}

fn domain(text: &str) -> Option<String> {
    let text = text.trim_end_matches('.').trim_start_matches("*.").to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels: Vec<&str> = text.split('.').collect();
    let top = labels.last().is_some_and(|top| top.len() > 1 && top.bytes().any(|byte| byte.is_ascii_alphabetic()));
    (labels.len() > 1 && text.len() <= 253 && top && labels.iter().all(|part| label(part))).then_some(text)
}

fn hash(text: &str) -> Option<String> {
    let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal && [32, 40, 64].contains(&text.len())).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic
    use super::*;

    #[test]
    fn values_are_recognised_by_their_form() {
        for (text, kind, value) in [
            ("203[.]0[.]113[.]66", Kind::Address, "203.0.113.66"),
            ("::ffff:10.0.0.1", Kind::Address, "10.0.0.1"),
            ("2001:DB8::1", Kind::Address, "2001:db8::1"),
            ("10.1.2.3/8", Kind::Network, "10.0.0.0/8"),
            ("Evil.Example.COM.", Kind::Domain, "evil.example.com"),
            ("hxxps://evil[.]example/x", Kind::Url, "https://evil.example/x"),
            ("/dev/shm/.d", Kind::Path, "/dev/shm/.d"),
            ("D41D8CD98F00B204E9800998ECF8427E", Kind::Hash, "d41d8cd98f00b204e9800998ecf8427e"),
            ("xmrig", Kind::Name, "xmrig"),
            ("dropper.sh", Kind::Name, "dropper.sh"),
            ("bad.actor.sh", Kind::Domain, "bad.actor.sh"),
        ] {
            assert_eq!(recognised(text), Some((kind, value.to_owned())), "{text}");
        }
        assert_eq!(recognised("two words"), None);
        assert_eq!(recognised(""), None);
    }

    #[test]
    fn lists_and_tables_are_read_with_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        let text = "type,value,comment\nip,198.51.100.23,mining pool\n# remark\n203.0.113.66\n,\nfilename,xmrig,miner\nip,not an ip\n";
        std::fs::write(&path, text).unwrap();
        let indicators = Indicators::read(&[&path]).unwrap();
        let told: Vec<_> =
            indicators.list.iter().map(|i| (i.kind.name(), i.value.as_str(), i.about.as_str())).collect();
        assert_eq!(
            told,
            [("address", "198.51.100.23", "mining pool"), ("address", "203.0.113.66", ""), ("name", "xmrig", "miner")]
        );
        assert!(indicators.list[0].source.ends_with("list.csv:2"));
        assert_eq!(indicators.refused_count, 2, "{:?}", indicators.refused);
    }
}
