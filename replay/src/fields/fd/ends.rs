//! The two ends of a connection: which is the client's, which is this machine's.

use std::net::IpAddr;

use super::kinds::{is_connection, is_internet};
use crate::context::EventContext;
use crate::state::{Fd, FdKind, Tuple};

/// The tuple of a connection whose ends are known by role.
fn roles(fd: &Fd) -> Option<Tuple> {
    fd.tuple.filter(|_| is_connection(fd.kind) && !fd.has_no_role())
}

pub(super) fn client(fd: &Fd) -> Option<(IpAddr, u16)> {
    roles(fd).map(|tuple| tuple.client)
}

/// Server end of a connection, or the address that a socket listens on.
pub(super) fn server(fd: &Fd) -> Option<(IpAddr, u16)> {
    let tuple = fd.tuple.filter(|_| is_internet(fd.kind) && !fd.has_no_role())?;
    Some(tuple.server)
}

/// Port of the server end; that of a listening socket counts also when its role is not known.
pub(super) fn server_port(fd: &Fd) -> Option<u16> {
    if is_connection(fd.kind) { server(fd).map(|(_, port)| port) } else { fd.tuple.map(|tuple| tuple.server.1) }
}

/// The end whose address is one of this machine's: the client when its address is, else the server.
pub(super) fn local(context: &EventContext<'_>, fd: &Fd) -> Option<(IpAddr, u16)> {
    let tuple = roles(fd)?;
    Some(if is_local(context, tuple.client.0) { tuple.client } else { tuple.server })
}

pub(super) fn remote(context: &EventContext<'_>, fd: &Fd) -> Option<(IpAddr, u16)> {
    let tuple = roles(fd)?;
    Some(if is_local(context, tuple.client.0) { tuple.server } else { tuple.client })
}

/// An address of this end: one of the machine's, or that of the thread's own container. Of a container that no event
/// described the address is unknown, and with it which end is which; Falco then calls none local, so that the server's
/// end is shown as the local one, and rules' outputs have come to look like that.
fn is_local(context: &EventContext<'_>, ip: IpAddr) -> bool {
    let Some(thread) = context.thread.filter(|thread| !thread.container_id.is_empty()) else {
        return context.state.is_local_address(ip);
    };
    match context.state.container_of(thread).filter(|container| container.has_metadata) {
        Some(container) => container.ip == Some(ip) || context.state.is_local_address(ip),
        None => false,
    }
}

/// Listening, or connected with the server end on this machine.
pub(super) fn is_server(context: &EventContext<'_>, fd: &Fd) -> bool {
    match fd.kind {
        FdKind::Ipv4Server | FdKind::Ipv6Server => true,
        kind if is_connection(kind) => fd.tuple.is_some_and(|tuple| is_local(context, tuple.server.0)),
        _ => false,
    }
}

/// Both ends of a connection (client first), the one of a listening socket; none for anything else.
pub(super) fn ends(record: Option<&Fd>) -> impl Iterator<Item = (IpAddr, u16)> {
    let tuple = record.filter(|fd| is_internet(fd.kind)).and_then(|fd| fd.tuple.map(|tuple| (fd.kind, tuple)));
    let client = tuple.filter(|(kind, _)| is_connection(*kind)).map(|(_, tuple)| tuple.client);
    client.into_iter().chain(tuple.map(|(_, tuple)| tuple.server))
}
