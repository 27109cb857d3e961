//! One value of one kind: what stands for it, and what is written down of that.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{Addresses, Networks};
use super::document;
use super::key::Key;
use super::policy::{Action, Policy};
use super::text::Texts;
use super::vocabulary::Vocabulary;

/// Declares the kinds of values with their names in policies and manifests.
macro_rules! kinds {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// What a value tells of.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Kind { $($(#[$meta])* $variant,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in policies and manifests.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    /// Arguments of programs.
    Arguments = "arguments",
    /// Variables of programs.
    Environment = "environment",
    /// Paths and names of files.
    Paths = "paths",
    /// Names of programs and whatever else is a text.
    Names = "names",
    /// Users, groups, homes, shells.
    Users = "users",
    /// Name of the machine, its interfaces.
    Hosts = "hosts",
    /// Addresses of the network, of sockets in the kernel.
    Addresses = "addresses",
    /// Containers: names, ids, images, labels, control groups.
    Containers = "containers",
    /// JSON documents of plugin events: audit logs.
    Documents = "documents",
    /// What calls read and wrote, and every other value that can hold anything.
    Buffers = "buffers",
}

/// What was done with the values of a kind or field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Values with content.
    pub values: u64,
    /// Values that are others now.
    pub changed: u64,
}

impl Count {
    fn add(&mut self, changed: bool) {
        self.values += 1;
        self.changed += u64::from(changed);
    }
}

/// Masks values.
pub(super) struct Masker<'p> {
    pub(super) key: &'p Key,
    pub(super) policy: &'p Policy,
    pub(super) texts: Texts,
    pub(super) addresses: Addresses,
    pub(super) by_kind: BTreeMap<Kind, Count>,
    pub(super) by_field: BTreeMap<String, Count>,
}

const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl<'p> Masker<'p> {
    pub(super) fn new(key: &'p Key, policy: &'p Policy, vocabulary: Vocabulary, networks: Networks) -> Self {
        let (texts, addresses) = (Texts::new(vocabulary), Addresses::new(networks));
        Self { key, policy, texts, addresses, by_kind: BTreeMap::new(), by_field: BTreeMap::new() }
    }

    /// Appends what stands for `value` of `field`, and writes it down. `make` masks it.
    pub(super) fn value(
        &mut self,
        kind: Kind,
        field: &str,
        value: &[u8],
        out: &mut Vec<u8>,
        make: impl FnOnce(&mut Self, &[u8], &mut Vec<u8>),
    ) {
        let start = out.len();
        match self.policy.action(kind, field) {
            Action::Keep => out.extend_from_slice(value),
            Action::Remove => {}
            Action::Mask => make(self, value, out),
        }
        let changed = out.get(start..) != Some(value);
        self.by_kind.entry(kind).or_default().add(changed);
        match self.by_field.get_mut(field) {
            Some(count) => count.add(changed),
            None => self.by_field.entry(field.to_owned()).or_default().add(changed),
        }
    }

    /// A text of a snapshot, in its place.
    pub(super) fn text_in(&mut self, kind: Kind, field: &str, text: &mut Vec<u8>) {
        if !text.is_empty() {
            let mut out = Vec::with_capacity(text.len());
            self.value(kind, field, text, &mut out, Self::text);
            *text = out;
        }
    }

    /// An address of a snapshot.
    pub(super) fn address_of(&mut self, field: &str, ip: IpAddr) -> IpAddr {
        let mut new = ip;
        let bytes = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let mut out = Vec::new();
        self.value(Kind::Addresses, field, &bytes(ip), &mut out, |own, _, out| {
            new = own.addresses.mask(ip, own.key);
            *out = bytes(new);
        });
        // Where it is removed, nothing of it stays.
        match (out.is_empty(), ip) {
            (false, _) => new,
            (true, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (true, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// An address of the kernel's memory; 0 is none.
    pub(super) fn pointer_of(&mut self, field: &str, pointer: u64) -> u64 {
        let mut out = Vec::new();
        self.value(Kind::Addresses, field, &pointer.to_le_bytes(), &mut out, Self::pointer);
        out.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    pub(super) fn text(&mut self, value: &[u8], out: &mut Vec<u8>) {
        self.texts.mask(value, self.key, &mut self.addresses, out);
    }

    /// As many bytes, all of them hexadecimal digits: the same bytes always become the same.
    pub(super) fn buffer(&mut self, value: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + value.len(), 0);
        let own = &mut out[start..];
        self.key.stream("buffer", value, own);
        for byte in own {
            *byte = b"0123456789abcdef"[usize::from(*byte & 15)];
        }
    }

    pub(super) fn pointer(&mut self, value: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(value);
        if value.iter().any(|byte| *byte != 0) {
            self.key.stream("pointer", value, &mut out[start..]);
        }
    }

    /// `PT_IPV4ADDR`, `PT_IPV6ADDR`, by length.
    pub(super) fn ip(&mut self, value: &[u8], out: &mut Vec<u8>) {
        let ip = match value.len() {
            4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
            16 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
            _ => None,
        };
        match ip.map(|ip| self.addresses.mask(ip, self.key)) {
            Some(IpAddr::V4(ip)) => out.extend_from_slice(&ip.octets()),
            Some(IpAddr::V6(ip)) => out.extend_from_slice(&ip.octets()),
            None => self.buffer(value, out),
        }
    }

    /// `PT_SOCKADDR` and `PT_SOCKTUPLE`: family, then addresses of its kind, each with its port; ports stay.
    pub(super) fn socket(&mut self, value: &[u8], is_tuple: bool, out: &mut Vec<u8>) {
        let Some((&family, mut rest)) = value.split_first() else { return };
        out.push(family);
        match family {
            AF_UNIX => {
                for _ in 0..if is_tuple { 2 } else { 0 } {
                    let (pointer, after) = rest.split_at(rest.len().min(8));
                    self.pointer(pointer, out);
                    rest = after;
                }
                self.text(rest, out);
            }
            AF_INET | AF_INET6 => {
                let width = if family == AF_INET { 4 } else { 16 };
                for _ in 0..if is_tuple { 2 } else { 1 } {
                    let (ip, after) = rest.split_at(rest.len().min(width));
                    let (port, after) = after.split_at(after.len().min(2));
                    self.ip(ip, out);
                    out.extend_from_slice(port);
                    rest = after;
                }
                self.buffer(rest, out);
            }
            _ => self.buffer(rest, out),
        }
    }

    /// JSON, with a NUL at its end or not; what is none is a buffer.
    pub(super) fn document(&mut self, value: &[u8], out: &mut Vec<u8>) {
        let text = value.strip_suffix(b"\0").unwrap_or(value);
        let masked = document::mask(text, &mut |text| {
            let mut out = Vec::new();
            self.texts.mask(text.as_bytes(), self.key, &mut self.addresses, &mut out);
            // Only words of ASCII and of the vocabulary come out; what was UTF-8 stays UTF-8.
            String::from_utf8_lossy(&out).into_owned()
        });
        match masked {
            Some(masked) => {
                out.extend_from_slice(masked.as_bytes());
                out.extend_from_slice(&value[text.len()..]);
            }
            None => self.buffer(value, out),
        }
    }
}
