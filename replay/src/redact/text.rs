//! Texts, word by word: paths, arguments, variables, names.
//!
//! A text is cut at blanks and punctuation, which stay. Each piece between them is one word, wherever it stands: a part of
//! a path, an argument, the value of a variable. So `/opt/acme/run.sh` in an argument and the same path of a descriptor
//! become the same text, and paths that shared their beginning still do. What becomes of a word:
//!
//! 1. dots, dashes, plus signs and low lines at its ends stay (hidden files, options);
//! 2. a word of the vocabulary stays; so do numbers below `/proc`, `/dev` and `/sys`, and a single letter after a dash;
//! 3. an address becomes the masked address, hexadecimal ids (12 digits or more) and UUIDs ids of the same form;
//! 4. a known ending (`.service`, `.sh`) stays, and so does what rules look for inside of words;
//! 5. everything else becomes a token: `x` and twelve hexadecimal digits, and six more where it is longer than 15 bytes,
//!    so that a command name that the kernel cut still begins the name of its program.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::FixedState;

use super::address::Addresses;
use super::key::Key;
use super::vocabulary::Vocabulary;

/// Words remembered; with more of them all are forgotten and made anew.
const MAX_REMEMBERED: usize = 1 << 17;
/// Bytes of a command name that the kernel keeps.
const COMM: usize = 15;
/// Digits by which a container is shown.
const SHORT_ID: usize = 12;
/// Pieces that one word is cut into at most; what is left then becomes a token.
const MAX_DEPTH: usize = 16;
/// Longest text of an IPv6 address.
const MAX_IPV6: usize = 45;
/// Kept words that are counted by name.
const MAX_KEPT: usize = 20_000;

/// Texts in which bare numbers are no secret.
const NUMBERED: &[&[u8]] = &[b"/proc/", b"/dev/", b"/sys/", b"pipe:[", b"socket:[", b"anon_inode:"];

/// What was done with words.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Words masked.
    pub(super) masked: u64,
    /// Words that stayed.
    pub(super) kept: u64,
    /// Those that stayed, and how often.
    pub(super) by_word: BTreeMap<Vec<u8>, u64>,
    /// Words that stayed and are not in there.
    pub(super) more: bool,
}

/// Masks texts.
pub(super) struct Texts {
    vocabulary: Vocabulary,
    /// By word, and whether numbers stay: what it becomes, and what of it stayed.
    made: HashMap<(Box<[u8]>, bool), Word, FixedState>,
    pub(super) tally: Tally,
}

/// What a word becomes.
#[derive(Clone, Debug, Default)]
struct Word {
    text: Vec<u8>,
    masked: u64,
    kept: Vec<Vec<u8>>,
}

/// Bytes that words are made of. Control bytes are no punctuation: nothing that is hidden in them gets through.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || b"_-.+".contains(&byte)
        || byte >= 0x7f
        || (byte < b' ' && !b"\0\t\n\r".contains(&byte))
}

fn is_affix(byte: u8) -> bool {
    b"_-.+".contains(&byte)
}

impl Texts {
    pub(super) fn new(vocabulary: Vocabulary) -> Self {
        Self { vocabulary, made: HashMap::default(), tally: Tally::default() }
    }

