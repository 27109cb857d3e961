//! Verbs about sockets.

use casebook_fixtures::Endpoint;
use casebook_fixtures::flags;

use super::{Call, Told};
use crate::lab::script::{Teller, words};

/// Where connections of a script come from that do not say it.
fn local(remote: Endpoint) -> Endpoint {
    Endpoint::new(if remote.ip.is_ipv4() { "10.0.0.5" } else { "2001:db8::5" }, 40_000)
}

/// `from`, or where connections come from that do not say it.
fn source(t: &mut Teller<'_>, call: &mut Call<'_>, remote: Endpoint) -> Option<Endpoint> {
    let Some(node) = call.entries.take("from") else { return Some(local(remote)) };
    let from = t.endpoint(node)?;
    if from.ip.is_ipv4() != remote.ip.is_ipv4() {
        return t.notes.wrong(node.span, "both ends of a connection are IPv4, or both IPv6");
    }
    Some(from)
}

pub(super) fn connect(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let target = t.text(call.value)?;
    if target.starts_with('/') {
        let fd = t.trace.connect_unix(call.task, &target);
        return t.name_descriptor(call, fd);
    }
    let remote = t.endpoint(call.value)?;
    let from = source(t, call, remote)?;
    let fd = match t.result(call).ok()? {
        None => t.trace.connect(call.task, from, remote),
        Some(result) => {
            let family = if remote.ip.is_ipv4() { flags::AF_INET } else { flags::AF_INET6 };
            let fd = t.trace.socket(call.task, family, flags::SOCK_STREAM, 0);
            t.trace.connect_fd(call.task, fd, from, remote, result);
            fd
        }
    };
    t.name_descriptor(call, fd)
}

pub(super) fn listen(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let local = t.endpoint(call.value)?;
    let fd = t.trace.listen(call.task, local);
    t.name_descriptor(call, fd)
}

pub(super) fn accept(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let remote = t.endpoint(call.value)?;
    let local = match call.entries.take("on") {
        Some(node) => t.endpoint(node)?,
        None => Endpoint::new(if remote.ip.is_ipv4() { "10.0.0.5" } else { "2001:db8::5" }, 80),
    };
    if local.ip.is_ipv4() != remote.ip.is_ipv4() {
        return t.notes.wrong(call.value.span, "both ends of a connection are IPv4, or both IPv6");
    }
    let fd = t.trace.accept(call.task, remote, local);
    t.name_descriptor(call, fd)
}

pub(super) fn send(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let remote = t.endpoint(call.value)?;
    let from = source(t, call, remote)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    let fd = t.trace.send_datagram(call.task, from, remote, data.as_bytes());
    t.name_descriptor(call, fd)
}

pub(super) fn socket(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let text = t.text(call.value)?;
    let mut parts = text.split_whitespace();
    let domain = match parts.next() {
        Some("AF_UNIX") => flags::AF_UNIX,
        Some("AF_INET") => flags::AF_INET,
        Some("AF_INET6") => flags::AF_INET6,
        Some("AF_PACKET") => flags::AF_PACKET,
        other => match other.and_then(words::number) {
            Some(number) => number as u32,
            None => {
                return t.notes.wrong(call.value.span, "a domain: AF_UNIX, AF_INET, AF_INET6, AF_PACKET or a number");
            }
        },
    };
    let kind = match parts.next() {
        Some("SOCK_STREAM") => flags::SOCK_STREAM,
        Some("SOCK_DGRAM") => flags::SOCK_DGRAM,
        Some("SOCK_RAW") => flags::SOCK_RAW,
        other => match other.and_then(words::number) {
            Some(number) => number as u32,
            None => return t.notes.wrong(call.value.span, "a type: SOCK_STREAM, SOCK_DGRAM, SOCK_RAW or a number"),
        },
    };
    let protocol = match parts.next().map(words::number) {
        None => 0,
        Some(Some(number)) => number as u32,
        Some(None) => return t.notes.wrong(call.value.span, "the protocol is a number"),
    };
    let fd = t.trace.socket(call.task, domain, kind, protocol);
    t.name_descriptor(call, fd)
}
