//! Values that fields give to comparisons and outputs.

use std::borrow::Cow;
use std::net::IpAddr;

/// One value of a field. Text and bytes are not assumed to be UTF-8.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'e> {
    /// Text.
    Text(Cow<'e, [u8]>),
    /// Bytes (`evt.buffer`).
    Bytes(Cow<'e, [u8]>),
    /// Signed number.
    I64(i64),
    /// Unsigned number: also times, flags, ports, uids.
    U64(u64),
    /// Floating point.
    Double(f64),
    /// Truth value.
    Bool(bool),
    /// Address (`ipaddr` and `ipnet` fields).
    Ip(IpAddr),
}

impl<'e> Value<'e> {
    /// Text borrowed from the event or the state.
    pub fn text(text: &'e [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Text made for this call.
    pub fn owned(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }
}
