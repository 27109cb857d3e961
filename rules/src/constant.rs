//! Constants of conditions, converted to the type of the field they are compared with. All of it happens once, when a
//! rule is compiled; evaluation never parses.
//!
//! Falco converts C strings, so what follows a zero byte does not count, except in texts, where it is an error, and in
//! bytes, where it is a byte like any other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::matcher::c_text;
use crate::schema::FieldType;
use crate::services;

/// Bytes that a constant may have.
pub(crate) const MAX_LENGTH: usize = 255;

/// How a type is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Text,
    Bytes,
    /// Whole numbers by sign and width in bits.
    Int {
        signed: bool,
        bits: u32,
    },
    Double,
    Bool,
    Ip,
    Net,
    /// Only `exists` works on it.
    Opaque,
}

/// How values of a type are compared.
pub(crate) fn kind(ty: FieldType) -> Kind {
    use FieldType as T;
    let int = |signed, bits| Kind::Int { signed, bits };
    match ty {
        T::Text => Kind::Text,
        T::Bytes => Kind::Bytes,
        T::Int8 => int(true, 8),
        T::Int16 => int(true, 16),
        T::Int32 => int(true, 32),
        T::Int64 | T::Fd | T::Pid | T::Errno => int(true, 64),
        T::Uint8 | T::Flags8 | T::Sigtype => int(false, 8),
        T::Uint16 | T::Flags16 | T::Port | T::SyscallId => int(false, 16),
        T::Uint32 | T::Flags32 | T::Mode | T::Uid | T::Gid => int(false, 32),
        T::Uint64 | T::Reltime | T::Abstime => int(false, 64),
        T::Double => Kind::Double,
        T::Bool => Kind::Bool,
        T::IpAddr => Kind::Ip,
        T::IpNet => Kind::Net,
        T::L4Proto | T::SockFamily | T::Dyn => Kind::Opaque,
    }
}

/// A whole number of a type with the given sign and width; port names are for ports only.
pub(crate) fn int(text: &[u8], ty: FieldType) -> Result<i128, String> {
    let text = c_text(text);
    if ty == FieldType::Port {
        return port(text).map(i128::from);
    }
    let Kind::Int { signed, bits } = kind(ty) else { return Err("this field takes no number".to_owned()) };
    let number = decimal(text)?;
    Ok(if signed { i128::from(wrap_signed(number.signed(), bits)) } else { i128::from(number.unsigned() & mask(bits)) })
}

/// A number for a field of floating point: whole, like all numbers of the language.
pub(crate) fn double(text: &[u8]) -> Result<f64, String> {
    Ok(decimal(c_text(text))?.signed() as f64)
}

/// Bits of an unsigned number of that width.
pub(crate) fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// A signed number cut to a width.
pub(crate) fn wrap_signed(number: i64, bits: u32) -> i64 {
    let unused = 64 - bits.min(64);
    number << unused >> unused
}

/// A decimal number as C's `scanf` reads it: leading white space, a sign, digits, and nothing behind.
struct Decimal {
    negative: bool,
    /// `None` when it does not fit 64 bits.
    magnitude: Option<u64>,
}

impl Decimal {
    /// Saturates beyond 64 bits, before anything is cut to a smaller width.
    fn signed(&self) -> i64 {
        let limit = if self.negative { i64::MIN } else { i64::MAX };
        let Some(magnitude) = self.magnitude else { return limit };
        let value = i128::from(magnitude) * if self.negative { -1 } else { 1 };
        i64::try_from(value).unwrap_or(limit)
    }

    /// Negative numbers wrap around; beyond 64 bits the largest.
    fn unsigned(&self) -> u64 {
        match self.magnitude {
            None => u64::MAX,
            Some(magnitude) if self.negative => magnitude.wrapping_neg(),
            Some(magnitude) => magnitude,
        }
    }
}

