//! Addresses: masked so that networks stay networks.
//!
//! Bit by bit, each flipped or not as a keyed hash of the bits before it says: two addresses share as many leading bits
//! after it as they did before, and no two become one. The leading bits by which a special network is known (private,
//! link-local, documentation, …) stay, and what is not in one never gets into one, so that rules which ask where an
//! address belongs say the same. Addresses that mean the same everywhere (loopback, unspecified, broadcast, multicast, the
//! metadata service of clouds) stay as they are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::FixedState;

use super::key::Key;

/// Addresses remembered; with more of them all are forgotten and made anew.
const MAX_REMEMBERED: usize = 1 << 16;

/// Attempts to stay in a network; each halves what is left at worst.
const MAX_WALK: usize = 1000;

/// What happens to the addresses of a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Nothing.
    Stays,
    /// Its own bits stay.
    Within,
}

/// Networks that rules and people know.
const KNOWN: &[(&str, Fate)] = &[
    ("0.0.0.0/32", Fate::Stays),
    ("255.255.255.255/32", Fate::Stays),
    ("127.0.0.0/8", Fate::Stays),
    ("169.254.169.254/32", Fate::Stays),
    ("224.0.0.0/4", Fate::Stays),
    ("0.0.0.0/8", Fate::Within),
    ("10.0.0.0/8", Fate::Within),
    ("100.64.0.0/10", Fate::Within),
    ("169.254.0.0/16", Fate::Within),
    ("172.16.0.0/12", Fate::Within),
    ("192.0.2.0/24", Fate::Within),
    ("192.168.0.0/16", Fate::Within),
    ("198.18.0.0/15", Fate::Within),
    ("198.51.100.0/24", Fate::Within),
    ("203.0.113.0/24", Fate::Within),
    ("240.0.0.0/4", Fate::Within),
    ("::/128", Fate::Stays),
    ("::1/128", Fate::Stays),
    ("ff00::/8", Fate::Stays),
    ("fe80::/10", Fate::Within),
    ("fc00::/7", Fate::Within),
    ("2001:db8::/32", Fate::Within),
    ("2000::/3", Fate::Within),
];

/// A network of one family.
#[derive(Clone, Copy, Debug)]
struct Net {
    bits: u128,
    len: u32,
    fate: Fate,
}

/// Networks of one family, the narrowest first.
#[derive(Clone, Debug, Default)]
struct Family {
    width: u32,
    nets: Vec<Net>,
}

/// All there is to know to mask addresses, but the key.
#[derive(Clone, Debug)]
pub struct Networks {
    v4: Family,
    v6: Family,
}

/// An address and the length of a network around it: `10.0.0.0/8`, `10.1.2.3`.
pub(super) fn parse(text: &str) -> Option<(IpAddr, u32)> {
    let (ip, len) = text.split_once('/').map_or((text, None), |(ip, len)| (ip, Some(len)));
    let ip: IpAddr = ip.parse().ok()?;
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let len = len.map_or(Some(width), |len| len.parse().ok().filter(|len| *len <= width))?;
    Some((ip, len))
}

fn prefix(bits: u128, len: u32, width: u32) -> u128 {
    if len == 0 { 0 } else { bits >> (width - len) }
}

impl Family {
    fn add(&mut self, bits: u128, len: u32, fate: Fate) {
        let known = self
            .nets
            .iter_mut()
            .find(|net| net.len == len && prefix(net.bits, len, self.width) == prefix(bits, len, self.width));
        match known {
            Some(net) => net.fate = if fate == Fate::Stays { fate } else { net.fate },
            None => self.nets.push(Net { bits, len, fate }),
        }
        self.nets.sort_by_key(|net| std::cmp::Reverse(net.len));
    }

    /// The narrowest network around an address.
    fn around(&self, bits: u128) -> Option<usize> {
        self.nets.iter().position(|net| prefix(net.bits, net.len, self.width) == prefix(bits, net.len, self.width))
    }

    fn mask(&self, bits: u128, key: &Key) -> u128 {
        let home = self.around(bits);
        let (kept, fate) = home.and_then(|net| self.nets.get(net)).map_or((0, Fate::Within), |net| (net.len, net.fate));
        if fate == Fate::Stays {
            return bits;
        }
        // Where it lands in another network it goes on; the way is a circle, so it comes home.
        let mut at = bits;
        for _ in 0..MAX_WALK {
            at = self.flip(at, kept, key);
            if self.around(at) == home {
                break;
            }
        }
        at
    }

