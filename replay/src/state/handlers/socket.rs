//! Sockets: made, bound, connected, accepted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use casebook_formats::snapshot::Interface;

use crate::state::address::{Address, Ends, kind_of, server_kind_of, tuple_text, unix_text};
use crate::state::flags::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, L4_ICMP, L4_RAW, L4_TCP, L4_UDP, L4_UNKNOWN};
use crate::state::seed::unspecified_like;
use crate::state::step::Step;
use crate::state::{Fd, FdKind, State, Tuple};

const SOCK_STREAM: u64 = 1;
const SOCK_DGRAM: u64 = 2;
const SOCK_RAW: u64 = 3;
const SOCK_CLOEXEC: u64 = 0x8_0000;
/// The type without flags.
const SOCK_TYPE: u64 = 0xff;

const IPPROTO_IP: u64 = 0;
const IPPROTO_ICMP: u64 = 1;
const IPPROTO_TCP: u64 = 6;
const IPPROTO_UDP: u64 = 17;
const IPPROTO_RAW: u64 = 255;

/// `connect` goes on in the background.
const EINPROGRESS: i64 = 115;

pub(super) fn made(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    let value = |at: usize| event.u64(at).unwrap_or(0);
    let fd = new_socket(state, value(1), value(2), value(3));
    state.open_fd(step, number, fd);
}

/// A socket before anything happened to it.
pub(super) fn new_socket(state: &State, domain: u64, ty: u64, protocol: u64) -> Fd {
    let family = u8::try_from(domain).unwrap_or(0);
    let kind = match family {
        AF_UNIX => FdKind::Unix,
        AF_INET => FdKind::Ipv4,
        AF_INET6 => FdKind::Ipv6,
        AF_NETLINK => FdKind::Netlink,
        _ => FdKind::Unknown,
    };
    let mut fd = Fd::new(kind, &state.texts.empty);
    if matches!(kind, FdKind::Ipv4 | FdKind::Ipv6) {
        fd.l4 = transport(ty, protocol);
    }
    fd.cloexec = ty & SOCK_CLOEXEC != 0;
    fd
}

/// `type` may carry flags above its low byte. A raw socket with such flags is of its protocol for libs (`icmp` for what
/// Python makes), and rules compare with that.
fn transport(ty: u64, protocol: u64) -> u8 {
    match protocol {
        IPPROTO_TCP | IPPROTO_UDP | IPPROTO_ICMP if ty == SOCK_RAW => L4_RAW,
        IPPROTO_TCP => L4_TCP,
        IPPROTO_UDP => L4_UDP,
        IPPROTO_ICMP => L4_ICMP,
        IPPROTO_RAW => L4_RAW,
        IPPROTO_IP if ty & SOCK_TYPE == SOCK_STREAM => L4_TCP,
        IPPROTO_IP if ty & SOCK_TYPE == SOCK_DGRAM => L4_UDP,
        _ => L4_UNKNOWN,
    }
}

/// Two connected unix sockets. The event's record is the first one, its number the second, as in libs.
pub(super) fn pair_made(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let (Some(first), Some(second), true) = (event.i64(1), event.i64(2), step.succeeded()) else { return };
    if first == second || first < 0 || second < 0 {
        return;
    }
    let mut fd = Fd::new(FdKind::Unix, &state.texts.empty);
    fd.unix_ends = (event.u64(3).unwrap_or(0), event.u64(4).unwrap_or(0));
    fd.cloexec = event.u64(6).is_some_and(|ty| ty & SOCK_CLOEXEC != 0);
    state.open_fd(step, first, fd.clone());
    let record = step.fx.record;
    state.open_fd(step, second, fd);
    step.fx.record = record;
}

/// A bound internet socket with a port listens, or will.
pub(super) fn bound(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let (Some((table, number)), true) = (step.fx.record, step.succeeded()) else { return };
    let Some(address) = event.param(1).and_then(Address::parse) else { return };
    let name = state.text(&address.text());
    let Some(fd) = state.change_fd(table, number) else { return };
    if let Address::Inet(ip, port) = address
        && port > 0
    {
        fd.kind = server_kind_of(ip);
        fd.tuple = Some(Tuple { client: (unspecified_like(ip), 0), server: (ip, port) });
        fd.is_server = true;
    }
    step.fx.fd_name_changed = fd.name != name;
    fd.name = name;
}

