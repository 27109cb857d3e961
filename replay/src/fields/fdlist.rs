//! `fdlist.*`: the descriptors of poll and ppoll, as lists in one text.

use casebook_formats::tables::ppme;
use casebook_rules::event::Extracted;

use super::catalogue::FdlistField;
use super::{owned, params, when};
use crate::context::EventContext;
use crate::state::{Fd, FdKind};

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: FdlistField) -> Extracted<'e> {
    when(list(context, field).filter(|list| !list.is_empty()), owned)
}

/// The list; entries without the asked fact are left out, those without a name show `<NA>`.
fn list(context: &EventContext<'_>, field: FdlistField) -> Option<Vec<u8>> {
    let thread = context.thread?;
    if !matches!(context.event.etype, ppme::PPME_SYSCALL_POLL_X | ppme::PPME_SYSCALL_PPOLL_X) {
        return None;
    }
    let value = context.event.param(params::position(context.event, "fds")?)?;
    let mut out = Vec::new();
    for (number, _) in params::fd_list(value) {
        let fd = context.state.fd(thread, number);
        let entry = match field {
            FdlistField::FdlistNums => Some(number.to_string().into_bytes()),
            FdlistField::FdlistNames => {
                let name = fd.map(|fd| fd.name.as_ref()).filter(|name| !name.is_empty());
                Some(name.unwrap_or(b"<NA>").to_vec())
            }
            FdlistField::FdlistCips => fd.and_then(client).map(|(ip, _)| ip.to_string().into_bytes()),
            FdlistField::FdlistSips => fd.and_then(server).map(|(ip, _)| ip.to_string().into_bytes()),
            FdlistField::FdlistCports => fd.and_then(client).map(|(_, port)| port.to_string().into_bytes()),
            FdlistField::FdlistSports => {
                // Listening sockets have a server address here, but no server port: libs' choice.
                let connected = fd.filter(|fd| matches!(fd.kind, FdKind::Ipv4 | FdKind::Ipv6));
                connected.and_then(server).map(|(_, port)| port.to_string().into_bytes())
            }
        };
        if let Some(entry) = entry {
            if !out.is_empty() {
                out.push(b',');
            }
            out.extend(entry);
        }
    }
    Some(out)
}

fn client(fd: &Fd) -> Option<(std::net::IpAddr, u16)> {
    fd.tuple.filter(|_| matches!(fd.kind, FdKind::Ipv4 | FdKind::Ipv6)).map(|tuple| tuple.client)
}

fn server(fd: &Fd) -> Option<(std::net::IpAddr, u16)> {
    fd.tuple.map(|tuple| tuple.server)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, state};
    use super::*;

    #[test]
    fn polled_descriptors_as_one_text() {
        let mut fds = 3u16.to_le_bytes().to_vec();
        for fd in [0i64, 4, 99] {
            fds.extend(fd.to_le_bytes());
            fds.extend(1i16.to_le_bytes());
        }
        let poll = Sample::new(ppme::PPME_SYSCALL_POLL_X).with(1i64.to_le_bytes()).with(&fds);
        let fields = ["fdlist.nums", "fdlist.names", "fdlist.cips", "fdlist.sports"];
        let texts = poll.on(&mut state(), &fields);
        let wanted = ["0,4,99", "/dev/pts/0,10.0.0.1:40000->192.168.0.9:443,<NA>", "10.0.0.1", "443"];
        assert_eq!(texts.into_iter().flatten().collect::<Vec<_>>(), wanted);
        // A list that claims more entries than it has is read as far as it goes.
        fds.truncate(15);
        let cut = Sample::new(ppme::PPME_SYSCALL_POLL_X).with(1i64.to_le_bytes()).with(&fds);
        assert_eq!(cut.one_on(&mut state(), "fdlist.nums").as_deref(), Some("0"));
        assert_eq!(Sample::new(ppme::PPME_SYSCALL_CLOSE_X).one_on(&mut state(), "fdlist.nums"), None);
    }
}