    /// Appends what stands for `text`.
    pub(super) fn mask(&mut self, text: &[u8], key: &Key, addresses: &mut Addresses, out: &mut Vec<u8>) {
        let mut at = 0;
        // Entries of a list are texts of their own.
        let mut entry = 0;
        while let Some(&byte) = text.get(at) {
            let rest = &text[at..];
            let begins = at == 0 || !is_word_byte(text[at - 1]);
            if begins && let Some(len) = ipv6_len(rest) {
                if let Some(ip) = std::str::from_utf8(&rest[..len]).ok().and_then(|ip| ip.parse::<Ipv6Addr>().ok()) {
                    out.extend_from_slice(addresses.mask(IpAddr::V6(ip), key).to_string().as_bytes());
                    self.tally.masked += 1;
                }
                at += len;
                continue;
            }
            if byte == b'/'
                && (at == 0 || !(is_word_byte(text[at - 1]) || text[at - 1] == b'/'))
                && let Some(len) = self.vocabulary.kept_path(rest)
            {
                out.extend_from_slice(&rest[..len]);
                self.tally.kept += 1;
                at += len;
                continue;
            }
            if !is_word_byte(byte) {
                out.push(byte);
                at += 1;
                if byte == 0 || byte == b' ' || byte == b'=' {
                    entry = at;
                }
                continue;
            }
            let len = rest.iter().position(|byte| !is_word_byte(*byte)).unwrap_or(rest.len());
            let numbered = NUMBERED.iter().any(|start| text[entry..].starts_with(start));
            self.word(&rest[..len], numbered, key, addresses, out);
            at += len;
        }
    }

    fn word(&mut self, word: &[u8], numbered: bool, key: &Key, addresses: &mut Addresses, out: &mut Vec<u8>) {
        let known = (Box::from(word), numbered);
        if !self.made.contains_key(&known) {
            if self.made.len() >= MAX_REMEMBERED {
                self.made.clear();
            }
            let mut made = Word::default();
            let mut maker = Maker { vocabulary: &self.vocabulary, key, addresses, numbered, made: &mut made };
            maker.word(word, 0);
            self.made.insert(known.clone(), made);
        }
        let Some(made) = self.made.get(&known) else { return };
        out.extend_from_slice(&made.text);
        self.tally.masked += made.masked;
        self.tally.kept += made.kept.len() as u64;
        for kept in &made.kept {
            if let Some(count) = self.tally.by_word.get_mut(kept) {
                *count += 1;
            } else if self.tally.by_word.len() < MAX_KEPT {
                self.tally.by_word.insert(kept.clone(), 1);
            } else {
                self.tally.more = true;
            }
        }
    }
}

/// Makes one word.
struct Maker<'m> {
    vocabulary: &'m Vocabulary,
    key: &'m Key,
    addresses: &'m mut Addresses,
    numbered: bool,
    made: &'m mut Word,
}

