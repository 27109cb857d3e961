//! Data through descriptors: what it says about sockets that were not known well.

use crate::state::address::{Ends, kind_of, tuple_text};
use crate::state::flags::{AF_INET, AF_INET6, L4_TCP, L4_UDP, L4_UNKNOWN};
use crate::state::step::Step;
use crate::state::{FdKind, State, Tuple};

use casebook_formats::tables::ppme::*;

const SOCK_DGRAM: u64 = 2;
const IPPROTO_UDP: u64 = 17;

/// Read from a descriptor.
pub(super) fn received(state: &mut State, step: &mut Step<'_, '_>) {
    let tuple = match step.event.etype {
        PPME_SOCKET_RECVFROM_X => Some(2),
        PPME_SOCKET_RECVMSG_X => Some(3),
        PPME_SOCKET_RECVMMSG_X | PPME_SOCKET_RECV_X => Some(4),
        _ => return plain(state, step),
    };
    transferred(state, step, tuple, true);
    let control = match step.event.etype {
        PPME_SOCKET_RECVMSG_X => 4,
        PPME_SOCKET_RECVMMSG_X => 5,
        _ => return,
    };
    descriptors_passed(state, step, control);
}

/// Written to a descriptor.
pub(super) fn sent(state: &mut State, step: &mut Step<'_, '_>) {
    let tuple = match step.event.etype {
        PPME_SOCKET_SEND_X | PPME_SOCKET_SENDTO_X | PPME_SOCKET_SENDMSG_X | PPME_SOCKET_SENDMMSG_X => Some(4),
        _ => return plain(state, step),
    };
    if step.fx.record.is_none() {
        if tuple.is_none() || step.event.etype == PPME_SOCKET_SENDMMSG_X {
            return;
        }
        infer_socket(state, step);
    }
    transferred(state, step, tuple, false);
}

/// Read or written by a call for files and sockets alike, which says something of internet sockets only.
fn plain(state: &mut State, step: &mut Step<'_, '_>) {
    if matches!(step.kind, FdKind::Ipv4 | FdKind::Ipv6) {
        transferred(state, step, None, true);
    }
}

/// A datagram went out through a descriptor that nobody saw open: it can only be an internet socket. libs guesses UDP.
fn infer_socket(state: &mut State, step: &mut Step<'_, '_>) {
    let (Some(number), true) = (step.fx.fd.filter(|&number| number >= 0), step.succeeded()) else { return };
    let family = step.event.param(4).and_then(|tuple| tuple.first().copied());
    let Some(family) = family.filter(|&family| family == AF_INET || family == AF_INET6) else { return };
    let mut fd = super::socket::new_socket(state, u64::from(family), SOCK_DGRAM, IPPROTO_UDP);
    fd.version = state.next_version();
    state.share_fd(step, number, std::rc::Rc::new(fd), true);
}

fn transferred(state: &mut State, step: &mut Step<'_, '_>, tuple: Option<usize>, incoming: bool) {
    let Some((table, number)) = step.fx.record else { return };
    if !step.succeeded() {
        return;
    }
    let Some(fd) = state.tables.get(table.0).and_then(|entry| entry.table.get(number)) else { return };
    let is_inet = matches!(fd.kind, FdKind::Ipv4 | FdKind::Ipv6);
    let is_tcp = is_inet && fd.l4 == L4_TCP;
    let learn = tuple.is_some() && (fd.name.is_empty() || !is_tcp);
    if is_inet
        && !fd.connected
        && let Some(fd) = state.change_fd(table, number)
    {
        fd.connected = true;
    }
    let Some(ends) = tuple.filter(|_| learn).and_then(|at| step.event.param(at)).and_then(Ends::parse) else { return };
    match ends {
        Ends::Inet(source, destination) => {
            learn_tuple(state, step, Tuple { client: source, server: destination }, incoming);
        }
        Ends::Unix(source, destination, _) => {
            let name = state.text(&ends.text());
            let Some(old) = state.record_of(step) else { return };
            if old.name == name && old.unix_ends == (source, destination) && old.kind == FdKind::Unix {
                return;
            }
            let Some(fd) = state.change_fd(table, number) else { return };
            fd.kind = FdKind::Unix;
            fd.unix_ends = (source, destination);
            step.fx.fd_name_changed = fd.name != name;
            fd.name = name;
        }
    }
}

/// The event's tuple has the sender first. A socket without a role gets one: whoever reads first serves, whoever
/// writes first is the client (libs asks the port table too, which always knows the port by this very socket).
///
/// libs keeps the first peer of an unconnected socket for good. Here the name follows the packet.
fn learn_tuple(state: &mut State, step: &mut Step<'_, '_>, seen: Tuple, incoming: bool) {
    let Some((table, number)) = step.fx.record else { return };
    let Some(old) = state.record_of(step) else { return };
    let l4 = if old.l4 == L4_UNKNOWN { L4_UDP } else { old.l4 };
    let is_server = if old.has_no_role() { incoming } else { old.is_server };
    let mut tuple = seen;
    state.complete(&mut tuple);
    // Sender first is client first when a client sends or a server receives.
    if is_server != incoming {
        tuple = super::socket::turned(&tuple);
    }
    if old.tuple == Some(tuple) && old.kind == kind_of(tuple.client.0) {
        return;
    }
    let name = state.text(&tuple_text(&tuple, l4));
    let Some(fd) = state.change_fd(table, number) else { return };
    fd.kind = kind_of(tuple.client.0);
    fd.l4 = l4;
    fd.tuple = Some(tuple);
    fd.is_server = is_server;
    fd.is_client |= !is_server;
    step.fx.fd_name_changed = fd.name != name;
    fd.name = name;
}

/// Control messages: u64 length with header, u32 level, u32 type, then the data, padded to eight bytes.
const HEADER: usize = 16;
const SCM_RIGHTS: u32 = 1;

/// Descriptors that came through a unix socket: the event tells their numbers and not what they are, so whatever had
/// these numbers is over.
fn descriptors_passed(state: &mut State, step: &mut Step<'_, '_>, param: usize) {
    let is_unix = state.record_of(step).is_some_and(|fd| fd.kind == FdKind::Unix);
    let (true, true, Some(mut rest)) = (is_unix, step.succeeded(), step.event.param(param)) else { return };
    let Some(table) = step.fx.record.map(|(table, _)| table) else { return };
    while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
        let [l0, l1, l2, l3, l4, l5, l6, l7, _, _, _, _, t0, t1, t2, t3] = *header;
        let len = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let Some(len) = usize::try_from(len).ok().and_then(|len| len.checked_sub(HEADER)) else { return };
        let Some(data) = after.get(..len) else { return };
        if u32::from_le_bytes([t0, t1, t2, t3]) == SCM_RIGHTS {
            for number in data.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes) {
                state.drop_fd(table, i64::from(number));
            }
        }
        rest = after.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
}