/// Succeeded or going on; a refused connect leaves the socket as it was.
pub(super) fn connected(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let (Some(id), Some(res)) = (step.thread, step.res()) else { return };
    let enter = state.take_enter(id, event.etype.0);
    let Some((table, number)) = step.fx.record else { return };
    if res < 0 && res != -EINPROGRESS {
        return;
    }
    if let Some(fd) = state.change_fd(table, number) {
        fd.connected = true;
        fd.connect_pending = res < 0;
    }
    let promised = event.param(3).and_then(Address::parse);
    let entered = enter.as_deref().and_then(|enter| enter.param(1)).and_then(Address::parse);
    match event.param(1).and_then(Ends::parse) {
        Some(Ends::Inet(source, destination)) => {
            let destination = trusted(destination, promised, entered);
            connect_inet(state, step, source, destination);
        }
        Some(Ends::Unix(source, destination, path)) => {
            let path = match (promised, entered) {
                // The caller may have changed the path after the kernel read it, but not before the call.
                (Some(Address::Unix(promised)), Some(Address::Unix(entered))) if promised == path => entered,
                _ => path,
            };
            connect_unix(state, step, source, destination, path);
        }
        None => {
            // A connect whose tuple the recorder could not get.
            if let Some(address) = entered.or(promised) {
                connect_to(state, step, address);
            }
        }
    }
}

/// Destination that the kernel used: the tuple's, unless that merely repeats what the caller's memory held at the end
/// of the call and the enter half saw something else.
fn trusted(in_tuple: (IpAddr, u16), promised: Option<Address<'_>>, entered: Option<Address<'_>>) -> (IpAddr, u16) {
    match (promised, entered) {
        (Some(Address::Inet(ip, port)), Some(Address::Inet(entered_ip, entered_port))) if (ip, port) == in_tuple => {
            (entered_ip, entered_port)
        }
        _ => in_tuple,
    }
}

fn connect_inet(state: &mut State, step: &mut Step<'_, '_>, source: (IpAddr, u16), destination: (IpAddr, u16)) {
    let Some((table, number)) = step.fx.record else { return };
    let Some(fd) = state.tables.get(table.0).and_then(|entry| entry.table.get(number)) else { return };
    let mut tuple = Tuple { client: source, server: destination };
    let changed = fd.tuple != Some(tuple) && fd.tuple != Some(turned(&tuple));
    let l4 = fd.l4;
    if !changed {
        tuple = fd.tuple.unwrap_or(tuple);
    } else if fd.is_server && l4 == L4_UDP {
        tuple = turned(&tuple); // A datagram server that answers one client only.
    }
    let name = state.text(&tuple_text(&tuple, l4));
    let Some(fd) = state.change_fd(table, number) else { return };
    fd.kind = kind_of(tuple.client.0);
    fd.tuple = Some(tuple);
    if fd.has_no_role() {
        fd.is_client = true;
    }
    step.fx.fd_name_changed = fd.name != name;
    fd.name = name;
}

fn connect_unix(state: &mut State, step: &mut Step<'_, '_>, source: u64, destination: u64, path: &[u8]) {
    let Some((table, number)) = step.fx.record else { return };
    let name = state.text(&unix_text(source, destination, path));
    let Some(fd) = state.change_fd(table, number).filter(|fd| fd.kind == FdKind::Unix) else { return };
    fd.unix_ends = (source, destination);
    if fd.has_no_role() {
        fd.is_client = true;
    }
    step.fx.fd_name_changed = fd.name != name;
    fd.name = name;
}

/// Only the destination is known.
fn connect_to(state: &mut State, step: &mut Step<'_, '_>, address: Address<'_>) {
    let Some((table, number)) = step.fx.record else { return };
    match address {
        Address::Inet(ip, port) => {
            let own = state.tables.get(table.0).and_then(|entry| entry.table.get(number)).and_then(|fd| fd.tuple);
            let source = own.map_or((unspecified_like(ip), 0), |tuple| tuple.client);
            connect_inet(state, step, source, (ip, port));
        }
        Address::Unix(path) => {
            let name = state.text(path);
            let Some(fd) = state.change_fd(table, number).filter(|fd| fd.kind == FdKind::Unix) else { return };
            if fd.has_no_role() {
                fd.is_client = true;
            }
            step.fx.fd_name_changed = fd.name != name;
            fd.name = name;
        }
        Address::Other(_) => {}
    }
}

/// The same connection seen from the other end.
pub(super) fn turned(tuple: &Tuple) -> Tuple {
    Tuple { client: tuple.server, server: tuple.client }
}