fn decimal(text: &[u8]) -> Result<Decimal, String> {
    let wrong = || {
        let shown = String::from_utf8_lossy(text);
        let why = if text.starts_with(b"0x") || text.starts_with(b"0X") {
            "hexadecimal constants do not work in the rule language"
        } else if text.contains(&b'.') {
            "numbers are whole"
        } else {
            "a decimal number is needed"
        };
        format!("`{shown}` is not a number: {why}")
    };
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let rest = &text[blanks..];
    let (negative, digits) = match rest.first() {
        Some(b'-') => (true, &rest[1..]),
        Some(b'+') => (false, &rest[1..]),
        _ => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let mut magnitude = Some(0_u64);
    for digit in digits {
        magnitude = magnitude.and_then(|m| m.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    }
    Ok(Decimal { negative, magnitude })
}

/// The number `evt.num` is compared with, for the event type index; `None` when it is no number.
pub(crate) fn uint64(text: &[u8]) -> Option<u64> {
    decimal(c_text(text)).ok().map(|number| number.unsigned())
}

/// A port by number or by the name of a service. Empty text is 0.
fn port(text: &[u8]) -> Result<u16, String> {
    if text.iter().all(u8::is_ascii_digit) {
        let number = if text.is_empty() { 0 } else { decimal(text)?.unsigned() };
        // A 32-bit number is read and then cut.
        return if i32::try_from(number).is_ok() {
            Ok(number as u16)
        } else {
            Err(format!("`{}` is too large for a port", String::from_utf8_lossy(text)))
        };
    }
    services::port(text)
        .ok_or_else(|| format!("`{}` is neither a port number nor a known service", String::from_utf8_lossy(text)))
}

/// A truth value: these two words and no others.
pub(crate) fn boolean(text: &[u8]) -> Result<bool, String> {
    match c_text(text) {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(format!("`{}` is neither `true` nor `false`", String::from_utf8_lossy(text))),
    }
}

/// An address: IPv4 when it has a dot, else IPv6.
pub(crate) fn address(text: &[u8]) -> Result<IpAddr, String> {
    let text = c_text(text);
    let shown = String::from_utf8_lossy(text);
    let parsed = if text.contains(&b'.') {
        shown.parse::<Ipv4Addr>().map(IpAddr::V4).ok()
    } else {
        shown.parse::<Ipv6Addr>().map(IpAddr::V6).ok()
    };
    parsed.ok_or_else(|| format!("`{shown}` is not an IP address; host names do not work here"))
}

/// A network: address and prefix length. IPv6 networks of length 0 are refused, as Falco does.
pub(crate) fn network(text: &[u8]) -> Result<IpNet, String> {
    let shown = String::from_utf8_lossy(c_text(text));
    let wrong = || format!("`{shown}` is not a network; write an address, `/` and a prefix length");
    let (addr, len) = shown.split_once('/').ok_or_else(wrong)?;
    if len.is_empty() || len.len() > 3 || !len.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let len: u8 = len.parse().map_err(|_| wrong())?;
    match address(addr.as_bytes())? {
        IpAddr::V4(addr) => Ipv4Net::new(addr, len).map(IpNet::V4).map_err(|_| wrong()),
        IpAddr::V6(_) if len == 0 => Err("IPv6 networks of length 0 do not work in the rule language".to_owned()),
        IpAddr::V6(addr) => Ipv6Net::new(addr, len).map(IpNet::V6).map_err(|_| wrong()),
    }
    .map(|net| net.trunc())
}

/// Bytes written as hexadecimal digits.
pub(crate) fn hexadecimal(text: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> = if text.len().is_multiple_of(2) {
        text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
    } else {
        None
    };
    bytes.ok_or_else(|| format!("`{}` is not an even number of hexadecimal digits", String::from_utf8_lossy(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap_and_saturate() {
        let ok = |text: &str, ty| int(text.as_bytes(), ty).ok();
        assert_eq!(ok("-1", FieldType::Uint32), Some(4_294_967_295));
        assert_eq!(ok("65534", FieldType::Int16), Some(-2));
        assert_eq!(ok("99999999999999999999", FieldType::Uint64), Some(i128::from(u64::MAX)));
        assert_eq!(ok("99999999999999999999", FieldType::Int64), Some(i128::from(i64::MAX)));
        assert_eq!(ok("-99999999999999999999", FieldType::Int64), Some(i128::from(i64::MIN)));
        assert_eq!(ok(" +007", FieldType::Int64), Some(7));
        assert_eq!(ok("7\0x", FieldType::Int64), Some(7));
        assert_eq!(ok("\x0b7", FieldType::Int64), Some(7));
        assert_eq!(ok("7 ", FieldType::Int64), None);
        assert_eq!(ok("0x10", FieldType::Int64), None);
        assert_eq!(ok("1.5", FieldType::Int64), None);
        assert_eq!(ok("", FieldType::Int64), None);
        assert_eq!(ok("-", FieldType::Int64), None);
    }

    #[test]
    fn ports_have_names() {
        let ok = |text: &str| int(text.as_bytes(), FieldType::Port).ok();
        assert_eq!(ok("https"), Some(443));
        assert_eq!(ok("65979"), Some(443));
        assert_eq!(ok(""), Some(0));
        assert_eq!(ok("-1"), None);
        assert_eq!(ok("nosuchservice"), None);
        assert_eq!(ok("99999999999"), None);
    }

    #[test]
    fn networks_and_addresses() {
        assert_eq!(network(b"93.184.216.34/24").ok(), "93.184.216.0/24".parse().ok());
        assert!(network(b"0.0.0.0/0").is_ok());
        assert!(network(b"2001:db8::/1").is_ok());
        for wrong in ["10.0.0.1", "10.0.0.0/33", "::/0", "::1/129", "1.2.3.4/", "1.2.3.4/x", "/8"] {
            assert!(network(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(address(b"::ffff:1.2.3.4").is_err(), "a dot makes it IPv4");
        assert!(address(b"example.com").is_err());
    }
}