impl Maker<'_> {
    fn keep(&mut self, word: &[u8]) {
        self.made.text.extend_from_slice(word);
        self.made.kept.push(word.to_vec());
    }

    fn word(&mut self, word: &[u8], depth: usize) {
        let start = word.iter().position(|byte| !is_affix(*byte)).unwrap_or(word.len());
        let end = word.iter().rposition(|byte| !is_affix(*byte)).map_or(start, |last| last + 1);
        let (before, core, after) = (&word[..start], &word[start..end], &word[end..]);
        if depth == 0
            && let Some(len) = self.vocabulary.opener(word).filter(|len| *len < word.len())
            && !self.vocabulary.has(core)
        {
            self.keep(&word[..len]);
            return self.word(&word[len..], 1);
        }
        self.made.text.extend_from_slice(before);
        if depth > 0 && before.ends_with(b".") && self.vocabulary.is_ending(core) {
            // What is left of a word whose other part was an id.
            self.keep(core);
        } else if !core.is_empty() {
            self.core(core, before.contains(&b'-'), depth);
        }
        self.made.text.extend_from_slice(after);
    }

    fn core(&mut self, core: &[u8], is_option: bool, depth: usize) {
        let forced = self.vocabulary.is_forced(core);
        if !forced && (self.vocabulary.has(core) || (is_option && core.len() == 1 && core[0].is_ascii_alphabetic())) {
            return self.keep(core);
        }
        if self.numbered && core.iter().all(u8::is_ascii_digit) {
            return self.keep(core);
        }
        if forced || depth >= MAX_DEPTH {
            return self.token(core);
        }
        if let Some(ip) = std::str::from_utf8(core).ok().and_then(|core| core.parse::<Ipv4Addr>().ok()) {
            let ip = self.addresses.mask(IpAddr::V4(ip), self.key);
            self.made.text.extend_from_slice(ip.to_string().as_bytes());
            self.made.masked += 1;
            return;
        }
        if let Some((start, end)) = id_in(core) {
            self.word(&core[..start], depth + 1);
            self.id(&core[start..end]);
            return self.word(&core[end..], depth + 1);
        }
        if let Some(dot) = memchr::memrchr(b'.', core).filter(|dot| *dot > 0)
            && self.vocabulary.is_ending(&core[dot + 1..])
        {
            self.word(&core[..dot], depth + 1);
            self.made.text.push(b'.');
            return self.keep(&core[dot + 1..]);
        }
        if let Some((start, end)) = self.vocabulary.fragment(core) {
            self.word(&core[..start], depth + 1);
            self.keep(&core[start..end]);
            return self.word(&core[end..], depth + 1);
        }
        self.token(core);
    }

    fn token(&mut self, core: &[u8]) {
        self.made.masked += 1;
        let digits = |purpose: &str, value: &[u8], n: usize| -> String {
            self.key.digest(purpose, value).to_hex().as_str().chars().take(n).collect()
        };
        let is_long = core.len() > COMM;
        let head = if is_long { &core[..COMM] } else { core };
        let head = &head[..head.iter().rposition(|byte| !is_affix(*byte)).map_or(0, |last| last + 1)];
        let mut token = format!("x{}", digits("word", head, 12));
        if is_long {
            token.push_str(&digits("rest of a word", core, 6));
        }
        self.made.text.extend_from_slice(token.as_bytes());
    }

    /// Digits in the place of digits. The first twelve of them depend on nothing else, as containers are known by them.
    fn id(&mut self, id: &[u8]) {
        self.made.masked += 1;
        let lower: Vec<u8> = id.iter().filter(|byte| byte.is_ascii_hexdigit()).map(u8::to_ascii_lowercase).collect();
        let mut bytes = vec![0; lower.len()];
        let short = lower.len().min(SHORT_ID);
        self.key.stream("id", &lower[..short], &mut bytes[..short]);
        self.key.stream("rest of an id", &lower, &mut bytes[short..]);
        let mut digits = bytes.into_iter();
        for &byte in id {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
            let new = if byte.is_ascii_hexdigit() { digits.next().map_or(b'0', digit) } else { byte };
            self.made.text.push(new);
        }
    }
}

/// Length of an IPv6 address at the start of a text.
fn ipv6_len(text: &[u8]) -> Option<usize> {
    let of = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':' || *byte == b'.';
    let len = text.iter().take(MAX_IPV6 + 1).take_while(|byte| of(byte)).count();
    if len > MAX_IPV6 || text.get(len).is_some_and(|byte| is_word_byte(*byte)) {
        return None;
    }
    let colons = memchr::memchr_iter(b':', &text[..len]).count();
    let parses = || std::str::from_utf8(&text[..len]).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    (colons >= 2 && len > 2 && parses()).then_some(len)
}

/// Where a word has a UUID, or twelve and more hexadecimal digits between other characters.
fn id_in(word: &[u8]) -> Option<(usize, usize)> {
    uuid_in(word).or_else(|| {
        let mut start = 0;
        for run in word.split(|byte| !byte.is_ascii_alphanumeric()) {
            if run.len() >= SHORT_ID && run.iter().all(u8::is_ascii_hexdigit) {
                return Some((start, start + run.len()));
            }
            start += run.len() + 1;
        }
        None
    })
}

/// Five groups of hexadecimal digits between dashes, or between low lines as in names of control groups.
fn uuid_in(word: &[u8]) -> Option<(usize, usize)> {
    const LEN: usize = 36;
    word.windows(LEN)
        .position(|window| {
            window.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-' || *byte == b'_',
                _ => byte.is_ascii_hexdigit(),
            })
        })
        .map(|start| (start, start + LEN))
}

#[cfg(test)]
mod tests {
    use super::super::address::Networks;
    use super::super::vocabulary::Place;
    use super::*;