pub(super) fn accepted(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    step.fx.fd = Some(number);
    let Some(ends) = event.param(1).and_then(Ends::parse) else {
        // A peer of a family that the event cannot tell. What had this number before is closed in any case.
        let table = step.thread.and_then(|id| state.threads.get(id.0)).and_then(|thread| state.files_of(thread));
        if let Some(table) = table {
            state.drop_fd(table, number);
        }
        return;
    };
    let mut fd = match ends {
        Ends::Inet(client, server) => {
            let mut fd = Fd::new(kind_of(client.0), &state.texts.empty);
            fd.l4 = L4_TCP;
            fd.tuple = Some(Tuple { client, server });
            fd
        }
        Ends::Unix(source, destination, _) => {
            let mut fd = Fd::new(FdKind::Unix, &state.texts.empty);
            fd.unix_ends = (source, destination);
            fd
        }
    };
    fd.name = state.text(&ends.text());
    fd.is_server = true;
    fd.connected = true;
    fd.cloexec =
        event.u64(5).is_some_and(|flags| flags & (SOCK_CLOEXEC | u64::from(crate::state::flags::O_CLOEXEC)) != 0);
    state.open_fd(step, number, fd);
}

const SOL_SOCKET: u64 = 1;
const SO_ERROR: u64 = 4;
/// Variant of the value parameter that holds an error.
const VALUE_IS_ERRNO: u8 = 1;

/// `SO_ERROR` tells how a connect that went on in the background ended.
pub(super) fn getsockopt(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    if !step.succeeded() || event.u64(2) != Some(SOL_SOCKET) || event.u64(3) != Some(SO_ERROR) {
        return;
    }
    let Some((&VALUE_IS_ERRNO, value)) = event.param(4).and_then(<[u8]>::split_first) else { return };
    let Some(error) = value.try_into().ok().map(i64::from_le_bytes) else { return };
    step.fx.error = Some(error);
    let Some((table, number)) = step.fx.record else { return };
    let pending =
        state.tables.get(table.0).and_then(|entry| entry.table.get(number)).is_some_and(|fd| fd.connect_pending);
    if pending && let Some(fd) = state.change_fd(table, number) {
        fd.connect_pending = false;
    }
}

impl State {
    /// Fills an unspecified end in with an address of this machine: the other end's own, one of its network, or the
    /// first that is not the loopback's. As libs guesses.
    pub(crate) fn complete(&self, tuple: &mut Tuple) {
        let Tuple { client, server } = *tuple;
        if client.0.is_unspecified() {
            let own = self.nearest_address(server.0);
            if own != server.0 || client.1 != server.1 {
                tuple.client.0 = own;
            }
        } else if server.0.is_unspecified() {
            let own = self.nearest_address(client.0);
            if own != client.0 || client.1 != server.1 {
                tuple.server.0 = own;
            }
        }
    }

    fn nearest_address(&self, peer: IpAddr) -> IpAddr {
        match peer {
            IpAddr::V4(peer) => IpAddr::V4(self.nearest_v4(peer)),
            IpAddr::V6(peer) => IpAddr::V6(self.nearest_v6(peer)),
        }
    }

    fn nearest_v4(&self, peer: Ipv4Addr) -> Ipv4Addr {
        let own = || {
            self.interfaces.iter().filter_map(|interface| match interface {
                Interface::V4 { addr, netmask, .. } => Some((*addr, netmask.to_bits())),
                Interface::V6 { .. } => None,
            })
        };
        let same = own().find(|(addr, _)| *addr == peer);
        let near = || own().find(|(addr, mask)| addr.to_bits() & mask == peer.to_bits() & mask);
        let any = || own().find(|(addr, _)| *addr != Ipv4Addr::LOCALHOST);
        same.or_else(near).or_else(any).map_or(Ipv4Addr::UNSPECIFIED, |(addr, _)| addr)
    }

    fn nearest_v6(&self, peer: Ipv6Addr) -> Ipv6Addr {
        let own = || {
            self.interfaces.iter().filter_map(|interface| match interface {
                Interface::V6 { addr, .. } => Some(*addr),
                Interface::V4 { .. } => None,
            })
        };
        // Networks are taken for /64.
        let near = || own().find(|addr| addr.segments()[..4] == peer.segments()[..4]);
        let any = || own().find(|addr| *addr != Ipv6Addr::LOCALHOST);
        own().find(|addr| *addr == peer).or_else(near).or_else(any).unwrap_or(Ipv6Addr::UNSPECIFIED)
    }

    /// Descriptor record of an event, shared.
    pub(crate) fn record_of(&self, step: &Step<'_, '_>) -> Option<Rc<Fd>> {
        let (table, number) = step.fx.record?;
        self.tables.get(table.0)?.table.share(number)
    }
}