    fn flip(&self, bits: u128, kept: u32, key: &Key) -> u128 {
        let mut flipped = bits;
        let mut before = [0; 17];
        for at in kept..self.width {
            before[0] = at as u8;
            before[1..].copy_from_slice(&prefix(bits, at, self.width).to_le_bytes());
            let purpose = if self.width == 32 { "ipv4" } else { "ipv6" };
            let bit = key.digest(purpose, &before).as_bytes()[0] & 1;
            flipped ^= u128::from(bit) << (self.width - 1 - at);
        }
        flipped
    }
}

impl Networks {
    /// The networks that everybody knows.
    pub fn known() -> Self {
        let mut networks =
            Self { v4: Family { width: 32, nets: Vec::new() }, v6: Family { width: 128, nets: Vec::new() } };
        for (text, fate) in KNOWN {
            networks.insert(text, *fate);
        }
        networks
    }

    fn insert(&mut self, text: &str, fate: Fate) -> bool {
        let Some((ip, len)) = parse(text) else { return false };
        match ip {
            IpAddr::V4(ip) => self.v4.add(u128::from(ip.to_bits()), len, fate),
            IpAddr::V6(ip) => self.v6.add(ip.to_bits(), len, fate),
        }
        true
    }

    /// Addresses of this network stay in it; false when it is none.
    pub(super) fn respect(&mut self, net: &str) -> bool {
        let single = !net.contains('/');
        self.insert(net, if single { Fate::Stays } else { Fate::Within })
    }

    /// Addresses of this network stay as they are; false when it is none.
    pub(super) fn keep(&mut self, net: &str) -> bool {
        self.insert(net, Fate::Stays)
    }
}

/// Masks addresses.
pub(super) struct Addresses {
    networks: Networks,
    made: HashMap<IpAddr, IpAddr, FixedState>,
}

impl Addresses {
    pub(super) fn new(networks: Networks) -> Self {
        Self { networks, made: HashMap::default() }
    }

    /// What stands for an address.
    pub(super) fn mask(&mut self, ip: IpAddr, key: &Key) -> IpAddr {
        if let Some(made) = self.made.get(&ip) {
            return *made;
        }
        let new = match ip {
            IpAddr::V4(ip) => {
                IpAddr::V4(Ipv4Addr::from_bits(self.networks.v4.mask(u128::from(ip.to_bits()), key) as u32))
            }
            IpAddr::V6(ip) => IpAddr::V6(match ip.to_ipv4_mapped() {
                Some(inner) => {
                    Ipv4Addr::from_bits(self.networks.v4.mask(u128::from(inner.to_bits()), key) as u32).to_ipv6_mapped()
                }
                None => Ipv6Addr::from_bits(self.networks.v6.mask(ip.to_bits(), key)),
            }),
        };
        if self.made.len() >= MAX_REMEMBERED {
            self.made.clear();
        }
        self.made.insert(ip, new);
        new
    }
}

#[cfg(test)]
mod tests {
    // Addresses written in the test are addresses.
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mask(text: &str) -> IpAddr {
        Addresses::new(Networks::known()).mask(text.parse().unwrap(), &Key::of([7; 32]))
    }

    #[test]
    fn addresses_stay_where_they_belong() {
        for same in
            ["127.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.169.254", "224.0.0.251", "::1", "::", "ff02::1"]
        {
            assert_eq!(mask(same).to_string(), same);
        }
        for (from, starts) in
            [("10.1.2.3", "10."), ("192.168.7.9", "192.168."), ("203.0.113.66", "203.0.113."), ("fe80::1:2", "fe")]
        {
            let new = mask(from).to_string();
            assert!(new.starts_with(starts) && new != from, "{from} {new}");
        }
        let mapped = mask("::ffff:10.1.2.3");
        assert_eq!(mapped.to_string(), format!("::ffff:{}", mask("10.1.2.3")));
    }

    #[test]
    fn public_addresses_stay_public_and_different() {
        let networks = Networks::known();
        let mut addresses = Addresses::new(networks.clone());
        let key = Key::of([9; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..2000_u32 {
            let ip = Ipv4Addr::from_bits(0x0800_0000 + n * 1_234_567 % 0x7000_0000);
            if networks.v4.around(u128::from(ip.to_bits())).is_some() {
                continue;
            }
            let IpAddr::V4(new) = addresses.mask(IpAddr::V4(ip), &key) else { panic!() };
            assert_eq!(networks.v4.around(u128::from(new.to_bits())), None, "{ip} {new}");
            assert!(seen.insert(new));
        }
    }

    #[test]
    fn neighbours_stay_neighbours() {
        let [a, b, c] = ["10.1.2.3", "10.1.2.200", "10.9.2.3"].map(|ip| mask(ip).to_string());
        let net = |ip: &str| ip.rsplit_once('.').unwrap().0.to_owned();
        assert_eq!(net(&a), net(&b));
        assert_ne!(net(&a), net(&c));
    }
}