    fn masked(text: &str) -> String {
        let mut vocabulary = Vocabulary::built_in();
        vocabulary.add_fragment(b"miner", Place::Anywhere);
        vocabulary.add_path(b"/opt/agent");
        let mut out = Vec::new();
        let mut addresses = Addresses::new(Networks::known());
        Texts::new(vocabulary).mask(text.as_bytes(), &Key::of([1; 32]), &mut addresses, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn structure_stays_and_words_go() {
        let line = masked("/usr/bin/curl --header=X-Api:hunter2 https://alice:s3cret@build.corp/x.sh -o /tmp/.hidden");
        for gone in ["hunter2", "alice", "s3cret", "build", "corp", "hidden"] {
            assert!(!line.contains(gone), "{line}");
        }
        assert!(line.starts_with("/usr/bin/curl --") && line.contains("https://x"), "{line}");
        assert!(line.contains(".sh -o /tmp/.x"), "{line}");
    }

    #[test]
    fn the_same_word_is_the_same_everywhere() {
        let word = masked("acme");
        assert_eq!(word.len(), 13);
        assert_eq!(masked("/srv/acme/acme"), format!("/srv/{word}/{word}"));
        assert_eq!(masked("--name=acme"), format!("--{}={word}", masked("name").trim_start_matches('-')));
        // The kernel cuts command names.
        let long = masked("acme-collector-daemon");
        assert!(long.starts_with(masked("acme-collector-").trim_end_matches('-')) && long.len() == 19, "{long}");
    }

    #[test]
    fn ids_keep_their_form_and_their_beginning() {
        let full = "3ad7b26ded6d0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899a";
        let path = masked(&format!("/system.slice/docker-{full}.scope"));
        let id = path.strip_prefix("/system.slice/docker-").and_then(|rest| rest.strip_suffix(".scope"));
        let id = id.unwrap_or_default();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id != full, "{path}");
        assert_eq!(masked("3ad7b26ded6d"), id[..12]);
        let slice = masked("/kubepods.slice/kubepods-burstable-pod0f1e2d3c_1111_2222_3333_444455556666.slice");
        assert!(slice.starts_with("/kubepods.slice/kubepods-burstable-pod"), "{slice}");
        assert_eq!(slice.strip_suffix(".slice").map(str::len), Some(74), "{slice}");
        let pod = masked("/kubepods/burstable/pod0f1e2d3c-1111-2222-3333-444455556666");
        assert!(pod.starts_with("/kubepods/burstable/pod") && pod.len() == 59 && !pod.contains("0f1e2d3c"), "{pod}");
    }

    #[test]
    fn addresses_in_texts_are_those_of_sockets() {
        let mut addresses = Addresses::new(Networks::known());
        let ip = addresses.mask("203.0.113.66".parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), &Key::of([1; 32]));
        assert_eq!(masked("203.0.113.66"), ip.to_string());
        let url = masked("http://203.0.113.66/dropper");
        assert!(url.starts_with(&format!("http://{ip}/x")), "{url}");
        assert_eq!(masked("::1"), "::1");
        assert!(!masked("[2001:db8::beef]").contains("beef"));
    }

    #[test]
    fn numbers_stay_only_where_the_kernel_writes_them() {
        assert_eq!(masked("/proc/1234/fd/7"), "/proc/1234/fd/7");
        assert_eq!(masked("pipe:[4711]"), "pipe:[4711]");
        assert!(!masked("--pin 4711").contains("4711"));
    }

    #[test]
    fn what_rules_look_for_inside_of_words_stays() {
        let word = masked("xminer2000");
        assert!(word.contains("miner") && !word.contains("2000"), "{word}");
        assert_eq!(masked("/opt/agent/secret-name"), format!("/opt/agent/{}", masked("secret-name")));
    }

    #[test]
    fn what_cannot_be_printed_hides_nothing() {
        assert!(!masked("a\u{1}hunter2\u{7f}").contains("hunter2"));
        assert!(!masked("bücher").contains("cher"));
    }
}
